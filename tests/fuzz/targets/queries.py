"""What readers of the API write: query strings, cursors, and which dead letters they mean."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from backends.http.bodies import decode_json
from contracts.api import MAX_LIMIT, MAX_WAIT_SECONDS
from contracts.message import DeadLetter, Message
from contracts.problems import ProblemError
from contracts.records import State
from dispatcher.core.paging import decode_cursor, encode_cursor
from dispatcher.core.query import read_flag, read_limit, read_query, read_session, read_state, read_wait
from dispatcher.core.redrive import read_wanted
from tests.fuzz.target import Target, check_sentence, is_text, text_of

NAMES: Final = ("limit", "wait", "state", "session", "force", "after")
KINDS: Final[tuple[Any, ...]] = (tuple[str], tuple[str, int], tuple[float, str])
LETTERS: Final = [
    DeadLetter(message=Message(namespace="d", queue="q", id=name, session=name), reason=name, dead_at=5.0)
    for name in ("a", "b")
]


def check_query(data: bytes) -> None:
    try:
        pairs = parse_qsl(text_of(data), keep_blank_values=True, errors="surrogateescape")
    except ValueError:
        return
    try:
        query = read_query(pairs, *NAMES)
        assert dict(pairs) == query
        assert 1 <= read_limit(query) <= MAX_LIMIT
        assert 0 <= read_wait(query) <= MAX_WAIT_SECONDS
        assert read_state(query) in (None, *State)
        session = read_session(query)
        assert session is None or (0 < len(session.encode()) <= 255)
        assert read_flag(query, "force") in (True, False)
    except ProblemError as error:
        assert 400 == error.problem.status
        check_sentence(error.detail)


def check_cursor(data: bytes) -> None:
    text = text_of(data)
    for kind in KINDS:
        try:
            key = decode_cursor(text, kind)
        except ProblemError as error:
            assert 400 == error.problem.status
            check_sentence(error.detail)
        else:
            assert key == decode_cursor(encode_cursor(key), kind)


def check_wanted(data: bytes) -> None:
    """Which dead letters to send back: none is chosen that was not meant, and all are only where it says so."""
    try:
        value = decode_json(data)
        wanted = read_wanted(value)
    except ProblemError as error:
        assert 400 == error.problem.status
        check_sentence(error.detail)
        return
    chosen = wanted.choose(LETTERS)
    assert all(wanted.holds(letter) for letter in chosen)
    if "all" in value:
        assert LETTERS == chosen
    else:
        assert any(part is not None for part in msgspec.structs.astuple(wanted))
    assert all(is_text(text) for text in (wanted.session, wanted.reason) if text is not None)


TARGETS: Final = {
    "query": Target(
        check_query,
        (
            b"limit=10&wait=5&state=dead&session=a%20b&force=true&after=x",
            b"limit=1000",
            b"limit=1&limit=2",
            b"limt=1",
            b"session=%ff",
            b"state=DEAD",
            b"wait=" + b"9" * 20,
        ),
        (b"limit=", b"wait=", b"state=", b"session=", b"force=", b"&", b"%", b"+", b"\xc2\xb2"),
    ),
    "cursor": Target(
        check_cursor,
        tuple(encode_cursor(key).encode() for key in (("a",), ("a", 1), (1.5, "a"), ("\u00e9", 2**60), (1, 2, 3))),
        (b"=", b"-", b"_", b"+", b"/", b"WyJh"),
    ),
    "redrive": Target(
        check_wanted,
        (
            b'{"all": true}',
            b'{"all": false}',
            b'{"filter": {"ids": ["a"]}}',
            b'{"filter": {"session": "a", "reason": "a", "before": "2026-01-01T00:00:00Z", "after": "1969-01-01T00:00:00Z"}}',
            b'{"filter": {}}',
            b'{"filter": {"sesion": "a"}}',
        ),
        (b'"ids"', b'"session"', b'"before"', b'"all"', b'"filter"', b"null", b"\\ud800", b"[", b"{"),
    ),
}
