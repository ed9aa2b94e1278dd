"""CloudEvents over real HTTP: structured and batched in, binary mode out, as the SDK writes and reads them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from contracts.handler import message_heads
from contracts.message import Message
from tests.system.api_scene import Api, Reply, Worker, running

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"
LEAST = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def post(api: Api, body: Any, content_type: str = STRUCTURED, path: str = "messages", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.call("POST", path, data=sent, headers={"Content-Type": content_type, **named})


def received(message: Message) -> CloudEvent:
    """What a handler that uses the SDK takes the call for."""
    heads = message_heads("handler:80", "default", "orders", "http://127.0.0.1:1")
    lines = heads(message, 1, "2026-01-01T00:00:00.000Z", "token").decode("ascii").split("\r\n")[1:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    event = from_binary_event(HTTPMessage({name.lower(): value for name, value in headers.items()}, message.body))
    assert isinstance(event, CloudEvent)
    return event


EVENTS: list[tuple[dict[str, Any], Any]] = [
    ({}, {"a": [1, 2.5, None, "é"]}),
    ({"datacontenttype": "application/json"}, {"a": 1}),
    ({"datacontenttype": "application/vnd.example+json"}, {"a": 1}),
    ({"datacontenttype": "text/plain"}, "grüße"),
    ({"datacontenttype": "application/octet-stream"}, b"\xff\x00\x01"),
    ({"subject": 'größer "than" 50% '}, {}),
    ({"dataschema": "https://example.com/s#a", "ext1": "x", "partitionkey": "p 1"}, {}),
]


@pytest.mark.parametrize(("attributes", "data"), EVENTS)
@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_what_the_sdk_sends_the_sdk_receives(api: Api, attributes: dict[str, Any], data: Any, mode: str) -> None:
    given = {"type": "com.example.made", "source": "/made/here", **attributes}
    sent = CloudEvent({**given, "time": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)}, data)
    written = (to_structured_event if mode == "structured" else to_binary_event)(sent)
    reply = await api.call("POST", "messages", data=written.body, headers=written.headers)
    assert 202 == reply.status, reply.json
    worker = Worker(api)
    delivered = await worker.start()
    event = received(delivered.message)
    expected = sent.get_attributes()
    if "datacontenttype" not in attributes:
        implied = "application/json" if mode == "structured" else "application/octet-stream"
        expected = {**expected, "datacontenttype": implied}
    assert expected == event.get_attributes()
    if mode == "structured" or "datacontenttype" in attributes:
        assert data == event.get_data()
    assert attributes.get("partitionkey") == reply.json["session"] == delivered.message.session


async def test_an_event_is_answered_as_any_message(api: Api) -> None:
    reply = await post(api, {**LEAST, "data": {"a": 1}}, f"{STRUCTURED}; charset=utf-8", Kubedaemon_Session="s")
    assert (202, "s", "queued") == (reply.status, reply.json["session"], reply.json["state"])
    (message,) = api.broker.published
    assert (b'{"a":1}', "application/json") == (message.body, message.content_type)
    assert {f"ce-{name}": value for name, value in LEAST.items()} == message.headers


async def test_a_key_makes_an_event_one_message(api: Api) -> None:
    replies = [
        await post(api, {**LEAST, "data": 1, "id": str(n // 2), "partitionkey": "p"}, Idempotency_Key="k")
        for n in range(2)
    ]
    assert replies[0].headers["Location"] == replies[1].headers["Location"]
    assert 422 == (await post(api, {**LEAST, "data": 2, "partitionkey": "p"}, Idempotency_Key="k")).status
    assert 1 == len(api.broker.published)


async def test_an_event_may_be_waited_for(api: Api) -> None:
    reply = await post(api, LEAST, Prefer="wait=0")
    assert (202, "wait=0") == (reply.status, reply.headers["Preference-Applied"])


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type"])
async def test_what_is_missing_is_named(api: Api, missing: str) -> None:
    reply = await post(api, {name: value for name, value in LEAST.items() if name != missing})
    assert (400, "malformed-request", missing) == (reply.status, reply.problem, reply.json["field"])
    assert [] == api.broker.published


async def test_what_is_no_event_says_where(api: Api) -> None:
    reply = await post(api, b'{"id":\n}')
    assert (400, 2, 1) == (reply.status, reply.json["line"], reply.json["column"])
    assert 400 == (await post(api, [LEAST])).status


@pytest.mark.parametrize(
    "form", ["application/cloudevents", "application/cloudevents+xml", "application/cloudevents-batch"]
)
async def test_other_forms_of_events_are_refused_and_never_taken_for_payloads(api: Api, form: str) -> None:
    reply = await post(api, b"<event/>", form)
    assert (422, "not-allowed", "Content-Type") == (reply.status, reply.problem, reply.json["header"])
    assert STRUCTURED in reply.json["detail"]


async def test_an_event_is_as_large_as_the_queue_allows_envelope_and_all(api: Api) -> None:
    event = {**LEAST, "data": "x" * 100}
    size = len(json.dumps(event))
    await api.make(limits={"maxMessageBytes": size})
    assert 202 == (await post(api, event)).status
    assert [202] == [item["status"] for item in (await post(api, [event], BATCHED)).json["items"]]
    event["data"] += "x"
    assert 413 == (await post(api, event)).status
    assert [413] == [item["status"] for item in (await post(api, [event], BATCHED)).json["items"]]


@pytest.mark.parametrize("path", ["messages", "messages/batch"])
async def test_a_batch_of_events(api: Api, path: str) -> None:
    events: list[Any] = [
        {**LEAST, "id": "a", "data": 1, "partitionkey": "p"},
        {**LEAST, "id": "b", "source": ""},
        {**LEAST, "id": "c", "data_base64": "/w=="},
        5,
        {**LEAST, "id": "d", "data": "x", "datacontenttype": "text/plain", "partitionkey": "p"},
    ]
    reply = await post(api, events, BATCHED, path, Kubedaemon_Meta_A="1", Kubedaemon_Ttl="10s")
    assert 200 == reply.status
    items = reply.json["items"]
    assert [202, 400, 202, 400, 202] == [item["status"] for item in items]
    assert "source" == items[1]["field"]
    found = api.broker.published
    assert [items[n]["id"] for n in (0, 2, 4)] == [message.id for message in found]
    assert ["a", "c", "d"] == [message.headers["ce-id"] for message in found]
    assert [b"1", b"\xff", b"x"] == [message.body for message in found]
    assert ["p", None, "p"] == [message.session for message in found]
    assert [({"a": "1"}, api.clock + 10)] * 3 == [(message.meta, message.expires_at) for message in found]


async def test_a_session_in_the_head_is_that_of_all_events(api: Api) -> None:
    events = [{**LEAST, "id": str(n), "partitionkey": "p"} for n in range(3)]
    assert 200 == (await post(api, events, BATCHED, Kubedaemon_Session="s")).status
    assert [("s", "0"), ("s", "1"), ("s", "2")] == [(one.session, one.headers["ce-id"]) for one in api.broker.published]


async def test_a_batch_of_events_that_is_malformed_as_a_whole(api: Api) -> None:
    reply = await post(api, b'[{"id": "1"},\n}]', BATCHED)
    assert (400, 2) == (reply.status, reply.json["line"])
    reply = await post(api, [LEAST] * 1001, BATCHED)
    assert (413, "payload-too-large") == (reply.status, reply.problem)
    reply = await post(api, [LEAST], BATCHED, Idempotency_Key="k")
    assert (400, "Idempotency-Key") == (reply.status, reply.json["header"])
    assert 400 == (await post(api, LEAST, STRUCTURED, "messages/batch")).status
    assert {"items": []} == (await post(api, [], BATCHED)).json
    assert [] == api.broker.published
