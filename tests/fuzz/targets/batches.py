"""What senders write in bodies: CloudEvents, batches of either kind, and JSON that is passed on as it was written."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from backends.http.callback_words import SAYINGS, Head
from contracts.cloudevents import BATCHED, STRUCTURED, read_event
from contracts.enqueue import Enqueue
from contracts.jsontext import compact
from contracts.problems import ProblemError
from contracts.speech import Beat
from contracts.text import decode_header, encode_header
from dispatcher.core.batch import MAX_ENTRIES, read_batch
from dispatcher.core.entry import Wish
from tests.fuzz.target import Target, check_sentence, is_text
from tests.fuzz.targets.enqueue import check_message

FORMS: Final = {
    b"j": "application/json",
    b"l": "application/x-ndjson",
    b"m": "application/msgpack",
    b"c": BATCHED,
    b"e": "text/plain",
}
MOST_BYTES: Final = 200
ATTRIBUTE: Final = re.compile(r"ce-[a-z0-9]+")


def exactly(text: bytes) -> Any:
    """The value with its numbers as they are written, for those who must not round them."""
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)


def check_event(data: bytes) -> None:
    try:
        event = read_event(data)
    except ProblemError as error:
        assert 400 == error.problem.status
        check_sentence(error.detail)
        return
    assert {"ce-specversion", "ce-id", "ce-source", "ce-type"} <= set(event.headers)
    assert "1.0" == event.headers["ce-specversion"]
    for name, value in event.headers.items():
        assert ATTRIBUTE.fullmatch(name)
        assert is_text(value)
        assert value == decode_header(encode_header(value), name)
    assert event.content_type.isascii()
    assert event.content_type.isprintable()
    given = exactly(data)
    if given.get("datacontenttype") is None and given.get("data") is not None:
        assert given["data"] == exactly(event.body), "the data is what was written, to the last digit"
    try:
        check_message(Enqueue(content_type=STRUCTURED), data)
    except ProblemError as error:
        assert "partitionkey" == error.extra["field"]


def check_batch(data: bytes) -> None:
    """The first byte chooses the form. Each entry is a message or is told what is wrong with it, in the order given."""
    asked = Enqueue(content_type=FORMS.get(data[:1], "application/json"), headers={"traceparent": "00-x"})
    try:
        wishes = read_batch(asked, data[1:], MOST_BYTES)
    except ProblemError as error:
        assert error.problem.status in (400, 413)
        check_sentence(error.detail)
        return
    assert len(wishes) <= MAX_ENTRIES
    for wish in wishes:
        if isinstance(wish, Wish):
            check_wish(wish)
        else:
            assert wish.problem.status in (400, 413, 422, 501)
            check_sentence(wish.detail)
            assert msgspec.json.encode(wish.problem.body(wish.detail, **wish.extra))


def check_wish(wish: Wish) -> None:
    assert len(wish.body) <= MOST_BYTES
    assert "00-x" == wish.asked.headers["traceparent"]
    try:
        message = check_message(wish.asked, wish.body)
    except ProblemError as error:
        assert error.problem.status in (400, 422)
        check_sentence(error.detail)
    else:
        assert message.content_type.isprintable()


def check_compact(data: bytes) -> None:
    """White space goes, and nothing else does."""
    try:
        msgspec.json.decode(data)
        value = exactly(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return
    short = compact(data)
    assert value == exactly(short)
    assert short == compact(short)
    assert (
        len(short) <= len(json.dumps(value, ensure_ascii=True, separators=(",", ":"))) or b"\\" in data or b'"' in data
    )


def check_progress(data: bytes) -> None:
    head = Head("PUT", "/message/progress", {}, [])
    try:
        said = SAYINGS["/message/progress"]["PUT"].read(head, data)
    except ProblemError as error:
        assert 400 == error.problem.status
        assert is_text(error.detail)
        return
    assert isinstance(said, Beat)
    assert said.progress.percent is None or 0 <= said.progress.percent <= 100
    assert len(said.progress.note) <= 1000


def event(**more: object) -> bytes:
    return msgspec.json.encode({"specversion": "1.0", "id": "1", "source": "/s", "type": "t"} | more)


_WORDS: Final = (
    b'"specversion":"1.0",',
    b'"data":',
    b'"data_base64":"aGk=",',
    b'"datacontenttype":"text/plain",',
    b'"time":"2026-01-02T03:04:05Z",',
    b'"partitionkey":',
    b"null",
    b"1e999",
    b"12345678901234567890.000",
    b"\\ud800",
    b"\\u0000",
    b"\xef\xbf\xbf",
    b"[" * 70,
    b"{",
    b"}",
    b'"',
)

TARGETS: Final = {
    "cloudevent": Target(
        check_event,
        (
            event(),
            event(data={"a": [1.50, None, " x "]}, partitionkey="p", time="2026-01-02T03:04:05Z", subject="Zo\u00eb"),
            event(data="text", datacontenttype="text/plain; charset=utf-8", flag=True, number=7),
            event(data_base64="aGk=", datacontenttype="image/png"),
            event(data={"a": 1}, datacontenttype="application/vnd.x+json", dataschema="http://x/y"),
            event(data=None, time=None),
            event(source="not a uri", specversion="0.3"),
            b'{"id": "1"}',
            b"[]",
        ),
        _WORDS,
    ),
    "batch": Target(
        check_batch,
        (
            b'j[{"session":"s","data":{"a":1}},{"idempotency_key":"k","data":"text","meta":{"Who":"me"},"ttl":"5m"}]',
            b'j[{"data_base64":"aGk=","content_type":"a/b","delay":"5s"},{"datta":1},{"session":""},5]',
            b'l{"data":1}\n\n {"data": "x"}\n{"deliver_at":"2999-01-01T00:00:00Z"}\n',
            b"m" + msgspec.msgpack.encode([{"data": b"\xff", "session": "s"}, {"data": {"a": 1.5}}, {"data": "x"}]),
            b"c[" + event(partitionkey="p") + b"," + event(data="x") + b',{"id":"1"}]',
            b"j[" + b"{}," * 1100 + b"{}]",
            b"e[]",
        ),
        (
            *_WORDS,
            b'"session":',
            b'"meta":{',
            b'"content_type":"application/cloudevents+json",',
            b"\n",
            b"\xa4data",
            b"\xdc",
        ),
    ),
    "json-compact": Target(
        check_compact,
        (b'{ "a b" : [ 1.50 , "\\" x", null ] }', b' "x" ', b"[1, 2.0e5,\n\t-0]", b'{"\\\\": " \\\\"}', b"5"),
        (b'"', b"\\", b" ", b"\n", b"\\u0020", b"[", b"]"),
    ),
    "progress": Target(
        check_progress,
        (b"", b'{"percent": 50}', b'{"note": "on it", "percent": null}', b'{"percent": 101}', b'{"percnt": 5}', b"[]"),
        (b'"percent"', b'"note"', b"1e999", b"-0.0", b"\\ud800"),
    ),
}
