"""What is said in batches: the body of a call, the list that answers it, and what /init may turn on."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import Answer, NoAnswer
from contracts.errors import PermanentError
from contracts.handler import NO_OPTIONS, Batch, Options, init_body, read_options
from contracts.handler_batch import Entry, batch_body, batch_head, read_batch_answer
from contracts.message import Message
from contracts.payloads import Form, payload_member, read_payload

DEADLINE = "2026-01-01T00:01:00.000Z"
BINARY = b"\xff\x00\xfe"
IDS = ["a", "b"]


def message(name: str = "a", body: bytes = b"hello", **more: Any) -> Message:
    return Message(namespace="default", queue="q", id=name, body=body, enqueued_at=1_767_225_600.5, **more)


def answered(value: object, form: Form = "json", content_type: str | None = None) -> list[Answer | NoAnswer] | NoAnswer:
    body = msgspec.json.encode(value) if form == "json" else msgspec.msgpack.encode(value)
    return read_batch_answer(Answer(200, content_type=content_type, body=body), IDS, form)


def one(**entry: Any) -> Answer:
    """How the first of two is answered; the second is fine."""
    found = answered([{"id": "a", **entry}, {"id": "b", "status": 200}])
    assert isinstance(found, list), found
    first, second = found
    assert Answer(200) == second
    assert isinstance(first, Answer)
    return first


def why(found: list[Answer | NoAnswer] | NoAnswer) -> str:
    """Why the batch failed as a whole."""
    assert isinstance(found, NoAnswer)
    assert "garbage" == found.kind
    return found.detail


# The call


def test_an_entry_says_all_that_the_head_of_a_message_would() -> None:
    given = message(
        session="zoë", content_type="text/plain", meta={"colour": "bl\u00fc"}, headers={"traceparent": "00-1-2-03"}
    )
    (entry,) = json.loads(batch_body([Entry(given, 3, "token")], DEADLINE, "json"))
    assert {
        "id": "a",
        "session": "zoë",
        "attempt": 3,
        "enqueued_at": "2026-01-01T00:00:00.500Z",
        "deadline": DEADLINE,
        "meta": {"colour": "blü"},
        "headers": {"traceparent": "00-1-2-03"},
        "token": "token",
        "content_type": "text/plain",
        "data": "hello",
    } == entry


def test_a_payload_that_is_no_text_is_base64_in_json_and_bytes_in_msgpack() -> None:
    entries = [Entry(message(body=BINARY), 1, "t"), Entry(message("b", b"caf\xc3\xa9"), 1, "t")]
    in_json = json.loads(batch_body(entries, DEADLINE, "json"))
    in_msgpack = msgspec.msgpack.decode(batch_body(entries, DEADLINE, "msgpack"))
    assert (b64encode(BINARY).decode(), "café") == (in_json[0]["data_base64"], in_json[1]["data"])
    assert (BINARY, "café") == (in_msgpack[0]["data"], in_msgpack[1]["data"])
    assert not {"data", "data_base64"} <= set(in_json[0])


@pytest.mark.parametrize(("form", "media"), [("json", "application/json"), ("msgpack", "application/msgpack")])
def test_the_head_names_path_type_and_length(form: Form, media: str) -> None:
    first, *lines = batch_head("127.0.0.1:8080", 17, form).decode("ascii").split("\r\n")
    assert "POST /messages HTTP/1.1" == first
    expected = ["Host: 127.0.0.1:8080", f"Accept: {media}", f"Content-Type: {media}", "Content-Length: 17", "", ""]
    assert expected == lines


# The answer


def test_each_entry_is_an_answer() -> None:
    given = {"id": "a", "status": 503, "outcome": "retry", "retry_after": 5, "content_type": "text/x", "data": "no"}
    expected = [Answer(503, "retry", "5.0", "text/x", b"no"), Answer(204)]
    assert expected == answered([given, {"id": "b", "status": 204}])


def test_answers_are_told_apart_by_their_ids() -> None:
    found = answered([{"id": "b", "status": 422}, {"id": "a", "status": 200}])
    assert [Answer(200), Answer(422)] == found


@pytest.mark.parametrize(
    ("data", "body", "content_type"),
    [
        ("text", b"text", "text/plain; charset=utf-8"),
        ("", b"", None),
        ({"a": [1, 2.5, None]}, b'{"a":[1,2.5,null]}', "application/json"),
        (17, b"17", "application/json"),
        (False, b"false", "application/json"),
        (None, b"null", "application/json"),
    ],
)
def test_data_is_text_as_it_is_and_anything_else_compact_json(data: Any, body: bytes, content_type: str | None) -> None:
    assert Answer(200, body=body, content_type=content_type) == one(status=200, data=data)


def test_bytes_come_as_base64_and_a_named_type_is_kept() -> None:
    data = b64encode(BINARY).decode()
    assert Answer(200, body=BINARY, content_type="application/octet-stream") == one(status=200, data_base64=data)
    assert Answer(200, body=BINARY, content_type="image/x") == one(status=200, data_base64=data, content_type="image/x")


def test_in_msgpack_bytes_and_text_stand_as_they_are() -> None:
    found = answered([{"id": "a", "status": 200, "data": BINARY}, {"id": "b", "status": 200, "data": "é"}], "msgpack")
    assert isinstance(found, list)
    assert [BINARY, "é".encode()] == [answer.body for answer in found if isinstance(answer, Answer)]


@pytest.mark.parametrize("media", ["application/msgpack", "application/vnd.msgpack; v=1", "APPLICATION/MSGPACK"])
def test_the_answers_own_type_says_how_to_read_it(media: str) -> None:
    body = msgspec.msgpack.encode([{"id": name, "status": 200} for name in IDS])
    assert [Answer(200)] * 2 == read_batch_answer(Answer(200, content_type=media, body=body), IDS, "json")
    plain = msgspec.json.encode([{"id": name, "status": 200} for name in IDS])
    assert [Answer(200)] * 2 == read_batch_answer(Answer(200, None, None, "application/json", plain), IDS, "msgpack")


def test_an_outcome_needs_no_status_and_one_of_both_is_needed() -> None:
    assert Answer(200, "dead-letter") == one(outcome="dead-letter")
    assert "neither status nor outcome" in why(answered([{"id": "a"}, {"id": "b", "status": 200}]))


def test_retry_after_may_be_a_date() -> None:
    date = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert Answer(429, retry_after=date) == one(status=429, retry_after=date)


FINE = {"id": "b", "status": 200}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([FINE], "it has 1 entries"),
        ([FINE] * 3, "it has 3 entries"),
        ([FINE, FINE], "not in it, or too often: b"),
        ([{"id": "x", "status": 200}, FINE], "not in it, or too often: x"),
        ({"a": 1}, "Expected `array`"),
        ("fine", "Expected `array`"),
        ([1, 2], "Expected `object`"),
        ([{"id": 1, "status": 200}, FINE], "Expected `str`"),
        ([{"id": "a", "status": "200"}, FINE], "Expected `int"),
        ([{"id": "a", "status": 200, "data_base64": "*"}, FINE], "is not base64"),
        ([{"id": "a", "status": 200, "data": "", "data_base64": ""}, FINE], "exclude each other"),
        ([{"id": "a", "status": 200, "content_type": "a\r\nX: b"}, FINE], "is no header value"),
        ([{"id": "a", "status": 200, "content_type": "é"}, FINE], "is no header value"),
    ],
)
def test_a_list_that_does_not_fit_fails_the_batch(value: Any, says: str) -> None:
    assert says in why(answered(value))


@pytest.mark.parametrize("body", [b"", b"[", b"\xff", b'[{"id":"a","data":' + b"[" * 100_000])
def test_what_cannot_be_read_fails_the_batch(body: bytes) -> None:
    assert "the answer to a batch of 2 cannot be read" in why(read_batch_answer(Answer(200, body=body), IDS, "json"))


def test_msgpack_that_json_cannot_say_fails_the_batch() -> None:
    odd = [{"id": "a", "status": 200, "data": msgspec.msgpack.Ext(5, b"x")}, FINE]
    assert "cannot be written as JSON" in why(answered(odd, "msgpack"))


@pytest.mark.parametrize("status", [302, 404, 422, 500])
def test_another_status_fails_the_batch(status: int) -> None:
    body = msgspec.json.encode([{"id": name, "status": 200} for name in IDS])
    found = read_batch_answer(Answer(status, body=body), IDS, "json")
    assert f"the handler answered {status} to a batch of 2" == why(found)


def test_no_answer_is_none_for_the_batch_either() -> None:
    assert NoAnswer("timeout") == read_batch_answer(NoAnswer("timeout"), IDS, "json")


@given(st.binary(max_size=200), st.sampled_from(["json", "msgpack"]))
def test_whatever_a_handler_answers_is_read_without_harm(body: bytes, form: Form) -> None:
    found = read_batch_answer(Answer(200, body=body), IDS, form)
    assert isinstance(found, NoAnswer) or 2 == len(found)


# Payloads


@given(
    st.binary(max_size=100) | st.text(st.characters(exclude_categories=["Cs"])).map(str.encode),
    st.sampled_from(["json", "msgpack"]),
)
def test_a_payload_survives(body: bytes, form: Form) -> None:
    name, value = payload_member(body, form)
    given = {name: value}
    assert body == read_payload(given.get("data", msgspec.UNSET), given.get("data_base64"))[0]  # type: ignore[arg-type]


# What /init says, and is answered


def test_init_says_where_to_call_back_and_until_when() -> None:
    body = init_body("default", "orders", "orders-1", "http://127.0.0.1:9/v1/callback", "token", 1_767_225_600)
    assert {
        "contract": "v1",
        "namespace": "default",
        "queue": "orders",
        "replica": "orders-1",
        "callback_url": "http://127.0.0.1:9/v1/callback",
        "token": "token",
        "token_expires_at": "2026-01-01T00:00:00.000Z",
    } == json.loads(body)


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (b"", NO_OPTIONS),
        (b"OK\n", NO_OPTIONS),
        (b'"ok"', NO_OPTIONS),
        (b"null", NO_OPTIONS),
        (b'["async"]', NO_OPTIONS),
        (b"{}", NO_OPTIONS),
        (b'{"status": "ready"}', NO_OPTIONS),
        (b'{"async": true}', Options(asynchronous=True)),
        (b' \n{"batch": {}}', Options(Batch(64, 5))),
        (b'{"batch": null}', NO_OPTIONS),
        (
            b'{"batch": {"maxMessages": 7, "maxWaitMs": 0.5}, "format": "msgpack"}',
            Options(Batch(7, 0.5), False, "msgpack"),
        ),
    ],
)
def test_init_turns_on_what_its_object_says(body: bytes, options: Options) -> None:
    assert options == read_options(body)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"async": 1}', r"Expected `bool`, got `int` - at `\$.async`"),
        (b'{"batch": true}', r"\$.batch"),
        (b'{"batch": {"maxMessages": 0}}', r">= 1 - at `\$.batch.maxMessages`"),
        (b'{"batch": {"maxMessages": 1001}}', r"<= 1000"),
        (b'{"batch": {"maxWaitMs": -1}}', r">= 0"),
        (b'{"batch": {"max": 1}}', "unknown field `max`"),
        (b'{"format": "xml"}', "Invalid enum value 'xml'"),
        (b'{"async": true', "truncated"),
        (b'{"format": "\xff"}', "options that cannot be"),
        (b'{"x": ' + b"[" * 100_000, "recursion"),
    ],
)
def test_options_that_cannot_be_are_refused(body: bytes, says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        read_options(body)
