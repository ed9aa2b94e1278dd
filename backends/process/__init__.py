"""What the processes here have in common."""
