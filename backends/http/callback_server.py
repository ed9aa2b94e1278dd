"""Serves the callback API on loopback: an asyncio protocol on ``httptools``, small enough for every sidecar to have."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote

import httptools
import structlog

from backends.http.callback import CallbackApi, read_head, too_large
from backends.http.callback_words import Head, Reply, problem_reply
from contracts.errors import TransientError
from contracts.handler import CALLBACK_PATH
from contracts.problems import Problem, ProblemError, unavailable

HOST = "127.0.0.1"
HEAD_BYTES = 64 * 1024
LINGER_SECONDS = 2.0
"""For so long what is still sent to a call that was refused is read, so that the refusal arrives."""

_BACKLOG = 128
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_PHRASES = {status.value: status.phrase for status in HTTPStatus}

_log = structlog.get_logger("callback")


class CallbackServer:
    """Listens from the start; ``serve`` begins to answer, until ``close``."""

    def __init__(self, api: CallbackApi) -> None:
        self._api = api
        self._socket = socket.create_server((HOST, 0), backlog=_BACKLOG)
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self.url = f"http://{HOST}:{self._socket.getsockname()[1]}{CALLBACK_PATH}"

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._api, self._connections), sock=self._socket)

    async def close(self) -> None:
        """Ends every connection, also where a call is at work. Harmless to repeat."""
        if self._server is not None:
            self._server.close()
        self._socket.close()
        tasks = [task for connection in list(self._connections) if (task := connection.abort())]
        await asyncio.gather(*tasks, return_exceptions=True)


class _StopParsingError(Exception):
    """Leaves the parser from inside one of its callbacks."""


class _Connection(asyncio.Protocol):
    """One connection: a request, its answer, and then the next one. What is sent ahead of an answer ends it.

    While ``_task`` answers a request, ``_whole`` is to say whether its body came whole (True) or is too long.
    """

    def __init__(self, api: CallbackApi, connections: set[_Connection]) -> None:
        self._api = api
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None
        self._is_last = False
        self._is_over = False
        self._expect()

    def _expect(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._body = bytearray()
        self._limit: int | None = None
        self._whole: asyncio.Future[bool] = self._loop.create_future()

    def abort(self) -> asyncio.Task[None] | None:
        """Closes at once; the task that was at work, if any, is cancelled."""
        self._transport.abort()
        if self._task is not None:
            self._task.cancel()
        return self._task

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        del self._parser  # they refer to one another

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return  # the answer is on its way; this is read so that it arrives
        self._head_bytes += len(data)
        try:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offered:
                self._decline(data[offered.args[0] :])
        except httptools.HttpParserError as error:
            self._garbled(str(error))
        if self._task is None and self._head_bytes > HEAD_BYTES:
            self._garbled(f"its head has more than {HEAD_BYTES} bytes")

    def eof_received(self) -> bool:
        """A client that has sent all of a request may hang up on its side, and is answered all the same."""
        self._is_last = True
        return self._task is not None and self._whole.done()

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._whole.done():  # there was another one before, which has not been answered
            self._is_last = True
            raise _StopParsingError

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._is_last = not self._parser.should_keep_alive()
        self._transport.pause_reading()
        self._task = self._loop.create_task(self._serve(self._parser.get_method().decode("ascii")))

    def on_body(self, data: bytes) -> None:
        if self._limit is None or len(self._body) + len(data) <= self._limit:
            self._body += data
        elif not self._whole.done():
            self._whole.set_result(False)

    def on_message_complete(self) -> None:
        if not self._parser.should_upgrade():
            self.on_rest_complete()

    def on_rest_complete(self) -> None:
        if not self._whole.done():
            self._whole.set_result(True)

    def _decline(self, rest: bytes) -> None:
        """The client offers another protocol, as Java's does. It is not taken, so the body follows all the same."""
        framing = [f"{name}: {value}\r\n" for name, value in self._headers if name.lower() in _FRAMING]
        self._parser = httptools.HttpRequestParser(_Rest(self))
        self._parser.feed_data(f"POST / HTTP/1.1\r\n{''.join(framing)}\r\n".encode("latin-1"))
        if rest:
            self._parser.feed_data(rest)

    def _garbled(self, why: str) -> None:
        """What comes is not HTTP, at least from here on."""
        self._is_last = True
        problem = ProblemError(Problem.MALFORMED_REQUEST, f"This is not HTTP as it should be: {why}.")
        if self._task is None:
            self._write(problem_reply(problem), "GET")
            self._end(whole=False)
        elif not self._whole.done():
            self._whole.set_exception(problem)

    # An answer

    async def _serve(self, method: str) -> None:
        try:
            reply = await self._answer(method)
        except Exception as error:
            reply = problem_reply(_as_problem(error))
        whole = self._whole.done() and self._whole.exception() is None and self._whole.result()
        self._is_last = self._is_last or not whole
        self._write(reply, method)
        self._task = None
        if self._is_last:
            self._end(whole)
        else:
            self._expect()
            self._transport.resume_reading()

    async def _answer(self, method: str) -> Reply:
        head = self._read_head(method)
        pending = await self._api.take(head)
        length = int(head.header("content-length") or 0)
        if length > pending.limit_bytes or not await self._read_body(head, pending.limit_bytes):
            raise too_large(pending)
        return await pending.answer(bytes(self._body))

    def _read_head(self, method: str) -> Head:
        try:
            url = httptools.parse_url(self._url)
        except httptools.HttpParserInvalidURLError as error:
            raise ProblemError(Problem.MALFORMED_REQUEST, "The URL cannot be read.") from error
        path = unquote((url.path or b"").decode("latin-1"))
        if not path.startswith(CALLBACK_PATH):
            raise ProblemError(Problem.UNKNOWN_ROUTE, f"Only {CALLBACK_PATH} is served here.")
        query = (url.query or b"").decode("latin-1")
        return read_head(method, path.removeprefix(CALLBACK_PATH), query, self._headers)

    async def _read_body(self, head: Head, limit: int) -> bool:
        self._limit = limit
        if len(self._body) > limit:
            return False
        if not self._whole.done():
            if (head.header("expect") or "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._transport.resume_reading()
        return await self._whole

    def _write(self, reply: Reply, method: str) -> None:
        lines = [f"HTTP/1.1 {reply.status} {_PHRASES[reply.status]}", "Server: kubedaemon"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        if reply.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(reply.body)}")
        if self._is_last:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self._transport.write(head if method == "HEAD" else head + reply.body)

    def _end(self, whole: bool) -> None:
        """Closes; where the client is still sending, only once it has had time to read the answer."""
        self._is_over = True
        if whole:
            self._transport.close()
            return
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._loop.call_later(LINGER_SECONDS, self._transport.abort)


class _Rest:
    """What a parser calls that reads a body whose head another one has read."""

    def __init__(self, connection: _Connection) -> None:
        self.on_message_begin = connection.on_message_begin
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_rest_complete


def _as_problem(error: Exception) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, TransientError):
        return unavailable(f"{error}. Try again.")
    _log.error("a call of the callback API failed", error=type(error).__name__, exc_info=error)
    return ProblemError(Problem.INTERNAL, "The log says more. Nothing is known to have been done; try again.")
