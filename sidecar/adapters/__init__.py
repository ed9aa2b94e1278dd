"""What the sidecar talks to: one file an outside thing."""
