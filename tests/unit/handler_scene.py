"""A stage for tests of the handler client: scripted servers on real sockets, under both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
import uvloop

from contracts.answers import Answer, NoAnswer
from sidecar.adapters.handler_client import HttpHandlerClient, request_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
OK_ANSWER = Answer(200, body=b"ok")


def head(length: int) -> bytes:
    return request_head("POST", "/message", "test", [("Kubedaemon-Attempt", "1")], length)


def kind(answer: Answer | NoAnswer) -> str:
    return answer.kind if isinstance(answer, NoAnswer) else str(answer.status)


class Peer:
    """The handler's side of one connection."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.done = asyncio.Event()
        """Set when the script of this connection is over."""
        self._writer = writer

    async def request(self) -> bytes:
        """The next request, head and body."""
        text = await self.reader.readuntil(b"\r\n\r\n")
        length = text.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return text + await self.reader.readexactly(int(length or 0))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def serve(self, answer: bytes = OK) -> None:
        await self.request()
        await self.send(answer)

    def half_close(self) -> None:
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """Ends the connection so that the client gets an RST."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    async def ended(self) -> bool:
        """Waits until the client has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                pass
        return True


class Scene:
    """A client, whatever servers a test starts, and what the client reported."""

    def __init__(self) -> None:
        self.answers: dict[int, Answer | NoAnswer] = {}
        self.peers: list[Peer] = []
        self.port = 0
        self.server: asyncio.Server | None = None
        self._client: HttpHandlerClient | None = None
        self._changed = asyncio.Event()
        self._posting = False
        self._scripts: list[asyncio.Task[None]] = []

    @property
    def client(self) -> HttpHandlerClient:
        assert self._client is not None
        return self._client

    async def serve(self, script: Callable[[Peer], Awaitable[None]], **options: Any) -> None:
        """Runs ``script`` for every connection. If it fails, so does the test; if the client hangs up, it just ends."""

        async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._scripts.append(cast("asyncio.Task[None]", asyncio.current_task()))
            peer = Peer(len(self.peers) + 1, reader, writer)
            self.peers.append(peer)
            try:
                await script(peer)
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # the client has hung up while the script waited for more
            finally:
                peer.done.set()
                writer.close()

        self.server = await asyncio.start_server(run, "127.0.0.1", 0)
        self.connect(self.server.sockets[0].getsockname()[1], **options)

    def connect(self, port: int, **options: Any) -> None:
        self.port = port
        self._client = HttpHandlerClient("127.0.0.1", port, self._on_answer, **options)

    def _on_answer(self, call: int, answer: Answer | NoAnswer) -> None:
        assert not self._posting, "reported from inside post"
        assert call not in self.answers, "reported twice"
        self.answers[call] = answer
        self._changed.set()

    def post(self, call: int = 1, body: bytes = b"", timeout_seconds: float = 30.0) -> None:
        self._posting = True
        self.client.post(call, head(len(body)), body, timeout_seconds)
        self._posting = False

    async def answer(self, call: int = 1) -> Answer | NoAnswer:
        while call not in self.answers:
            self._changed.clear()
            await self._changed.wait()
        return self.answers[call]

    async def call(self, call: int = 1, body: bytes = b"", timeout_seconds: float = 30.0) -> Answer | NoAnswer:
        self.post(call, body, timeout_seconds)
        return await self.answer(call)

    async def peer(self, number: int) -> Peer:
        while len(self.peers) < number:
            await asyncio.sleep(0)
        return self.peers[number - 1]

    async def end(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self.server is not None:
            self.server.close()
        for result in await asyncio.gather(*self._scripts, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs ``test(scene, …)`` under asyncio's own loop and under uvloop, and holds it to leaving nothing behind."""

    async def play(**arguments: Any) -> None:
        scene = Scene()
        try:
            async with asyncio.timeout(20):
                await test(scene, **arguments)
                await scene.end()
        finally:
            if scene.server is not None:
                scene.server.close()
        await asyncio.sleep(0)
        assert {asyncio.current_task()} == asyncio.all_tasks()

    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(play(**arguments))
        gc.collect()  # whatever was not closed says so now

    parameters = list(inspect.signature(test).parameters.values())[1:]
    new_loop = inspect.Parameter("new_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([new_loop, *parameters])  # type: ignore[attr-defined]
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    both: Callable[..., None] = pytest.mark.parametrize("new_loop", loops, ids=["asyncio", "uvloop"])(run)
    return both


@contextlib.asynccontextmanager
async def full_backlog(listener: socket.socket) -> AsyncIterator[None]:
    """While this lasts, connecting to ``listener`` neither works nor fails."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield


def listening() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    listener.setblocking(False)
    return listener
