"""Batches over real HTTP: in each form, each entry answered on its own, in order, in one turn of broker and store."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from typing import Any

import msgspec
import pytest

from contracts.message import Message
from contracts.problems import BASE
from contracts.timestamps import format_time
from tests.system.api_scene import QUEUE, Api, Reply, Worker, running

JSON = "application/json"
LINES = "application/x-ndjson"
PACKED = "application/msgpack"

_ENCODERS: dict[str, Any] = {
    JSON: msgspec.json.encode,
    f"{JSON}; charset=utf-8": msgspec.json.encode,
    LINES: lambda entries: b"\n".join(msgspec.json.encode(one) for one in entries),
    PACKED: msgspec.msgpack.encode,
    "Application/VND.msgpack": msgspec.msgpack.encode,
}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def batch(api: Api, body: bytes, content_type: str = JSON, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.call("POST", "messages/batch", data=body, headers={"Content-Type": content_type, **named})


async def send(api: Api, entries: Sequence[Any], content_type: str = JSON) -> list[dict[str, Any]]:
    """The items of the answer."""
    reply = await batch(api, _ENCODERS[content_type](entries), content_type)
    assert (200, {"items"}) == (reply.status, set(reply.json)), reply.json
    items: list[dict[str, Any]] = reply.json["items"]
    return items


def told(items: list[dict[str, Any]]) -> list[tuple[int, str | None]]:
    """Status and, of a problem, its slug."""
    return [(item["status"], item["type"].removeprefix(BASE) if "type" in item else None) for item in items]


@pytest.mark.parametrize("content_type", _ENCODERS)
async def test_every_form_says_the_same(api: Api, content_type: str) -> None:
    entries = [
        {"session": "Zoë %41", "data": "grüße", "meta": {"Who": "50% Zoë"}},
        {"session": "s", "data": {"a": [1, 2.5, None]}},
        {"data_base64": b64encode(bytes(range(256))).decode(), "content_type": "image/png"},
        {},
        {"data": "", "content_type": "text/html", "session": None, "ttl": None, "meta": None},
    ]
    items = await send(api, entries, content_type)
    assert [{"status": 202, "id": message.id} for message in api.broker.published] == items
    assert [
        ("Zoë %41", "grüße".encode(), "text/plain; charset=utf-8", {"who": "50% Zoë"}),
        ("s", b'{"a":[1,2.5,null]}', "application/json", {}),
        (None, bytes(range(256)), "image/png", {}),
        (None, b"", "application/octet-stream", {}),
        (None, b"", "text/html", {}),
    ] == [(one.session, one.body, one.content_type, one.meta) for one in api.broker.published]
    for item in items:
        assert "queued" == (await api.call("GET", f"messages/{item['id']}")).json["state"]


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"null", b"null"),
        (b"true", b"true"),
        (b"-0", b"-0"),
        (b"10000000000000000.01", b"10000000000000000.01"),
        (b"123456789012345678901234567890", b"123456789012345678901234567890"),
        (b"1E400", b"1E400"),
        (b'[ 1,\t"a \\" b",\n { "x" : [ ] } ]', b'[1,"a \\" b",{"x":[]}]'),
        (b'{"a": "\\u00e9", "a": 2}', b'{"a":"\\u00e9","a":2}'),
    ],
)
async def test_json_values_are_compact_and_their_numbers_as_they_were(api: Api, data: bytes, body: bytes) -> None:
    assert 200 == (await batch(api, b'[{"data": %b}]' % data)).status
    (message,) = api.broker.published
    assert (body, "application/json") == (message.body, message.content_type)


async def test_strings_are_text_exactly(api: Api) -> None:
    await batch(api, rb'[{"data": "a\u0000\n \u00e9 \ud83d\ude00 {}"}]')
    assert "a\0\n é 😀 {}".encode() == api.broker.published[0].body


async def test_msgpack_carries_bytes_and_text_as_they_are(api: Api) -> None:
    entries: list[Any] = [{"data": b"\xff\x00"}, {"data": "é"}, {"data": {"a": 1}}, {"data": None}]
    assert [(202, None)] * 4 == told(await send(api, entries, PACKED))
    assert [
        (b"\xff\x00", "application/octet-stream"),
        ("é".encode(), "text/plain; charset=utf-8"),
        (b'{"a":1}', "application/json"),
        (b"null", "application/json"),
    ] == [(one.body, one.content_type) for one in api.broker.published]


@pytest.mark.parametrize(
    ("entry", "field", "says"),
    [
        ({"sesion": "s"}, "sesion", "did you mean session?"),
        ({"body": "x"}, "body", "no field of an entry"),
        ({"session": 5}, "session", "expected str"),
        ({"session": ""}, "session", "is empty"),
        ({"session": "é" * 128}, "session", "256 bytes"),
        ({"idempotency_key": ""}, "idempotency_key", "1 to 255"),
        ({"idempotency_key": "a b"}, "idempotency_key", "1 to 255"),
        ({"delay": 5}, "delay", "expected str"),
        ({"delay": "soon"}, "delay", "not a duration"),
        ({"deliver_at": "tomorrow"}, "deliver_at", "not a time"),
        ({"delay": "1s", "deliver_at": "2030-01-01T00:00:00Z"}, "delay", "exclude each other"),
        ({"ttl": "-1s"}, "ttl", "not a duration"),
        ({"content_type": "text/é"}, "content_type", "printable ASCII"),
        ({"content_type": ""}, "content_type", "is empty"),
        ({"meta": {"a": 1}}, "meta", "expected str"),
        ({"meta": "a"}, "meta", "expected object"),
        ({"meta": {"a b": "x"}}, "meta", "no HTTP token"),
        ({"meta": {"": "x"}}, "meta", "no HTTP token"),
        ({"meta": {"A": "1", "a": "2"}}, "meta", "given twice"),
        ({"meta": {"a": "é" * 3000}}, "meta", "18000 bytes"),
        ({"data": "x", "data_base64": "eA=="}, "data_base64", "exclude each other"),
        ({"data": {"a": 1}, "data_base64": "eA=="}, "data_base64", "exclude each other"),
        ({"data_base64": "!"}, "data_base64", "not base64"),
        ({"data_base64": 1}, "data_base64", "expected str"),
    ],
)
@pytest.mark.parametrize("content_type", [JSON, PACKED])
async def test_what_is_wrong_with_an_entry_is_its_own_problem(
    api: Api, entry: dict[str, Any], field: str, says: str, content_type: str
) -> None:
    items = await send(api, [{"data": "a"}, entry, {"data": "b"}], content_type)
    assert [(202, None), (400, "malformed-request"), (202, None)] == told(items)
    assert field == items[1]["field"]
    assert says in items[1]["detail"]
    assert [b"a", b"b"] == [message.body for message in api.broker.published]


@pytest.mark.parametrize("entry", [1, "x", None, [], [{}]])
async def test_an_entry_that_is_no_object(api: Api, entry: Any) -> None:
    for content_type in (JSON, LINES, PACKED):
        (item,) = await send(api, [entry], content_type)
        assert (400, True) == (item["status"], "expected object" in item["detail"])


async def test_msgpack_that_json_cannot_say(api: Api) -> None:
    entries = [{"data": msgspec.msgpack.Ext(5, b"x")}, {"session": b"x"}, {1: 2}]
    assert [(400, "malformed-request")] * 3 == told(await send(api, entries, PACKED))
    reply = await batch(api, b"\x91\x81\xa7session\xa1\xff", PACKED)
    assert "not UTF-8" in reply.json["items"][0]["detail"]


@pytest.mark.parametrize(
    ("content_type", "body", "place"),
    [
        (JSON, b"", {"line": 1, "column": 1}),
        (JSON, b"[{},]", {"line": 1, "column": 5}),
        (JSON, b'[{"data": "a"},\n {"data": }]', {"line": 2, "column": 11}),
        (JSON, b'[{"data": "\xff"}]', {"line": 1, "column": 12}),
        (JSON, b'[{"data": "\\ud800"}]', {"line": 1}),
        (JSON, b"[" * 100_000, {}),
        (LINES, b'{"data": "a"}\n\n{"data": }\n', {"line": 3, "column": 10}),
        (LINES, b'{"data": "a"}{"data": "b"}\n', {"line": 1}),
        (LINES, b'{"data": "a"}\n{"data": "\xff"}\n', {"line": 2, "column": 11}),
        (LINES, b'{"data": "a"}\n{"data": "cut o', {"line": 2}),
        (LINES, b'{"data": "a"}\n{"data": ' + b"[" * 100_000, {"line": 2}),
        (PACKED, b"", {}),
        (PACKED, b"\x92\x80", {}),
        (PACKED, b"\x91\xc1", {}),
        (PACKED, b"\x91" * 100_000, {}),
    ],
)
async def test_what_is_malformed_as_a_whole_says_where_and_nothing_is_accepted(
    api: Api, content_type: str, body: bytes, place: dict[str, int]
) -> None:
    reply = await batch(api, body, content_type)
    assert (400, "malformed-request") == (reply.status, reply.problem)
    assert place == {name: reply.json[name] for name in place}
    assert [] == api.broker.published


@pytest.mark.parametrize("body", [b"{}", b'"x"', b"1", b"null"])
async def test_what_is_no_array(api: Api, body: bytes) -> None:
    packed = msgspec.msgpack.encode(msgspec.json.decode(body))
    for content_type, sent in ((JSON, body), (PACKED, packed), ("application/cloudevents-batch+json", body)):
        reply = await batch(api, sent, content_type)
        assert (400, "malformed-request") == (reply.status, reply.problem)
        assert "array" in reply.json["detail"]


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_another_form_is_refused_and_those_that_are_known_are_named(api: Api, content_type: str) -> None:
    reply = await batch(api, b"[]", content_type or "application/octet-stream")
    assert (400, "malformed-request", "Content-Type") == (reply.status, reply.problem, reply.json["header"])
    assert LINES in reply.json["detail"]


@pytest.mark.parametrize("content_type", [JSON, LINES, PACKED])
async def test_a_thousand_and_no_more(api: Api, content_type: str) -> None:
    items = await send(api, [{"data": str(n), "session": "s"} for n in range(1000)], content_type)
    assert [(202, None)] * 1000 == told(items)
    assert [str(n).encode() for n in range(1000)] == [message.body for message in api.broker.published]
    for count in (1001, 3000):
        reply = await batch(api, _ENCODERS[content_type]([{}] * count), content_type)
        assert (413, "payload-too-large", 1000) == (reply.status, reply.problem, reply.json["limit"])
    assert 1000 == len(api.broker.published)


@pytest.mark.parametrize("content_type", [JSON, LINES, PACKED])
async def test_none_at_all(api: Api, content_type: str) -> None:
    assert [] == await send(api, [], content_type)


async def test_lines_may_end_as_they_like(api: Api) -> None:
    reply = await batch(api, b'\n{"data":"a"}\r\n  \r\n\r\n{"data":"b"}', LINES)
    assert [(202, None)] * 2 == told(reply.json["items"])


async def test_the_order_is_kept_and_the_broker_and_the_store_are_asked_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[tuple[str, int]] = []
    publish, confirm = api.broker.publish, api.store.confirm

    async def published(messages: Sequence[Message]) -> Any:
        turns.append(("publish", len(messages)))
        return await publish(messages)

    async def confirmed(messages: Sequence[Message]) -> None:
        turns.append(("confirm", len(messages)))
        await confirm(messages)

    monkeypatch.setattr(api.broker, "publish", published)
    monkeypatch.setattr(api.store, "confirm", confirmed)
    await send(api, [{"session": f"s{n % 3}", "data": str(n)} for n in range(30)] + [{"x": 1}])
    assert [("publish", 30), ("confirm", 30)] == turns
    worker = Worker(api)
    for n in range(30):
        delivered = await worker.start()
        assert (f"s{n % 3}", str(n).encode()) == (delivered.message.session, delivered.message.body)
        await worker.end(delivered)


async def test_each_is_as_large_as_the_queue_allows(api: Api) -> None:
    await api.make(limits={"maxMessageBytes": 10})
    items = await send(api, [{"data": "x" * 10}, {"data": "x" * 11}, {"data_base64": b64encode(b"x" * 10).decode()}])
    assert [(202, None), (413, "payload-too-large"), (202, None)] == told(items)
    assert 10 == items[1]["limit"]


async def test_the_whole_has_a_limit_too(api: Api) -> None:
    head = f"POST {QUEUE}/messages/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: {JSON}\r\nConnection: close\r\n"
    answer = await api.raw(f"{head}Content-Length: {16 * 1024 * 1024 + 1}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    await api.make(limits={"maxMessageBytes": 16 * 1024 * 1024})
    large = BytesIO(b'[{"data_base64": "%b"}]' % b64encode(bytes(16 * 1024 * 1024)))
    reply = await api.call("POST", "messages/batch", data=large, headers={"Content-Type": JSON})
    assert [(202, None)] == told(reply.json["items"])


async def test_a_key_is_handled_once_whatever_it_came_with(api: Api) -> None:
    single = await api.send(b"a", Idempotency_Key="k1", Content_Type="text/plain")
    entries = [
        {"idempotency_key": "k1", "data": "a", "content_type": "text/plain"},
        {"idempotency_key": "k1", "data": "b", "content_type": "text/plain"},
        {"idempotency_key": "k2", "data": "c"},
        {"idempotency_key": "k2", "data": "c"},
        {"idempotency_key": "k2", "data": "c", "session": "s"},
    ]
    items = await send(api, entries)
    conflict = (422, "idempotency-conflict")
    assert [(202, None), conflict, (202, None), (202, None), conflict] == told(items)
    assert [single, single, items[2]["id"], items[2]["id"], items[2]["id"]] == [item["id"] for item in items]
    assert [single, items[2]["id"]] == [message.id for message in api.broker.published]
    assert told(items) == told(await send(api, entries))
    assert 2 == len(api.broker.published)
    assert 2.0 == api.registry.get_sample_value(
        "kubedaemon_dispatcher_messages_accepted_total", {"namespace": "default", "queue": "orders"}
    )


async def test_times_are_each_entrys_own(api: Api) -> None:
    later = format_time(api.clock + 3600)
    items = await send(
        api,
        [{"data": "a", "delay": "1h"}, {"data": "b", "ttl": "10s"}, {"data": "c", "deliver_at": later}, {"data": "d"}],
    )
    assert [(202, None)] * 4 == told(items)
    assert [b"b", b"d"] == [message.body for message in api.broker.published]
    assert api.clock + 10 == api.broker.published[0].expires_at
    states = [(await api.call("GET", f"messages/{item['id']}")).json["state"] for item in items]
    assert ["scheduled", "queued", "scheduled", "queued"] == states
    assert 2 == (await api.call("GET", "")).json["status"]["scheduled"]


async def test_what_is_not_built_is_refused_in_its_entry(api: Api) -> None:
    items = await send(api, [{"data": "a", "result_url": "https://example.com"}, {"data": "b"}])
    assert [(501, "not-implemented"), (202, None)] == told(items)
    assert "result_url" == items[0]["field"]


async def test_a_queue_that_fills_up_refuses_the_rest(api: Api) -> None:
    await api.make(limits={"maxLength": 3})
    await send(api, [{"idempotency_key": "k", "data": "a"}])
    entries = [{"data": "b"}, {"idempotency_key": "k", "data": "a"}, {"x": 1}, {"delay": "1h"}, {"data": "c"}]
    full = (429, "queue-full")
    assert [(202, None), (202, None), (400, "malformed-request"), (202, None), (202, None), full, full] == told(
        await send(api, [*entries, {"data": "d"}, {"idempotency_key": "k3", "data": "e"}])
    )
    assert 404 == (await api.call("GET", "messages/k3")).status
    assert [full, (202, None)] == told(await send(api, [{"data": "f"}, {"idempotency_key": "k", "data": "a"}]))


async def test_a_broker_that_is_away_is_told_in_each_entry(api: Api) -> None:
    api.broker.away = True
    entries = [{"data": "a"}, {"x": 1}, {"idempotency_key": "k", "data": "b"}]
    items = await send(api, entries)
    unavailable = (503, "unavailable")
    assert [unavailable, (400, "malformed-request"), unavailable] == told(items)
    api.broker.away = False
    assert [(202, None), (400, "malformed-request"), (202, None)] == told(await send(api, entries))
    assert [b"a", b"b"] == [message.body for message in api.broker.published]


async def test_without_the_store_all_but_keys_go_on(api: Api) -> None:
    api.store.away = True
    items = await send(api, [{"data": "a"}, {"idempotency_key": "k", "data": "b"}])
    assert [(202, None), (503, "unavailable")] == told(items)


async def test_a_queue_that_vanishes_on_the_way(api: Api) -> None:
    await api.broker.delete("default", "orders")
    assert [(404, "unknown-queue")] * 2 == told(await send(api, [{"data": "a"}, {"data": "b", "delay": "1h"}]))


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Kubedaemon_Session", "s"),
        ("Idempotency_Key", "k"),
        ("Kubedaemon_Meta_A", "1"),
        ("Kubedaemon_Delay", "1s"),
        ("Kubedaemon_Ttl", "1s"),
        ("ce_id", "1"),
    ],
)
async def test_what_entries_say_is_not_passed_over_in_the_head(api: Api, header: str, value: str) -> None:
    reply = await batch(api, b"[{}]", **{header: value})
    assert (400, "malformed-request") == (reply.status, reply.problem)
    assert [] == api.broker.published


async def test_the_trace_of_the_call_goes_with_each(api: Api) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert 200 == (await batch(api, b"[{},{}]", traceparent=trace, tracestate="a=1")).status
    assert [{"traceparent": trace, "tracestate": "a=1"}] * 2 == [message.headers for message in api.broker.published]


async def test_the_call_itself_is_held_to_the_rules_of_all(api: Api) -> None:
    assert 404 == (await api.call("POST", "/v1/namespaces/default/queues/nope/messages/batch", data=b"[]")).status
    assert 400 == (await api.call("POST", "messages/batch?wait=5", json=[])).status
    assert 405 == (await api.call("PUT", "messages/batch", json=[])).status
    reply = await batch(api, b"[]", Content_Encoding="gzip")
    assert (422, "not-allowed") == (reply.status, reply.problem)


async def test_an_entry_may_hold_a_structured_event(api: Api) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "partitionkey": "p", "data": {"a": 1}}
    entries = [{"content_type": "application/cloudevents+json", "data": event | more} for more in ({}, {"id": ""})]
    items = await send(api, entries)
    assert [(202, None), (400, "malformed-request")] == told(items)
    (message,) = api.broker.published
    assert ("p", b'{"a":1}', "1") == (message.session, message.body, message.headers["ce-id"])
    assert "id" == items[1]["field"]


async def test_a_problem_in_an_item_says_all_that_one_by_itself_says(api: Api) -> None:
    (item,) = await send(api, [{"session": ""}])
    assert {"type", "title", "status", "detail", "field"} == set(item)
    assert json.dumps(item)
