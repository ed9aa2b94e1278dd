"""The error tree. What an error *is* tells whoever catches it what to do next."""


class KubedaemonError(Exception):
    """Everything that Kubedaemon raises on purpose."""


class TransientError(KubedaemonError):
    """It may work later: try again with backoff."""


class PermanentError(KubedaemonError):
    """It will never work: dead-letter the message, or refuse the call."""


class FencedError(KubedaemonError):
    """Somebody else owns this now: stop, and write nothing."""


class ConfigurationError(KubedaemonError):
    """The start is impossible as configured: exit, saying what to set."""
