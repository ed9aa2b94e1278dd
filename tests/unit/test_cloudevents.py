"""CloudEvents in JSON: what an event becomes, and what is wrong with one that is none."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from contracts.cloudevents import BATCHED, STRUCTURED, CloudEvent, media_type, read_event
from contracts.enqueue import Enqueue
from contracts.jsontext import compact
from contracts.message import Message
from contracts.problems import Problem, ProblemError

LEAST = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
HEADERS = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}


def event(**members: Any) -> bytes:
    return json.dumps({**LEAST, **members}, ensure_ascii=False).encode()


def test_the_least_that_an_event_says() -> None:
    assert CloudEvent(HEADERS, "application/octet-stream", b"") == read_event(event())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(2**31), "-2147483648"),
        (2**31 - 1, "2147483647"),
        ("", ""),
        ("é%", "é%"),
    ],
)
def test_extensions_are_told_in_their_canonical_text(value: Any, text: str) -> None:
    assert HEADERS | {"ce-ext1": text} == read_event(event(ext1=value)).headers


def test_null_is_as_if_it_were_not_there() -> None:
    nothing = dict.fromkeys(("subject", "time", "dataschema", "datacontenttype", "ext", "data_base64"))
    assert CloudEvent(HEADERS, "application/json", b"1") == read_event(event(**nothing, data=1))


@pytest.mark.parametrize(
    "given",
    [
        {"time": "2018-04-05T17:31:00Z"},
        {"time": "1990-12-31t15:59:30.123456-08:00"},
        {"subject": "größer, with spaces & %41"},
        {"dataschema": "https://example.com/schema?v=1#a"},
        {"source": "urn:example:com:mysource:abc"},
        {"source": "https://[2001:db8::1]:8080/a%20b/(c)"},
        {"source": "1-555-123-4567"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"a" * 30: "long names are no mistake"},
        {"data1": "x", "datacontent": "y"},
    ],
)
def test_attributes_come_through_as_they_are(given: dict[str, str]) -> None:
    assert HEADERS | {f"ce-{name}": value for name, value in given.items()} == read_event(event(**given)).headers


@pytest.mark.parametrize(
    ("members", "content_type", "body"),
    [
        ({"data": {"a": [1, 2]}}, "application/json", b'{"a":[1,2]}'),
        ({"data": "text"}, "application/json", b'"text"'),
        ({"data": None}, "application/json", b"null"),
        ({"data": 1.5}, "application/json", b"1.5"),
        ({"data": "{}", "datacontenttype": "application/json"}, "application/json", b'"{}"'),
        ({"data": [1], "datacontenttype": "Text/JSON; a=b"}, "Text/JSON; a=b", b"[1]"),
        ({"data": {}, "datacontenttype": "application/vnd.x+json"}, "application/vnd.x+json", b"{}"),
        ({"data": "<é/>", "datacontenttype": "application/xml"}, "application/xml", "<é/>".encode()),
        ({"data": "", "datacontenttype": "text/plain"}, "text/plain", b""),
        ({"datacontenttype": "text/plain"}, "text/plain", b""),
        ({"data_base64": b64encode(b"\xff\0").decode()}, "application/octet-stream", b"\xff\0"),
        ({"data_base64": "", "datacontenttype": "image/png"}, "image/png", b""),
        ({"data_base64": b64encode(b"{}").decode(), "datacontenttype": "application/json"}, "application/json", b"{}"),
    ],
)
def test_the_payload_is_the_data(members: dict[str, Any], content_type: str, body: bytes) -> None:
    found = read_event(event(**members))
    assert (content_type, body, HEADERS) == (found.content_type, found.body, found.headers)


def test_numbers_in_the_data_stay_as_they_were_written() -> None:
    text = b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data": [1.0, 10000000000000000.01, 1e400, -0]}'
    assert b"[1.0,10000000000000000.01,1e400,-0]" == read_event(text).body


@pytest.mark.parametrize(
    ("members", "field", "says"),
    [
        ({"id": None}, "id", "is missing"),
        ({"specversion": None}, "specversion", "is missing"),
        ({"source": None}, "source", "is missing"),
        ({"type": None}, "type", "is missing"),
        ({"id": ""}, "id", "is empty"),
        ({"source": ""}, "source", "is empty"),
        ({"type": ""}, "type", "is empty"),
        ({"subject": ""}, "subject", "is empty"),
        ({"time": ""}, "time", "is empty"),
        ({"datacontenttype": ""}, "datacontenttype", "is empty"),
        ({"dataschema": ""}, "dataschema", "is empty"),
        ({"partitionkey": ""}, "partitionkey", "is empty"),
        ({"specversion": "0.3"}, "specversion", "'1.0'"),
        ({"specversion": 1.0}, "specversion", "is a string"),
        ({"id": {"a": 1}}, "id", "is a string"),
        ({"ext": [1]}, "ext", "is a string"),
        ({"ext": 1.5}, "ext", "32 bits"),
        ({"ext": 2**31}, "ext", "32 bits"),
        ({"ext": -(2**31) - 1}, "ext", "32 bits"),
        ({"Ext": "x"}, "Ext", "lower-case letters and digits"),
        ({"my_ext": "x"}, "my_ext", "lower-case letters and digits"),
        ({"": "x"}, "", "lower-case letters and digits"),
        ({"é\n": "x"}, "\\xe9\\n", "lower-case letters and digits"),
        ({"time": "yesterday"}, "time", "not a time"),
        ({"time": "2018-04-05T17:31:00"}, "time", "not a time"),
        ({"source": "/a b"}, "source", "RFC 3986"),
        ({"source": "/ü"}, "source", "RFC 3986"),
        ({"source": "/%zz"}, "source", "RFC 3986"),
        ({"dataschema": "schema.json"}, "dataschema", "absolute"),
        ({"datacontenttype": "json"}, "datacontenttype", "media type"),
        ({"datacontenttype": "text/plain\r\nx: y"}, "datacontenttype", "control character"),
        ({"datacontenttype": "text/plain; a=é"}, "datacontenttype", "media type"),
        ({"subject": "a\u0000"}, "subject", "control character"),
        ({"subject": "a\u0085"}, "subject", "control character"),
        ({"ext": "\ufffe"}, "ext", "no character"),
        ({"ext": "\U0010ffff"}, "ext", "no character"),
        ({"ext": "x" * 8191}, "ext", "8191 bytes"),
        ({"ext": "é" * 1366}, "ext", "8196 bytes"),
        ({"data": 1, "data_base64": "eA=="}, "data_base64", "excludes data"),
        ({"data_base64": "!"}, "data_base64", "not base64"),
        ({"data_base64": 5}, "data_base64", "a string of base64"),
        ({"data": {}, "datacontenttype": "text/plain"}, "data", "is a string where"),
        ({"data": None, "datacontenttype": "text/plain"}, "data", "is a string where"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_event(event(**members))
    assert (Problem.MALFORMED_REQUEST, field) == (caught.value.problem, caught.value.extra["field"])
    assert caught.value.detail.startswith(f"{field}: ")
    assert says in caught.value.detail
    assert caught.value.detail.isprintable()


def test_a_number_that_nothing_holds() -> None:
    with pytest.raises(ProblemError, match="n: is a number out of range"):
        read_event(b'{"n": 1e400}')


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"", {"line": 1, "column": 1}),
        (b'{"id": "1",\n "x"}', {"line": 2, "column": 5}),
        (b'{"id": "\xff"}', {"line": 1, "column": 9}),
        (b'{"data": {"a": "\xff"}}', {"line": 1, "column": 17}),
        (b'{"id": "1"', {"line": 1}),
        (b"[]", {}),
        (b'"x"', {}),
        (b'{"data": ' + b"[" * 100_000, {}),
    ],
)
def test_what_is_no_event_at_all_says_where(text: bytes, place: dict[str, int]) -> None:
    with pytest.raises(ProblemError) as caught:
        read_event(text)
    assert Problem.MALFORMED_REQUEST is caught.value.problem
    assert place == {name: caught.value.extra[name] for name in place}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"1", b"1"),
        (b' { "a b" : [ 1 , 2 ] } \r\n', b'{"a b":[1,2]}'),
        (rb'"\" \\" ', rb'"\" \\"'),
        (rb'["\\", "\" , \"" ]', rb'["\\","\" , \""]'),
        ('"é\t" '.encode(), '"é\t"'.encode()),
    ],
)
def test_compact_text_has_no_space_between_its_parts(text: bytes, expected: bytes) -> None:
    assert expected == compact(text)


def test_media_types_are_compared_without_case_and_parameters() -> None:
    assert STRUCTURED == media_type(" Application/CloudEvents+JSON ; charset=utf-8")


def _message(asked: Enqueue, body: bytes) -> Message:
    return asked.message("default", "q", "m", 5.0, body)


@pytest.mark.parametrize(
    ("session", "key", "expected"), [(None, None, None), (None, "p", "p"), ("s", "p", "s"), ("s", "x" * 256, "s")]
)
def test_the_partition_key_is_the_session_where_none_is_named(
    session: str | None, key: str | None, expected: str | None
) -> None:
    message = _message(Enqueue(session=session, content_type=STRUCTURED), event(partitionkey=key))
    assert expected == message.session


def test_a_partition_key_that_can_be_no_session_is_named() -> None:
    with pytest.raises(ProblemError) as caught:
        _message(Enqueue(content_type=STRUCTURED), event(partitionkey="x" * 256))
    assert "partitionkey" == caught.value.extra["field"]


def test_the_head_of_the_call_goes_with_the_event_and_the_event_knows_better() -> None:
    headers = {"traceparent": "00-x", "ce-id": "other", "ce-more": "1"}
    message = _message(Enqueue(content_type=STRUCTURED, meta={"a": "1"}, headers=headers), event(data=5))
    assert ({"a": "1"}, b"5", "application/json") == (message.meta, message.body, message.content_type)
    assert HEADERS | {"traceparent": "00-x", "ce-more": "1"} == message.headers


def test_a_batch_is_no_event() -> None:
    with pytest.raises(ProblemError) as caught:
        _message(Enqueue(content_type=BATCHED), b"[]")
    assert Problem.NOT_ALLOWED is caught.value.problem
