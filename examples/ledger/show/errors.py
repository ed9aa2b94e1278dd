"""What ends the demonstration early."""


class DemoError(Exception):
    """Something that the demonstration needs is not so; the text says what, in a sentence."""
