"""Whatever an event holds, its handler can read it again; and whatever is no event is refused in a sentence."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from contracts.cloudevents import STRUCTURED, read_event
from contracts.enqueue import Enqueue
from contracts.handler import message_heads
from contracts.jsontext import compact
from contracts.problems import Problem, ProblemError
from dispatcher.core.batch import read_batch

HEADS = message_heads("handler:80", "default", "q", "http://127.0.0.1:1")

text = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=40)
names = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(lambda name: name not in ("time", "data", "dataschema"))
values = text | st.booleans() | st.integers(-(2**31), 2**31 - 1)
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
data = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def canonical(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(st.dictionaries(names, values, max_size=4), text, text, data)
def test_an_event_comes_out_in_binary_mode_as_it_went_in(
    extensions: dict[str, Any], event_id: str, kind: str, value: Any
) -> None:
    attributes = extensions | {"specversion": "1.0", "id": event_id, "source": "/s", "type": kind}
    attributes.pop("datacontenttype", None)
    attributes.pop("partitionkey", None)
    body = json.dumps({**attributes, "data": value}).encode("utf-8", "replace")
    message = Enqueue(content_type=STRUCTURED).message("default", "q", "m", 5.0, body)
    lines = HEADS(message, 1, "2026-01-01T00:00:00.000Z", "token").decode("ascii").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if line.startswith("ce-"))
    assert {f"ce-{name}": canonical(value) for name, value in attributes.items()} == {
        name: unquote(header) for name, header in headers.items()
    }
    assert ("application/json", value) == (message.content_type, json.loads(message.body))


@given(data)
def test_compact_json_means_the_same(value: Any) -> None:
    for indent in (None, 2):
        written = json.dumps(value, indent=indent, separators=(" ,\t", " :\n"), ensure_ascii=indent is None)
        short = compact(written.encode("utf-8", "replace"))
        assert json.dumps(value, separators=(",", ":"), ensure_ascii=indent is None).encode("utf-8", "replace") == short


@given(
    st.binary(max_size=200)
    | st.dictionaries(st.text(max_size=10), data, max_size=5).map(lambda d: json.dumps(d).encode())
)
def test_what_is_no_event_is_refused_in_a_sentence(body: bytes) -> None:
    try:
        read_event(body)
    except ProblemError as error:
        assert Problem.MALFORMED_REQUEST is error.problem
        assert error.detail
        assert error.detail.isprintable()


fields = st.sampled_from(
    "session idempotency_key delay deliver_at ttl result_url meta content_type data data_base64 other".split()  # noqa: SIM905
)
entries = st.lists(data | st.dictionaries(fields, data | text, max_size=4), max_size=5)


@given(entries)
def test_every_entry_is_answered_and_every_form_agrees(given_entries: list[Any]) -> None:
    bodies = {
        "application/json": json.dumps(given_entries).encode(),
        "application/x-ndjson": b"\n".join(json.dumps(one).encode() for one in given_entries),
    }
    found = [read_batch(Enqueue(content_type=form), body, 100) for form, body in bodies.items()]
    shown = [[one.detail if isinstance(one, ProblemError) else one for one in wishes] for wishes in found]
    assert shown[0] == shown[1]
    assert len(given_entries) == len(shown[0])


@given(st.binary(max_size=200), st.sampled_from(["json", "x-ndjson", "msgpack", "cloudevents-batch+json"]))
def test_a_body_of_any_bytes_is_read_or_refused(body: bytes, form: str) -> None:
    try:
        for wish in read_batch(Enqueue(content_type=f"application/{form}"), body, 100):
            assert not isinstance(wish, ProblemError) or wish.detail.isprintable()
    except ProblemError as error:
        assert 400 == error.problem.status
        assert error.detail.isprintable()


@given(st.lists(st.dictionaries(fields, st.binary(max_size=5) | text | data, max_size=4), max_size=5))
def test_msgpack_of_any_values_is_read_or_refused_entry_by_entry(given_entries: list[Any]) -> None:
    try:
        body = msgspec.msgpack.encode(given_entries)
    except OverflowError:
        return
    assert len(given_entries) == len(read_batch(Enqueue(content_type="application/msgpack"), body, 100))
