"""HTTP as an attacker writes it: two lengths, bad chunks, headers in headers; slow and oversized heads."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from tests.system.api_scene import QUEUE, Api, running, until
from tests.system.framing_scene import SMUGGLED, statuses

POST = f"POST {QUEUE}/messages HTTP/1.1\r\nHost: localhost\r\n"
INNER = f"DELETE {QUEUE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED)
async def test_nothing_is_smuggled_in(api: Api, rest: str) -> None:
    found = statuses(await asyncio.wait_for(api.raw((POST + rest + INNER).encode("latin-1")), 5))
    assert [400] == found
    assert [] == api.broker.published
    assert 200 == (await api.call("GET", "")).status, "the queue is still there"


@pytest.mark.parametrize("value", ["s%0d%0aX-Evil: 1", "%0aKubedaemon-Token: x", "%00"])
async def test_what_was_escaped_stays_inside_its_header(api: Api, value: str) -> None:
    reply = await api.call("POST", "messages", data=b"x", headers={"Kubedaemon-Session": value})
    assert 202 == reply.status
    assert "X-Evil" not in reply.headers
    assert {"\r", "\n", "\0"}.isdisjoint(reply.headers["Location"])


def connections() -> int:
    """How many the server has, told by the objects that serve them."""
    return sum(type(one).__name__ == "_Protocol" and one.transport is not None for one in gc.get_objects())


async def test_heads_that_never_end_hold_nothing_once_they_are_gone(api: Api) -> None:
    before = connections()
    writers = []
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(POST.encode() + b"X: " + b"a" * 4000)
        writers.append(writer)
    assert 200 == (await api.call("GET", "/healthz")).status, "the others are served meanwhile"
    await until(lambda: connections() >= before + 50)
    for writer in writers:
        writer.transport.abort()
    await until(lambda: connections() <= before + 1)


@pytest.mark.parametrize("first", ["", f"GET {QUEUE} HTTP/1.1\r\nHost: localhost\r\n\r\n"], ids=["first", "second"])
async def test_a_head_that_does_not_come_in_time_ends_the_connection(
    first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.http.server.HEAD_SECONDS", 0.2)
    async with running() as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.write(first.encode())
        if first:
            length = int((await reader.readuntil(b"\r\n\r\n")).lower().partition(b"content-length: ")[2].split()[0])
            await reader.readexactly(length)
        writer.write(b"GET / HT")
        assert b"" == await asyncio.wait_for(reader.read(), 10)
        writer.close()


async def test_a_connection_that_rests_between_two_requests_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.http.server.HEAD_SECONDS", 0.2)
    async with running() as api:
        body = await api.raw(
            f"GET {QUEUE}/messages/none?wait=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        assert b" 404 " in body.split(b"\r\n")[0], "it was answered, long after the head had come"


async def test_a_head_in_single_bytes_is_a_head(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
    assert [200] == statuses(await reader.read())
    writer.close()
