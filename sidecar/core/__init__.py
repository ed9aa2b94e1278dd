"""The sidecar's decisions, without I/O: a turn of events in, a turn of effects out."""
