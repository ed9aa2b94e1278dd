"""The HTTP client of the handler: pools connections, times calls out, and sends again where that is safe.

Built for the hot path: a call on a pooled connection makes no task, future, timer or object of its own. One timer
serves all timeouts and all idle connections; it is set to the earliest of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from math import inf
from time import monotonic

from contracts.answers import Answer, NoAnswer
from sidecar.adapters.handler_connection import HandlerConnection
from sidecar.ports import OnAnswer

MAX_RESULT_BYTES = 16 * 1024 * 1024

_TIMER_SECONDS = 0.01
"""Calls that time out within this time of one another are looked at together."""

_LATE_SECONDS = 0.25
"""A timer that is later than this: the process was held up, and answers may have come that nobody read yet."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(r"/[\x21-\x7e]*")
_HOST = re.compile(r"[A-Za-z0-9.\-_:\[\]]+")
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]*")
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding"})
_NEVER_FRAMED = frozenset({"HEAD", "CONNECT"})


def _hold(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(f"{what} cannot be sent: {text[:80]!r}")
    return text


def request_head(method: str, path: str, host: str, headers: Iterable[tuple[str, str]], length: int) -> bytes:
    """The bytes of a request head for a body of ``length`` bytes. ``ValueError`` for what HTTP would not carry.

    Host and framing are written here and may not be among ``headers``.
    """
    if length < 0:
        raise ValueError(f"a body cannot have {length} bytes")
    if _hold(_TOKEN, method, "the method") in _NEVER_FRAMED:
        raise ValueError(f"{method} is not supported: its answers are framed differently")
    lines = [f"{method} {_hold(_TARGET, path, 'the path')} HTTP/1.1", f"Host: {_hold(_HOST, host, 'the host')}"]
    for name, value in headers:
        if _hold(_TOKEN, name, "a header name").lower() in _OWN_HEADERS:
            raise ValueError(f"the header {name} is not the caller's to set")
        lines.append(f"{name}: {_hold(_VALUE, value, f'the value of {name}')}")
    if length or method != "GET":
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class HttpHandlerClient:
    """A ``sidecar.ports.HandlerClient``, and the owner of its connections.

    Callers number their calls from 0 up, each number once at a time; those below 0 are the client's own.
    ``on_answer`` must not raise.
    """

    def __init__(
        self,
        host: str,
        port: int,
        on_answer: OnAnswer,
        *,
        max_result_bytes: int = MAX_RESULT_BYTES,
        idle_seconds: float = 2.0,
        connect_timeout_seconds: float = 5.0,
    ) -> None:
        self._host = host
        self._port = port
        self._authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._on_answer = on_answer
        self._max_result_bytes = max_result_bytes
        self._idle_seconds = idle_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, HandlerConnection] = {}
        self._idle: list[HandlerConnection] = []  # the longest idle first
        self._open: set[HandlerConnection] = set()
        self._connecting: dict[HandlerConnection, asyncio.Task[None]] = {}
        self._awaited: dict[int, asyncio.Future[Answer | NoAnswer]] = {}
        self._last_own_call = 0
        self._due = inf  # when the timer looks next; nothing is due before
        self._timer: asyncio.TimerHandle | None = None
        self._was_late = False
        self._closed = False
        self._emptied = asyncio.Event()

    def post(self, call: int, head: bytes, body: bytes, timeout_seconds: float) -> None:
        until = monotonic() + timeout_seconds
        if self._idle:
            connection = self._idle.pop()
            self._running[call] = connection
            connection.send(call, head, body, until)
            if until < self._due:
                self._look_at(until)
        else:
            self._connect(call, head, body, until, resent=False)

    def abandon(self, call: int) -> None:
        connection = self._running.pop(call, None)
        if connection is not None:
            self._abort(connection)

    async def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, timeout_seconds: float
    ) -> Answer | NoAnswer:
        head = request_head(method, path, self._authority, headers.items(), len(body))
        self._last_own_call -= 1
        call = self._last_own_call
        answer: asyncio.Future[Answer | NoAnswer] = self._loop.create_future()
        self._awaited[call] = answer
        try:
            self.post(call, head, body, timeout_seconds)
            return await answer
        finally:
            del self._awaited[call]
            self.abandon(call)

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        running = list(self._running)
        for call in running:
            self.abandon(call)
        while self._idle:
            self._idle.pop().abort()
        for call in running:
            self._report(call, NoAnswer("lost", "client closed"))
        while self._connecting:
            await asyncio.wait(list(self._connecting.values()))
        while self._open:
            self._emptied.clear()
            await self._emptied.wait()

    # What connections tell their owner.

    def opened(self, connection: HandlerConnection) -> None:
        self._open.add(connection)

    def answered(self, connection: HandlerConnection, call: int, answer: Answer, reusable: bool) -> None:
        del self._running[call]
        if reusable:
            connection.reused = True
            connection.idle_since = now = monotonic()
            self._idle.append(connection)
            if now + self._idle_seconds < self._due:
                self._look_at(now + self._idle_seconds)
        else:
            connection.abort()
        if call < 0:
            self._report(call, answer)
        else:
            self._on_answer(call, answer)

    def failed(self, call: int, failure: NoAnswer) -> None:
        del self._running[call]
        self._report(call, failure)

    def unanswered(self, call: int, head: bytes, body: bytes, until: float) -> None:
        self._connect(call, head, body, until, resent=True)

    def dropped(self, connection: HandlerConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def closed(self, connection: HandlerConnection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._emptied.set()

    # Connecting.

    def _connect(self, call: int, head: bytes, body: bytes, until: float, *, resent: bool) -> None:
        if self._closed:
            self._loop.call_soon(self._report, call, NoAnswer("refused", "client closed"))
            return
        connection = HandlerConnection(self, self._max_result_bytes)
        connection.resent = resent
        connection.prepare(call, head, body, until)
        connection.deadline = min(until, monotonic() + self._connect_timeout_seconds)
        self._running[call] = connection
        task = self._connecting[connection] = self._loop.create_task(self._establish(connection))
        task.add_done_callback(lambda _: self._connecting.pop(connection))
        if connection.deadline < self._due:
            self._look_at(connection.deadline)

    async def _establish(self, connection: HandlerConnection) -> None:
        try:
            await self._loop.create_connection(lambda: connection, self._host, self._port)
        except ConnectionRefusedError:
            self._not_connected(connection, f"nothing listens on {self._authority}")
        except (OSError, ValueError, OverflowError) as error:  # the latter two: a host or port that cannot be
            self._not_connected(connection, str(error))

    def _not_connected(self, connection: HandlerConnection, why: str) -> None:
        """Nothing was sent, unless this connection was to send again what another may have brought through."""
        call = connection.call
        if call is not None:
            del self._running[call]
            connection.abort()
            self._report(call, NoAnswer("lost" if connection.resent else "refused", why))

    def _abort(self, connection: HandlerConnection) -> None:
        connection.abort()
        task = self._connecting.get(connection)
        if task is not None:
            task.cancel()

    # Time.

    def _look_at(self, when: float) -> None:
        """Sets the timer to ``when``, which is earlier than what it was set to."""
        if self._timer is not None:
            self._timer.cancel()
        self._due = when
        self._timer = self._loop.call_later(max(when - monotonic(), _TIMER_SECONDS), self._look)

    def _look(self) -> None:
        """Ends what has timed out and what was idle too long. What has come in but waits to be read goes first."""
        now = monotonic()
        late = now - self._due > _LATE_SECONDS
        self._due = inf
        self._timer = None
        if late and not self._was_late:
            self._was_late = True
            self._look_at(now)
            return
        self._was_late = False
        self._drop_idle(now)
        expired = [connection for connection in self._running.values() if connection.deadline <= now]
        waiting = [connection.deadline for connection in self._running.values() if connection.deadline > now]
        if self._idle:
            waiting.append(self._idle[0].idle_since + self._idle_seconds)
        if waiting:
            self._look_at(min(waiting))
        for connection in expired:
            self._expire(connection, now)

    def _drop_idle(self, now: float) -> None:
        stale = 0
        while stale < len(self._idle) and self._idle[stale].idle_since + self._idle_seconds <= now:
            self._idle[stale].abort()
            stale += 1
        del self._idle[:stale]

    def _expire(self, connection: HandlerConnection, now: float) -> None:
        call = connection.call
        if call is None:
            return  # abandoned by a report of this same round
        if connection.is_open or (connection.resent and connection.until <= now):
            failure = NoAnswer("timeout")
        else:
            failure = NoAnswer("lost" if connection.resent else "refused", "no connection in time")
        self.abandon(call)
        self._report(call, failure)

    def _report(self, call: int, answer: Answer | NoAnswer) -> None:
        if call >= 0:
            self._on_answer(call, answer)
            return
        awaited = self._awaited.get(call)
        if awaited is not None and not awaited.done():
            awaited.set_result(answer)
