"""What HTTP servers here have in common."""
