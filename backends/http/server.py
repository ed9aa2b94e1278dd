"""An aiohttp server on one address, with errors that say the way out."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

from aiohttp import web

from backends.http.answers import problem_answer
from contracts.errors import ConfigurationError
from contracts.problems import Problem, ProblemError

_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "auto_decompress": False,  # payloads are passed on byte for byte
    "keepalive_timeout": 75.0,
    "lingering_time": 2.0,  # how long the rest of a refused body is read, so that the refusal arrives
}
HEAD_SECONDS = 30.0
"""How long the head of a request may take to come; a client that sends it drop by drop holds a connection no longer."""
_BACKLOG = 1024
_STOP_SECONDS = 5.0
"""Thousands may wait for an answer when it stops, and get one; who does not read his is cut off."""


class _Protocol(web.RequestHandler):
    """A connection that answers what is no HTTP with a problem too, and does not wait for ever for a head."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages or self._current_request is not None:
            self._stop_waiting()
        elif self._waiting is None:
            self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._waiting = asyncio.get_running_loop().call_later(HEAD_SECONDS, self.force_close)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """One whose time is over while it is being answered is cut off, and aiohttp trips over that: no fault of ours."""
        if not isinstance(kw.get("exc_info"), asyncio.InvalidStateError):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if status >= 500:
            problem = ProblemError(
                Problem.INTERNAL, "The log says more. Nothing is known to have been done; try again."
            )
        else:
            said = " ".join(ascii(message or "")[1:-1].split("\\n")[0].split())[:120].rstrip(": ")
            problem = ProblemError(
                Problem.MALFORMED_REQUEST, f"This is not HTTP as it should be: {said or 'unreadable'}."
            )
        response = problem_answer(problem)
        response.headers["Server"] = "kubedaemon"
        response.force_close()
        return response


class Server:
    """Serves an application until ``stop``."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=_STOP_SECONDS, **_OPTIONS)
        self._host = host
        self._port = port
        self._listening: asyncio.Server | None = None

    async def start(self) -> int:
        """The port that it listens on; 0 was asked for a free one. Raises ``ConfigurationError``."""
        await self._runner.setup()
        manager, loop = self._runner.server, asyncio.get_running_loop()
        assert manager is not None

        def protocol() -> _Protocol:
            return _Protocol(manager, loop=loop, **_OPTIONS)

        try:
            self._listening = await loop.create_server(protocol, self._host, self._port, backlog=_BACKLOG)
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigurationError(self._sentence(error)) from error
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    def _sentence(self, error: OSError) -> str:
        place = f"port {self._port} on {self._host}"
        if error.errno == errno.EADDRINUSE:
            return f"{place} is in use by another program; choose another with --port, or stop that program"
        if error.errno == errno.EACCES:
            return f"{place} may not be opened by this user; choose one above 1023 with --port"
        if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            return f"{self._host} is not an address of this machine; choose one that is, such as 127.0.0.1"
        return f"{place} cannot be opened: {error.strerror or error}"

    async def stop(self) -> None:
        """Takes no more connections, lets what is being answered end for a while, and closes. Harmless to repeat."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        await self._runner.cleanup()
