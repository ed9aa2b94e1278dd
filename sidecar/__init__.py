"""Beside the user's handler: pulls messages, calls the handler, settles each message exactly once."""
