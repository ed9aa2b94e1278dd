"""Small things that people and programs write: durations, times, waits, conditions."""

from __future__ import annotations

import math
import re
from typing import Final

from contracts.duration import format_duration, parse_duration
from contracts.errors import PermanentError
from contracts.problems import ProblemError
from contracts.records import SessionState
from contracts.timestamps import format_time, parse_time
from dispatcher.core.prefer import applied, read_prefer
from sidecar.core.retry import retry_after_seconds
from sidecar.core.staging import holds
from tests.fuzz.target import Target, check_sentence, text_of

WALL: Final = 1_700_000_000.0
LONGEST_SECONDS: Final = 1e12
RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
STATE: Final = SessionState(b"state", "text/plain")


def check_duration(data: bytes) -> None:
    try:
        seconds = parse_duration(text_of(data))
    except PermanentError as error:
        check_sentence(str(error))
        return
    assert 0 <= seconds < math.inf
    if seconds < LONGEST_SECONDS:
        assert math.isclose(seconds, parse_duration(format_duration(seconds)), abs_tol=0.001)


def check_time(data: bytes) -> None:
    value = text_of(data)
    try:
        at = parse_time(value)
    except PermanentError as error:
        check_sentence(str(error))
        return
    assert RFC3339.fullmatch(value.strip()), "nothing but RFC 3339 is taken for a time"
    assert math.isclose(at, parse_time(format_time(at)), abs_tol=0.00051)


def check_retry_after(data: bytes) -> None:
    found = retry_after_seconds(data.decode("latin-1"), WALL)
    assert found is None or 0 <= found < math.inf


def check_prefer(data: bytes) -> None:
    values = text_of(data).split("\n")
    try:
        seconds = read_prefer(values)
    except ProblemError as error:
        check_sentence(error.detail)
        assert "Prefer" == error.extra["header"]
        return
    if seconds is None:
        assert read_prefer([*values, "wait=7"]) in (None, 7)
    else:
        assert 0 <= seconds <= 300
        assert seconds == read_prefer([applied(seconds)])


def check_condition(data: bytes) -> None:
    """``If-Match`` and ``If-None-Match`` of one text are each other's contrary, whatever is there."""
    condition = data.decode("latin-1")
    for state in (None, STATE):
        assert holds(state, condition, None) != holds(state, None, condition)
        assert not (state is None and holds(state, condition, None))


TARGETS: Final = {
    "duration": Target(check_duration, (b"90s", b"1.5h", b"250ms", b"0d", b" 3m ", b"1e3s"), (b"ms", b"9" * 15, b".")),
    "time": Target(
        check_time,
        (
            b"2026-01-02T03:04:05Z",
            b"2026-01-02T03:04:05.678901+05:30",
            b"9999-12-31T23:59:59-23:59",
            b"0001-01-01T00:00:00+23:59",
            b"2026-W01-1T00:00:00Z",
            b"2026-02-29t00:00:00z",
        ),
        (b"T", b"Z", b"+", b":60", b"24:", b"\xd9\xa1"),
    ),
    "retry-after": Target(
        check_retry_after,
        (
            b"7",
            b" 1.5 ",
            b"-1",
            b"9" * 400,
            b"Fri, 31 Dec 1999 23:59:59 GMT",
            b"Friday, 31-Dec-99 23:59:59 GMT",
            b"Fri Dec 31 23:59:59 1999",
            b"Fri, 31 Dec 2999 23:59:59 +2359",
        ),
        (b"GMT", b"Dec", b"+9999", b"-0000", b":", b",", b"99999999999999999999"),
    ),
    "prefer": Target(
        check_prefer,
        (b"wait=3", b"respond-async, wait=3", b'x="a, wait=9", wait="3"; y', b"WAIT = 3\nwait=5", b"wait=", b'"'),
        (b"wait", b"wait=", b'"', b",", b";", b"="),
    ),
    "condition": Target(
        check_condition,
        (b"*", STATE.etag.encode(), b'"x", ' + STATE.etag.encode(), b"W/" + STATE.etag.encode(), b""),
        (b"*", b"W/", STATE.etag.encode()),
    ),
}
