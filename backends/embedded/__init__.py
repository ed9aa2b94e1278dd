"""A broker and a store inside the process, for one machine: the same guarantees, nothing to install."""
