"""The dispatcher's decisions, without I/O."""
