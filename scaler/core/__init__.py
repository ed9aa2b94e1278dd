"""The scaler's decisions, without I/O: how many replicas, when to wake, how fast things go."""
