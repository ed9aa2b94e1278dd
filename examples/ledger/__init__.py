"""Transfers between accounts, each exactly once and in order, although a handler is killed on the way."""
