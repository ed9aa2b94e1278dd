"""Words and numbers as people read them. Nothing heavy is imported here: errors are told with it, too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

_BARS = "▁▂▃▄▅▆▇█"


def clean(text: object) -> str:
    """One line that cannot act on a terminal: what does not print is shown as an escape, line ends as a space."""
    lines = str(text).splitlines()
    flat = " ".join(line.strip() for line in lines if line.strip()) if len(lines) > 1 else str(text).rstrip("\r\n")
    if flat.isprintable():
        return flat
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in flat)


def number(value: Any) -> str:
    """``1,204``; a dash where it is not known."""
    return f"{value:,}" if isinstance(value, int) else "-"


def rate(value: Any) -> str:
    """Per second, in three digits or so: ``0``, ``0.31``, ``4.2``, ``1,204``."""
    if not isinstance(value, int | float):
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


def span(seconds: float | None) -> str:
    """A length of time in its largest unit that says enough: ``0.8s``, ``42s``, ``3m 5s``, ``2h 10m``, ``4d 3h``."""
    if seconds is None:
        return "-"
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit} {rest}{smaller}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def instant(text: object) -> float | None:
    """Unix seconds of a time as the API writes it; None where there is none."""
    from contracts.errors import PermanentError
    from contracts.timestamps import parse_time

    try:
        return parse_time(text) if isinstance(text, str) else None
    except PermanentError:
        return None


def ago(text: object) -> str:
    """How long ago that was."""
    at = instant(text)
    return "-" if at is None else span(time.time() - at)


def between(start: object, end: object) -> str:
    first, last = instant(start), instant(end)
    return "-" if first is None or last is None else span(last - first)


def size(count: Any) -> str:
    """``17 bytes``, ``1.5 KiB``, ``3.0 MiB``."""
    if not isinstance(count, int):
        return "-"
    if count < 1024:
        return "1 byte" if count == 1 else f"{count} bytes"
    return f"{count / 1024:.1f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MiB"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last ``width`` values as bars, the highest full; nothing at all is a blank."""
    shown = list(values)[-width:] if width > 0 else []
    top = max(shown, default=0) or 1
    return "".join(_BARS[min(7, int(value / top * 7.999))] if value > 0 else " " for value in shown)
