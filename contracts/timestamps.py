"""Times as RFC 3339 writes them, in UTC, and as Unix seconds inside."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from contracts.errors import PermanentError

_FORM: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,15})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)  # ``fromisoformat`` reads much more, such as dates by week and times of no offset


def format_time(unix_seconds: float) -> str:
    """``2026-01-02T03:04:05.678Z``, to the millisecond."""
    seconds, milliseconds = divmod(round(unix_seconds * 1000), 1000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]}.{milliseconds:03}Z"


def parse_time(text: str) -> float:
    """Unix seconds. Raises ``PermanentError`` where it is no RFC 3339 time with an offset, of the years 1 to 9999."""
    written = text.strip()
    try:
        if _FORM.fullmatch(written):
            return datetime.fromisoformat(written.upper()).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        pass  # the form is right and the day, the hour or the year is not
    raise PermanentError(f"{text[:40]!r} is not a time: write RFC 3339 with an offset, such as 2026-01-02T03:04:05Z")
