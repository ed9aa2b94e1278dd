"""A handler on a real port that answers as a test says, and can go down and come back on it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple


class Call(NamedTuple):
    """A ``POST /message`` as the handler got it; names of headers in lower case."""

    id: str
    attempt: int
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    @property
    def session(self) -> str:
        return self.headers.get("kubedaemon-session", "")


class Cut(bytes):
    """An answer, or the beginning of one, after which the handler hangs up."""


Script = Callable[[Call], Awaitable[bytes]]
"""Answers a call with the bytes of an HTTP answer."""

BatchScript = Callable[[dict[str, str], bytes], Awaitable[bytes]]
"""As ``Script``, for the headers and body of a ``POST /messages``."""


def reply(status: int = 200, body: bytes = b"done", **headers: str) -> bytes:
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} So\r\n{named}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _no_batches(headers: dict[str, str], body: bytes) -> bytes:
    return reply(404)


def answering(*answers: bytes) -> Script:
    """Each call gets the next answer, and those after the last get the last."""
    left = list(answers)

    async def script(call: Call) -> bytes:
        return left.pop(0) if len(left) > 1 else left[0]

    return script


class Handler:
    """A handler on a port of its own, which stays reserved while it is down.

    ``health`` and ``init`` are the statuses of the next answers, 200 once they are used up; ``init_body`` is what
    /init says. While ``gate`` is
    cleared, calls are taken and not answered. Without ``keeps_alive`` a call never finds a connection that was used.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.health: list[int] = []
        self.init: list[int] = []
        self.init_body = b"done"
        self.batches: list[tuple[dict[str, str], bytes]] = []
        self.batch_script: BatchScript = _no_batches
        self.keeps_alive = True
        self.asked: list[str] = []
        self.inits: list[Any] = []
        self.calls: list[Call] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.running: Counter[str] = Counter()
        self.most = 0
        self.overlapped: set[str] = set()
        self._reserved = _bound(0)
        self.port: int = self._reserved.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def ids(self) -> list[str]:
        return [call.id for call in self.calls]

    @property
    def in_flight(self) -> int:
        return self.running.total()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=_bound(self.port))

    async def down(self) -> None:
        """As if it were killed: nobody listens, and every connection ends."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._connections)

    async def end(self) -> None:
        await self.down()
        self._reserved.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._serving.add(task)
        try:
            answer = b"" if self._server is not None else Cut()
            while not isinstance(answer, Cut):
                answer = await self._answer(reader)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the sidecar has hung up
        except asyncio.CancelledError:
            pass  # the handler goes down
        finally:
            self._serving.discard(task)
            await _hang_up(reader, writer)
            self._connections.discard(task)

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        """Reads a request; what it is answered with."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = lines[0].split()[1]
        self.asked.append(path)
        if path == "/message":
            call = Call(headers["kubedaemon-message-id"], int(headers["kubedaemon-attempt"]), headers, body)
            return await self._run(call)
        if path == "/init":
            self.inits.append(json.loads(body))
        if path == "/messages":
            self.batches.append((headers, body))
            return await self.batch_script(headers, body)
        statuses, said = (self.init, self.init_body) if path == "/init" else (self.health, b"done")
        answer = reply(statuses.pop(0) if statuses else 200, said)
        return answer if self.keeps_alive else Cut(answer)

    async def _run(self, call: Call) -> bytes:
        self.calls.append(call)
        if call.session and self.running[call.session]:
            self.overlapped.add(call.session)
        self.running[call.session] += 1
        self.most = max(self.most, self.in_flight)
        try:
            await self.gate.wait()
            return await self.script(call)
        finally:
            self.running[call.session] -= 1


def _bound(port: int) -> socket.socket:
    """Two such sockets on one port: the one that listens can come and go, and nobody else gets the port."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits for the other side to hang up too, so that no connection outlives its test."""
    with suppress(OSError):
        writer.write_eof()
        while await reader.read(1 << 16):
            pass
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
