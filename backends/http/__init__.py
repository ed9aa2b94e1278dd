"""What any HTTP side of ours stands on: a server, bounded bodies, problems for answers, the loopback gate."""
