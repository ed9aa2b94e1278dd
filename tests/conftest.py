"""What holds for every test, wherever and however the tests are started."""

from __future__ import annotations

import gc
import signal

# A shell has what it starts in the background ignore SIGINT, and so would all that a test starts and presses Ctrl-C on.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What has been imported and collected by now stays: tests that collect garbage need not walk through all of it."""
    gc.collect()
    gc.freeze()
