"""What happens to messages, as a stream over real HTTP: from now on, resumed, with gaps told, and ended in order."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple

import aiohttp
import pytest

from contracts.message import Message
from contracts.records import State
from tests.system.api_scene import QUEUE, Api, Worker, running, until

LISTENERS = "kubedaemon_dispatcher_open_streams"


class Told(NamedTuple):
    """One event as it came; ``event`` is empty for a block without data."""

    id: str
    event: str
    data: Any


class Stream:
    """A client that reads on as it is asked, the way WHATWG HTML says."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.last_id = ""
        self.beats = 0

    async def block(self) -> Told | None:
        """The next block; None at the clean end of the stream."""
        fields: dict[str, str] = {}
        while line := (await self.response.content.readline()).decode():
            if line == "\n":
                self.last_id = fields.get("id", self.last_id)
                data = fields.get("data", "")
                return Told(self.last_id, fields.get("event", ""), json.loads(data) if data else None)
            name, _, value = line.rstrip("\n").partition(":")
            if not name:
                self.beats += 1
            fields[name] = value.removeprefix(" ")
        return None

    async def next(self, seconds: float = 10) -> Told:
        async with asyncio.timeout(seconds):
            while told := await self.block():
                if told.data is not None:
                    return told
        raise AssertionError("the stream has ended")

    async def states(self, count: int) -> list[tuple[str, str, int]]:
        found = [await self.next() for _ in range(count)]
        return [(one.data["id"], one.event, one.data["attempt"]) for one in found]

    async def until(self, end: str) -> bytes:
        """Everything up to the event of this message, as it came."""
        text = bytearray()
        async with asyncio.timeout(30):
            while f'"id":"{end}"'.encode() not in text[-5000:]:
                text += await self.response.content.readany()
        return bytes(text)

    async def rest(self) -> list[Told]:
        """Everything until the end."""
        found: list[Told] = []
        async with asyncio.timeout(10):
            while told := await self.block():
                found.append(told)
        return [one for one in found if one.data is not None]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


@asynccontextmanager
async def listening(api: Api, last_id: str | None = None, **given: Any) -> AsyncIterator[Stream]:
    """A stream that has begun: what happens from now on is in it."""
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    url = f"http://127.0.0.1:{api.port}{QUEUE}/events"
    async with api.session.get(url, headers=headers, **given) as response:
        assert 200 == response.status
        stream = Stream(response)
        await stream.block()
        yield stream


def listeners(api: Api) -> float:
    return api.registry.get_sample_value(LISTENERS) or 0.0


async def test_the_life_of_a_message(api: Api) -> None:
    worker = Worker(api)
    await api.send()
    async with listening(api) as stream:
        assert "text/event-stream" == stream.response.headers["Content-Type"]
        assert ("kubedaemon", "no-store") == tuple(stream.response.headers[n] for n in ("Server", "Cache-Control"))
        message_id = await api.send(Kubedaemon_Session="Zo%C3%AB")
        queued = await stream.next()
        expected = {"id": message_id, "queue": "orders", "session": "Zoë", "state": "queued", "attempt": 0}
        assert ("message.queued", expected | {"at": queued.data["at"]}) == (queued.event, queued.data)
        assert abs(datetime.fromisoformat(queued.data["at"]).timestamp() - api.clock) < 60
        await worker.end(await worker.start())
        await worker.retry(await worker.start())
        told = await stream.states(4)
    assert [("message.running", 1), ("message.succeeded", 1), ("message.running", 1), ("message.retrying", 1)] == [
        one[1:] for one in told
    ]
    assert [message_id, message_id] == [one[0] for one in told[2:]]


@pytest.mark.parametrize("state", [State.DEAD, State.EXPIRED, State.CANCELLED])
async def test_every_end(api: Api, state: State) -> None:
    worker = Worker(api)
    async with listening(api) as stream:
        message_id = await api.send()
        await worker.end(await worker.start(), state, reason="no")
        assert (message_id, f"message.{state.value}", 1) == (await stream.states(3))[-1]


async def test_a_redrive_is_told(api: Api) -> None:
    worker = Worker(api)
    message_id = await api.send()
    await worker.kill(1)
    async with listening(api) as stream:
        await api.call("POST", "dead-letters/redrive", json={"all": True})
        assert [(message_id, "message.queued", 0)] == await stream.states(1)


async def test_a_stream_is_of_one_queue(api: Api) -> None:
    await api.make("other")
    async with listening(api) as stream:
        await api.call("POST", "/v1/namespaces/default/queues/other/messages", data=b"x")
        message_id = await api.send()
        assert [(message_id, "message.queued", 0)] == await stream.states(1)


async def test_it_resumes_behind_any_event_without_loss_or_repeat(api: Api) -> None:
    async with listening(api) as stream:
        sent = [await api.send() for _ in range(5)]
        told = [await stream.next() for _ in range(5)]
    assert sent == [one.data["id"] for one in told]
    for n, one in enumerate(told[:-1]):
        async with listening(api, one.id) as stream:
            assert told[n + 1 :] == [await stream.next() for _ in told[n + 1 :]]
    async with listening(api, told[-1].id) as stream:
        last = await api.send()
        assert [(last, "message.queued", 0)] == await stream.states(1)


async def test_it_resumes_also_where_nothing_had_happened_yet(api: Api) -> None:
    await api.send()
    async with listening(api) as stream:
        place = stream.last_id
    message_id = await api.send()
    async with listening(api, place) as stream:
        assert [(message_id, "message.queued", 0)] == await stream.states(1)


@pytest.mark.parametrize("place", ["x", "0", "deadbeef-1", "%00", "ü", "a\tb", "9" * 5000])
async def test_an_unknown_place_begins_with_a_gap(api: Api, place: str) -> None:
    message_id = await api.send()
    async with listening(api, place) as stream:
        gap = await stream.next()
        assert ("gap", {"queue": "orders"}) == (gap.event, gap.data)
        assert [(message_id, "message.queued", 0)] == await stream.states(1)


async def test_after_a_gap_with_nothing_behind_it_there_is_a_place_to_resume_from(api: Api) -> None:
    async with listening(api, "x") as stream:
        gap = await stream.next()
        assert "x" != gap.id
    message_id = await api.send()
    async with listening(api, gap.id) as stream:
        assert [(message_id, "message.queued", 0)] == await stream.states(1)


async def test_what_the_log_has_lost_is_a_gap_and_the_rest_follows(api: Api) -> None:
    async with listening(api) as stream:
        place = stream.last_id
    await api.store.confirm([Message(namespace="default", queue="orders", id=f"m{n}") for n in range(100_001)])
    async with listening(api, place) as stream:
        gap, first = await stream.next(), await stream.next()
        assert ("gap", "m1") == (gap.event, first.data["id"])
        rest = re.findall(rb'"id":"(m[0-9]+)"', await stream.until("m100000"))
        assert [f"m{n}".encode() for n in range(2, 100_001)] == rest


async def test_who_catches_up_while_much_happens_misses_nothing(api: Api) -> None:
    async with listening(api) as first:
        sending = asyncio.create_task(_send_many(api, 600))
        told = [await first.next() for _ in range(100)]
        streams = [listening(api, told[n].id) for n in (0, 30, 60)]
        async with streams[0] as a, streams[1] as b, streams[2] as c:
            sent = await sending
            for n, stream in ((1, a), (31, b), (61, c), (100, first)):
                assert sent[n:] == [(await stream.next()).data["id"] for _ in sent[n:]]


async def _send_many(api: Api, count: int) -> list[str]:
    return [await api.send() for _ in range(count)]


async def test_silence_is_broken_by_comments(api: Api) -> None:
    api.dispatcher._context.feeds._beat_seconds = 0.02
    async with listening(api) as stream:
        for _ in range(3):
            assert Told(stream.last_id, "", None) == await asyncio.wait_for(stream.block(), 10)
    assert 3 == stream.beats


async def test_many_listeners_hear_the_same(api: Api) -> None:
    api.dispatcher._context.feeds._beat_seconds = 0.1
    async with _many(api, 250) as streams:
        await until(lambda: listeners(api) == 250)
        sent = [await api.send() for _ in range(3)]
        for stream in streams:
            assert sent == [one[0] for one in await stream.states(3)]
    await until(lambda: listeners(api) == 0)


@asynccontextmanager
async def _many(api: Api, count: int) -> AsyncIterator[list[Stream]]:
    url = f"http://127.0.0.1:{api.port}{QUEUE}/events"
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        streams = [Stream(await stack.enter_async_context(session.get(url))) for _ in range(count)]
        for stream in streams:
            await stream.block()
        yield streams


async def test_who_is_gone_is_let_go_and_nobody_reads_the_log_for_nobody(api: Api) -> None:
    api.dispatcher._context.feeds._beat_seconds = 0.02
    async with listening(api):
        assert (1.0, 1) == (listeners(api), len(api.dispatcher._context.feeds._feeds))
    await until(lambda: listeners(api) == 0)
    assert {} == api.dispatcher._context.feeds._feeds


async def test_who_does_not_read_is_not_waited_for_and_not_buffered_for(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1024)
    writer.write(f"GET {QUEUE}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"id: ")
    async with listening(api) as stream:
        for part in range(10):
            names = [f"{part}-{n}-{'x' * 2000}" for n in range(1000)]
            await api.store.confirm([Message(namespace="default", queue="orders", id=name) for name in names])
            assert 1000 == (await stream.until(names[-1])).count(b"event: message.queued")
        unread = [one._transport.get_write_buffer_size() for one in _listeners_of(api)]
        assert 0 < max(unread) < 1_000_000
        text = bytearray()
        async with asyncio.timeout(30):
            while names[-1].encode() not in text[-5000:]:
                text += await reader.read(100_000)
        assert (10_000, 0) == (text.count(b"event: message.queued"), text.count(b"event: gap"))
    writer.close()


def _listeners_of(api: Api) -> list[Any]:
    (feed,) = api.dispatcher._context.feeds._feeds.values()
    return list(feed._listeners)


async def test_without_chunks_it_is_as_plain_as_http_1_0(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(f"GET {QUEUE}/events HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert (await reader.readuntil(b"\n\n")).startswith(b"id: ")
    await api.send()
    assert (await reader.readuntil(b"\n\n")).startswith(b"id: ")
    await api.dispatcher.stop()
    assert b"" == await reader.read()
    writer.close()


async def test_stopping_ends_every_stream_in_order(api: Api) -> None:
    async with listening(api) as stream, listening(api) as other:
        sent = await api.send()
        assert [sent] == [(await one.next()).data["id"] for one in (stream,)]
        await asyncio.wait_for(api.dispatcher.stop(), 5)
        assert [] == await stream.rest()
        assert [sent] == [one.data["id"] for one in await other.rest()]


async def test_deleting_the_queue_ends_its_streams_and_no_others(api: Api) -> None:
    await api.make("other")
    url = f"http://127.0.0.1:{api.port}/v1/namespaces/default/queues/other/events"
    async with listening(api) as stream, api.session.get(url) as response:
        await api.call("DELETE", "/v1/namespaces/default/queues/other")
        assert [] == await Stream(response).rest()
        message_id = await api.send()
        assert [(message_id, "message.queued", 0)] == await stream.states(1)
    assert 404 == (await api.call("GET", "/v1/namespaces/default/queues/other/events")).status


async def test_who_does_not_read_holds_up_no_end(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port, limit=1024)
    writer.write(f"GET {QUEUE}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"id: ")
    large = [Message(namespace="default", queue="orders", id=f"{n}{'x' * 5000}") for n in range(5000)]
    await api.store.confirm(large)
    await until(lambda: any(one.behind for one in _listeners_of(api)))
    await api.call("DELETE", "?force=true")
    await until(lambda: listeners(api) == 0)
    writer.close()


async def test_a_store_that_is_away_is_503_at_first_and_waited_for_later(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dispatcher.feeds._AGAIN_SECONDS", 0.01)
    api.dispatcher._context.feeds._beat_seconds = 0.01
    api.store.away = True
    assert 503 == (await api.call("GET", "events")).status
    api.store.away = False
    async with listening(api) as stream:
        api.store.away = True
        await asyncio.sleep(0.1)
        api.store.away = False
        message_id = await api.send()
        assert [(message_id, "message.queued", 0)] == await stream.states(1)


async def test_a_defect_ends_the_stream_and_is_never_an_answer_inside_it(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.dispatcher._context.feeds._beat_seconds = 0.01
    async with listening(api) as stream:
        api.store.defect = RuntimeError("broken")
        assert [] == await stream.rest()
    assert "a feed of events failed" in capsys.readouterr().out


async def test_what_is_no_stream(api: Api) -> None:
    assert (404, "unknown-queue") == (
        (reply := await api.call("GET", "/v1/namespaces/default/queues/nope/events")).status,
        reply.problem,
    )
    assert 400 == (await api.call("GET", "events?after=1")).status
    assert (405, "GET") == ((reply := await api.call("HEAD", "events")).status, reply.headers["Allow"])
    assert 405 == (await api.call("POST", "events")).status
