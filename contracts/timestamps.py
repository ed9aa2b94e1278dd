"""Times as RFC 3339 writes them, in UTC, and as Unix seconds inside."""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.errors import PermanentError


def format_time(unix_seconds: float) -> str:
    """``2026-01-02T03:04:05.678Z``, to the millisecond."""
    whole = datetime.fromtimestamp(round(unix_seconds, 3), UTC)
    return whole.isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_time(text: str) -> float:
    """Unix seconds. Raises ``PermanentError`` where it is no RFC 3339 time with an offset."""
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None or "T" not in text.upper():
        raise PermanentError(
            f"{text[:40]!r} is not a time: write RFC 3339 with an offset, such as 2026-01-02T03:04:05Z"
        )
    return parsed.timestamp()
