"""Enqueue and look: what is accepted, how it arrives, and what is refused, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.system.api_scene import QUEUE, Api, Worker, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_accepts_a_message_and_names_it(api: Api) -> None:
    reply = await api.call("POST", "messages", data=b"hello", headers={"Kubedaemon-Session": "Zo%C3%AB"})
    message_id = reply.json["id"]
    expected = {"id": message_id, "namespace": "default", "queue": "orders", "session": "Zoë", "state": "queued"}
    assert (202, expected) == (reply.status, reply.json)
    assert f"{QUEUE}/messages/{message_id}" == reply.headers["Location"]
    assert 32 == len(message_id)
    assert "kubedaemon" == reply.headers["Server"]
    assert (await api.call("GET", reply.headers["Location"])).json["state"] == "queued"


async def test_the_handler_will_get_what_was_sent(api: Api) -> None:
    body = bytes(range(256))
    headers = {
        "Content-Type": "application/x-thing; v=1",
        "Kubedaemon-Session": "a b",
        "Kubedaemon-Meta-Who": "caf%C3%A9",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "a=1",
        "ce-id": "7",
        "Accept": "text/html",
    }
    message_id = await api.send(body, **headers)
    (message,) = api.broker.published
    assert (message_id, body, "application/x-thing; v=1", "a b", {"who": "café"}) == (
        message.id,
        message.body,
        message.content_type,
        message.session,
        message.meta,
    )
    assert {name: headers[name] for name in ("traceparent", "tracestate", "ce-id")} == message.headers
    assert api.clock == message.enqueued_at


async def test_a_compressed_body_is_refused_and_not_unpacked(api: Api) -> None:
    reply = await api.call("POST", "messages", data=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert (422, "not-allowed", "Content-Encoding") == (reply.status, reply.problem, reply.json["header"])


async def test_ids_without_a_key_rise_with_time(api: Api) -> None:
    first = await api.send()
    api.clock += 1
    second = await api.send()
    assert first < second


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Kubedaemon-Session": "%zz"}, "Kubedaemon-Session"),
        ({"Kubedaemon-Session": "%FF"}, "Kubedaemon-Session"),
        ({"Kubedaemon-Session": ""}, "Kubedaemon-Session"),
        ({"Kubedaemon-Session": "x" * 256}, "Kubedaemon-Session"),
        ({"Kubedaemon-Session": "Zoë"}, "Kubedaemon-Session"),
        ({"Idempotency-Key": ""}, "Idempotency-Key"),
        ({"Idempotency-Key": "a b"}, "Idempotency-Key"),
        ({"Idempotency-Key": "k" * 256}, "Idempotency-Key"),
        ({"Content-Type": "text/ü"}, "Content-Type"),
        ({"Kubedaemon-Meta-": "x"}, "Kubedaemon-Meta-"),
        ({"Kubedaemon-Meta-A": "%"}, "Kubedaemon-Meta-A"),
        ({"Kubedaemon-Sesion": "x"}, "Kubedaemon-Sesion"),
        ({"Prefer": "wait=soon"}, "Prefer"),
        ({"ce-partitionkey": ""}, "Ce-Partitionkey"),
    ],
)
async def test_a_malformed_header_is_named(api: Api, headers: dict[str, str], named: str) -> None:
    reply = await api.call("POST", "messages", data=b"x", headers=headers)
    assert (400, "malformed-request", named) == (reply.status, reply.problem, reply.json["header"])
    assert named in reply.json["detail"]
    assert [] == api.broker.published


@pytest.mark.parametrize(
    "headers",
    [
        {"Kubedaemon-Result-Url": "https://example.com"},
        {"Kubedaemon-Result-Format": "raw"},
    ],
)
async def test_what_is_not_built_is_refused_and_never_passed_over(api: Api, headers: dict[str, str]) -> None:
    reply = await api.call("POST", "messages", data=b"x", headers=headers)
    assert (501, "not-implemented") == (reply.status, reply.problem)
    assert next(iter(headers)) in reply.json["detail"]
    assert [] == api.broker.published


async def test_a_header_that_is_given_twice_is_refused(api: Api) -> None:
    twice = [("Kubedaemon-Session", "a"), ("Kubedaemon-Session", "b")]
    reply = await api.call("POST", "messages", data=b"x", headers=twice)
    assert (400, "malformed-request") == (reply.status, reply.problem)
    assert "Kubedaemon-Session: is given twice" == reply.json["detail"]


async def test_nothing_that_a_sender_writes_becomes_a_header_of_the_answer(api: Api) -> None:
    session = "a%0D%0ASet-Cookie:%20x=1"
    reply = await api.call("POST", "messages", data=b"x", headers={"Kubedaemon-Session": session})
    assert (202, "a\r\nSet-Cookie: x=1") == (reply.status, reply.json["session"])
    assert "Set-Cookie" not in reply.headers


async def test_a_handlers_own_headers_may_be_relayed(api: Api) -> None:
    message_id = await api.send(Kubedaemon_Message_Id="0" * 32, Kubedaemon_Attempt="7")
    assert "0" * 32 != message_id


async def test_too_large_is_refused_by_its_length_before_it_is_read(api: Api) -> None:
    await api.make(limits={"maxMessageBytes": 10})
    path = f"POST {QUEUE}/messages HTTP/1.1\r\nHost: localhost\r\n"
    answer = await api.raw(f"{path}Content-Length: 11\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"payload-too-large" in answer


async def test_too_large_without_a_length_is_refused_the_moment_it_shows(api: Api) -> None:
    await api.make(limits={"maxMessageBytes": 10})
    head = f"POST {QUEUE}/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    answer = await api.raw(head + b"b\r\n" + b"x" * 11 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_exactly_as_large_as_allowed_is_accepted(api: Api) -> None:
    await api.make(limits={"maxMessageBytes": 10})
    await api.send(b"x" * 10)
    reply = await api.call("POST", "messages", data=b"x" * 11)
    assert (413, "payload-too-large", 10) == (reply.status, reply.problem, reply.json["limit"])


async def test_continue_is_said_to_who_waits_for_it(api: Api) -> None:
    head = f"POST {QUEUE}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n"
    answer = await api.raw(f"{head}Expect: 100-continue\r\n\r\nx".encode())
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")


async def test_broken_chunks_are_malformed(api: Api) -> None:
    head = f"POST {QUEUE}/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await api.raw(f"{head}zz\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"malformed-request" in answer
    assert [] == api.broker.published


async def test_a_full_queue_asks_to_come_again(api: Api) -> None:
    await api.make(limits={"maxLength": 2})
    worker = Worker(api)
    await api.send()
    delivered = await worker.start()
    await api.send()
    reply = await api.call("POST", "messages", data=b"x")
    assert (429, "queue-full", "1") == (reply.status, reply.problem, reply.headers["Retry-After"])
    await worker.end(delivered)
    await api.send()


async def test_an_unknown_queue_is_never_202(api: Api) -> None:
    reply = await api.call("POST", "/v1/namespaces/default/queues/other/messages", data=b"x")
    assert (404, "unknown-queue") == (reply.status, reply.problem)
    assert "orders" in reply.json["detail"]


async def test_a_broker_that_does_not_confirm_is_503_and_nothing_is_claimed(api: Api) -> None:
    api.broker.away = True
    reply = await api.call("POST", "messages", data=b"x")
    assert (503, "unavailable", "1") == (reply.status, reply.problem, reply.headers["Retry-After"])
    assert [] == (await api.call("GET", "messages")).json["items"]


async def test_a_queue_that_vanishes_on_the_way_is_404(api: Api) -> None:
    await api.broker.delete("default", "orders")
    reply = await api.call("POST", "messages", data=b"x")
    assert (404, "unknown-queue") == (reply.status, reply.problem)


async def test_enqueueing_goes_on_while_the_store_is_away(api: Api) -> None:
    api.store.away = True
    reply = await api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=5"})
    assert 202 == reply.status
    assert "Preference-Applied" not in reply.headers
    assert [reply.json["id"]] == [message.id for message in api.broker.published]


async def test_lists_are_pages_of_what_is_known_newest_first(api: Api) -> None:
    sent = [await api.send(Kubedaemon_Session=f"s{n % 2}") for n in range(5)]
    first = (await api.call("GET", "messages?limit=2")).json
    second = (await api.call("GET", f"messages?limit=2&after={first['next']}")).json
    third = (await api.call("GET", f"messages?limit=2&after={second['next']}")).json
    assert sent[::-1] == [item["id"] for page in (first, second, third) for item in page["items"]]
    assert third["next"] is None
    odd = (await api.call("GET", "messages?session=s1")).json["items"]
    assert [sent[3], sent[1]] == [item["id"] for item in odd]


async def test_lists_are_filtered_by_state(api: Api) -> None:
    worker = Worker(api)
    first, second = await api.send(), await api.send()
    await worker.end(await worker.start())
    assert [first] == [item["id"] for item in (await api.call("GET", "messages?state=succeeded")).json["items"]]
    assert [second] == [item["id"] for item in (await api.call("GET", "messages?state=queued")).json["items"]]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("state=done", "state"),
        ("after=x", "after"),
        ("session=", "session"),
        ("sessio=a", "sessio"),
        ("limit=1&limit=2", "limit"),
    ],
)
async def test_a_malformed_query_is_named(api: Api, query: str, named: str) -> None:
    reply = await api.call("GET", f"messages?{query}")
    assert (400, "malformed-request") == (reply.status, reply.problem)
    assert named in reply.json["detail"].partition(":")[0]


async def test_a_message_shows_its_life(api: Api) -> None:
    worker = Worker(api)
    message_id = await api.send(Kubedaemon_Meta_Who="me")
    await worker.retry(await worker.start())
    shown = (await api.call("GET", f"messages/{message_id}")).json
    assert ("retrying", 1, {"who": "me"}, None) == (shown["state"], shown["attempt"], shown["meta"], shown["result"])
    (attempt,) = shown["attempts"]
    assert (1, "replica-0", 500, "retry", "not now") == tuple(
        attempt[name] for name in ("attempt", "replica", "status", "outcome", "body")
    )


async def test_an_unknown_message_is_404(api: Api) -> None:
    for path in (f"messages/{'0' * 32}", f"messages/{'0' * 32}/result", "messages/%00%FF?wait=5"):
        reply = await api.call("GET", path)
        assert (404, "unknown-message") == (reply.status, reply.problem)
