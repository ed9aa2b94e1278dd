"""What is written can be read: durations, times, header values, ids, cursors; and nothing written becomes more."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.duration import format_duration, parse_duration
from contracts.enqueue import read_headers
from contracts.errors import PermanentError
from contracts.handler import message_heads
from contracts.identity import MAX_KEY_LENGTH, check_key, fresh_id, keyed_id
from contracts.message import Message
from contracts.problems import ProblemError
from contracts.text import MAX_SESSION_BYTES, check_session, decode_header, encode_header, is_label, is_token
from contracts.timestamps import format_time, parse_time
from dispatcher.core.paging import decode_cursor, encode_cursor
from dispatcher.core.prefer import read_prefer

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
any_text = st.text(st.characters(), max_size=40)
tokens = st.from_regex(r"[a-z0-9!#$%&'*+.^_`|~-]{1,10}", fullmatch=True)
visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)
units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


# Durations and times


@given(st.integers(0, 10**12), st.sampled_from(sorted(units)))
def test_a_whole_duration_is_read_as_it_is_written(number: int, unit: str) -> None:
    assert math.isclose(number * units[unit], parse_duration(f" {number}{unit} "), rel_tol=1e-12)


@given(st.integers(0, 10**12))
def test_a_duration_to_the_millisecond_survives(milliseconds: int) -> None:
    written = format_duration(milliseconds / 1000)
    assert milliseconds == round(parse_duration(written) * 1000)
    assert re.fullmatch(r"\d+(ms|s|m|h|d)", written)
    assert written == format_duration(parse_duration(written)), "the shortest form is the shortest form"


@given(any_text)
def test_whatever_is_no_duration_says_so(value: str) -> None:
    try:
        assert 0 <= parse_duration(value) < math.inf
    except PermanentError as error:
        assert str(error).isprintable()


@pytest.mark.parametrize("wrong", ["", "5", "-1s", "1e3s", "1 s", "s", "1w", "\u0661s", "nan s", "1.s"])
def test_what_is_no_duration_is_refused(wrong: str) -> None:
    with pytest.raises(PermanentError, match="duration"):
        parse_duration(wrong)


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30)), st.integers(-1439, 1439))
def test_a_time_is_read_in_any_offset_to_the_microsecond(local: datetime, minutes: int) -> None:
    at = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert at.timestamp() == parse_time(at.isoformat())
    assert at.timestamp() == parse_time(at.isoformat().lower())


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_to_the_millisecond_survives(milliseconds: int) -> None:
    written = format_time(milliseconds / 1000)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", written)
    assert milliseconds == round(parse_time(written) * 1000)


@given(st.integers(0, 253_402_300_799), st.integers(0, 253_402_300_799))
def test_times_sort_as_they_are_written(one: int, other: int) -> None:
    assert (one < other) == (format_time(one) < format_time(other))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "now",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-13-02T03:04:05Z",
        "2026-01-02T25:04:05Z",
        "2026-01-02T03:04:05+25:00",
        "03:04:05Z",
        "1700000000",
        "20260102T030405Z",
        "2026-W01-1T03:04:05Z",
        "2026-01-02T03:04Z",
        "2026-01-02T03:04:05,5Z",
        "2026-01-02T03:04:05+0100",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_what_is_no_time_is_refused(wrong: str) -> None:
    with pytest.raises(PermanentError, match="RFC 3339"):
        parse_time(wrong)


# Headers


@given(any_text)
def test_a_header_value_carries_any_text_and_nothing_else(value: str) -> None:
    encoded = encode_header(value)
    assert all(0x20 <= ord(character) <= 0x7E for character in encoded)
    assert encoded == encoded.strip()
    if value.isascii() and value.isprintable() and "%" not in value and value == value.strip():
        assert value == encoded, "what can be read as it is stays as it is"
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    assert value == decode_header(encoded, "x")


@given(any_text, any_text)
def test_two_texts_are_never_one_header_value(one: str, other: str) -> None:
    assert (one == other) == (encode_header(one) == encode_header(other))


@given(any_text)
def test_a_header_value_is_decoded_once_or_refused_by_name(value: str) -> None:
    try:
        decoded = decode_header(value, "The-Header")
    except PermanentError as error:
        assert str(error).startswith("The-Header: ")
        assert str(error).isprintable()
    else:
        assert decoded == decode_header(encode_header(decoded), "x")


hostile = st.sampled_from(["\r\nX: y", "\n", "\r", "\0", " ", "\u2028", "%0d%0a", "ä", "\ud800"]).flatmap(
    lambda bad: text.map(lambda good: good + bad + good)
)


def head_lines(message: Message) -> list[str]:
    head = message_heads("h:1", "default", "q", "http://c/v1/callback")(message, 1, "2026-01-01T00:00:00.000Z", "token")
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].decode("ascii").split("\r\n")


@given(hostile | text, st.none() | hostile | text, hostile | text, st.dictionaries(tokens, hostile | text, max_size=3))
def test_nothing_can_add_a_header_to_a_call(
    name: str, session: str | None, content_type: str, values: dict[str, str]
) -> None:
    message = Message(
        namespace="default",
        queue="q",
        id=name,
        session=session,
        content_type=content_type,
        body=b"body",
        meta=values,
        headers={f"ce-{key}": value for key, value in values.items()},
    )
    first, *lines = head_lines(message)
    assert "POST /message HTTP/1.1" == first
    assert all(line.isprintable() for line in lines)
    names = [line.partition(":")[0].lower() for line in lines]
    expected = [line.partition(":")[0].lower() for line in head_lines(Message(namespace="n", queue="q", id="i"))[1:]]
    expected += [f"kubedaemon-meta-{key}" for key in values] + [f"ce-{key}" for key in values]
    assert sorted(expected + ["kubedaemon-session"] * (session is not None)) == sorted(names)


@given(
    st.none() | text.filter(lambda value: 0 < len(value.encode()) <= MAX_SESSION_BYTES),
    st.dictionaries(tokens, text, max_size=3),
    st.none() | visible,
)
def test_what_a_sender_encodes_is_what_the_message_holds(
    session: str | None, meta: dict[str, str], key: str | None
) -> None:
    headers = [(f"KUBEDAEMON-Meta-{name}", encode_header(value)) for name, value in meta.items()]
    headers += [("Kubedaemon-Session", encode_header(session))] if session is not None else []
    headers += [("Idempotency-Key", key)] if key is not None else []
    asked = read_headers(headers)
    assert (session, meta, key) == (asked.session, asked.meta, asked.key)
    assert asked == read_headers(headers[::-1])


@given(any_text)
def test_a_session_is_text_of_a_bounded_length(value: str) -> None:
    try:
        assert value == check_session(value, "x")
    except PermanentError:
        return
    assert 0 < len(value.encode()) <= MAX_SESSION_BYTES


@given(any_text)
def test_labels_and_tokens_are_what_their_standards_say(value: str) -> None:
    assert is_label(value) == bool(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", value))
    assert is_token(value) == (bool(value) and all(c in TOKEN_CHARACTERS for c in value))


TOKEN_CHARACTERS = set("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


# Ids


@given(any_text | visible)
def test_a_key_is_visible_ascii_of_a_bounded_length(key: str) -> None:
    good = 1 <= len(key) <= MAX_KEY_LENGTH and all(0x21 <= ord(character) <= 0x7E for character in key)
    try:
        assert (good, key) == (True, check_key(key))
    except PermanentError as error:
        assert not good
        assert str(error).isprintable()


labels = st.from_regex(r"[a-z0-9]{1,4}", fullmatch=True)


@given(st.tuples(labels, labels, visible), st.tuples(labels, labels, visible))
def test_one_key_of_one_queue_is_one_id(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    first, second = keyed_id(b"secret", *one), keyed_id(b"secret", *other)
    assert (one == other) == (first == second)
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != keyed_id(b"another", *one)


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_fresh_ids_sort_by_their_time(one: int, other: int, chance: bytes) -> None:
    first, second = fresh_id(one, chance), fresh_id(other, chance)
    assert (one < other) == (first < second)
    assert re.fullmatch("[0-9a-f]{32}", first)


# Lists


@given(st.tuples(text, st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_cursor_survives_and_is_safe_in_a_query(key: tuple[str, int, float]) -> None:
    written = encode_cursor(key)
    assert re.fullmatch(r"[A-Za-z0-9_-]*", written)
    assert key == decode_cursor(written, tuple[str, int, float])


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12), max_size=3))
def test_preferences_of_others_change_nothing(others: list[str]) -> None:
    assume(not any("wait" in other.lower() or '"' in other for other in others))
    assert 5 == read_prefer([*others, "wait=5"])
    assert 5 == read_prefer([", ".join([*others, "wait=5", *others])])


@given(any_text)
def test_whatever_is_preferred_is_a_wait_or_none_or_refused(value: str) -> None:
    try:
        assert read_prefer([value]) in (None, *range(301))
    except ProblemError as error:
        assert error.detail.isprintable()


def test_a_time_before_the_epoch_is_a_time() -> None:
    at = datetime(1969, 12, 31, tzinfo=UTC)
    assert at.timestamp() == parse_time(at.isoformat())
