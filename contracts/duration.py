"""Durations as people write them: ``90s``, ``1.5h``, ``250ms``."""

from __future__ import annotations

import re
from typing import Final

from contracts.errors import PermanentError

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FORM: Final = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(ms|s|m|h|d)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds. Raises ``PermanentError`` for anything but ``<number>(ms|s|m|h|d)``."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise PermanentError(
            f"{text[:40]!r} is not a duration: write a number and ms, s, m, h or d, such as 90s or 1.5h"
        )
    return float(match[1]) * _SECONDS[match[2]]


def format_duration(seconds: float) -> str:
    """The shortest exact form down to a millisecond: ``90s``, ``2m``, ``1500ms``."""
    milliseconds = round(seconds * 1000)
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    whole = milliseconds // 1000
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"
