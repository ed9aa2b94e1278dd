"""What happens to messages, read once for a queue and written to everybody who listens.

A listener that keeps up costs no turn of a task: the feed writes what is new straight into its connection. One that
does not read is let go, and reads on in the log at its own pace, so that the log is the only buffer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from prometheus_client import Gauge

from backends.ports import Events
from contracts.errors import TransientError
from contracts.events import Stretch
from contracts.problems import unavailable
from dispatcher.core.events import BEAT, framed, stretch_text

BEAT_SECONDS = 15.0
"""Where nothing happens, a listener is sent so often a comment; one that is gone is noticed by it."""

_PAGE = 200
"""How many events are read and written together."""

_GATHER_SECONDS = 0.05
"""For so long after a write what happens is gathered. What comes after silence is written at once."""

_BEHIND_BYTES = 64 * 1024
"""Who has not read so much of what was written does not keep up."""

_ROUND = 100
"""After so many listeners others have their turn."""

_AGAIN_SECONDS = 1.0

_log = structlog.get_logger("dispatcher")


class Listener:
    """A connection. Where it is ``chunked``, what is written is framed as HTTP/1.1 has it."""

    __slots__ = ("_chunked", "_transport")

    def __init__(self, transport: asyncio.Transport, chunked: bool) -> None:
        self._transport = transport
        self._chunked = chunked

    @property
    def gone(self) -> bool:
        return self._transport.is_closing()

    @property
    def behind(self) -> bool:
        return self._transport.get_write_buffer_size() > _BEHIND_BYTES

    def write(self, plain: bytes, chunk: bytes) -> None:
        self._transport.write(chunk if self._chunked else plain)

    def cut(self) -> None:
        """Ends the connection with all that was not read on it."""
        self._transport.abort()


class Feed:
    """One queue's events. Whoever keeps up was told all that lies before ``place``."""

    def __init__(self, events: Events, namespace: str, queue: str, place: str, beat_seconds: float) -> None:
        self._events = events
        self._where = (namespace, queue)
        self._beat_seconds = beat_seconds
        self._listeners: set[Listener] = set()
        self._keeping_up: dict[Listener, asyncio.Future[str]] = {}
        self.place = place
        self.ended = False
        self._task = asyncio.create_task(self._run())

    def enter(self, listener: Listener) -> None:
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> bool:
        """Was it the last one?"""
        self._listeners.discard(listener)
        return not self._listeners

    def end(self) -> None:
        """Everybody is let go; who would have to read first is cut off."""
        self.ended = True
        self._task.cancel()
        for listener in self._listeners:
            fallen = self._keeping_up.get(listener)
            if fallen is not None and not fallen.done():
                fallen.set_result(self.place)
            elif listener.behind:
                listener.cut()

    async def keep_up(self, listener: Listener) -> str:
        """Writes to a listener that is at ``place`` what comes, while it reads it. From where on it did not."""
        fallen: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._keeping_up[listener] = fallen
        try:
            return await fallen
        finally:
            del self._keeping_up[listener]

    async def read(self, after: str) -> tuple[bytes, str]:
        """What follows, up to ``place`` at most: as text, and where that ends."""
        stretch = await self._read(after, self.place, 0.0)
        if stretch.end == after:
            await asyncio.sleep(_GATHER_SECONDS)  # it has been ahead of the others, who follow
        return stretch_text(self._where[1], stretch), stretch.end

    async def _read(self, after: str, until: str | None, wait_seconds: float) -> Stretch:
        while True:
            try:
                return await self._events.events(
                    *self._where, after, limit=_PAGE, until=until, wait_seconds=wait_seconds
                )
            except TransientError as away:
                _log.warning("events cannot be read", queue=self._where[1], error=str(away))
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _run(self) -> None:
        try:
            while True:
                await self._tell(await self._read(self.place, None, self._beat_seconds))
        except Exception:
            _log.exception("a feed of events failed", queue=self._where[1])
            self.end()

    async def _tell(self, stretch: Stretch) -> None:
        """Takes as long as it took again, at least, so that half of the time is others'."""
        began = time.monotonic()
        before, self.place = self.place, stretch.end
        await self._write(stretch_text(self._where[1], stretch), before)
        took = time.monotonic() - began
        await asyncio.sleep(took if len(stretch.entries) == _PAGE else max(took, _GATHER_SECONDS))

    async def _write(self, text: bytes, before: str) -> None:
        """Who comes while this goes on is at the new place already, and is not written to."""
        plain, chunk = text or BEAT, framed(text or BEAT)
        for number, (listener, fallen) in enumerate(list(self._keeping_up.items()), 1):
            if fallen.done():
                continue
            if listener.gone or (text and listener.behind):
                fallen.set_result(before)
            elif not listener.behind:
                listener.write(plain, chunk)
            if not number % _ROUND:
                await asyncio.sleep(0)


class Feeds:
    """A feed for each queue that somebody listens to."""

    def __init__(self, events: Events, open_now: Gauge, beat_seconds: float = BEAT_SECONDS) -> None:
        self._events = events
        self._open_now = open_now
        self._beat_seconds = beat_seconds
        self._feeds: dict[tuple[str, str], Feed] = {}
        self._ended = False

    async def find(self, namespace: str, queue: str) -> Feed:
        """The queue's feed, begun with the newest event where nobody listens yet."""
        if (namespace, queue) not in self._feeds:
            place = await self._events.tail(namespace, queue)
            if self._ended:
                raise unavailable("The dispatcher is stopping; nothing can be listened to any more.")
            if (namespace, queue) not in self._feeds:
                self._feeds[namespace, queue] = Feed(self._events, namespace, queue, place, self._beat_seconds)
        return self._feeds[namespace, queue]

    @asynccontextmanager
    async def listening(self, feed: Feed, listener: Listener) -> AsyncIterator[None]:
        feed.enter(listener)
        try:
            with self._open_now.track_inprogress():
                yield
        finally:
            if feed.leave(listener):
                feed.end()
                for key in [key for key, one in self._feeds.items() if one is feed]:
                    del self._feeds[key]

    def gone(self, namespace: str, queue: str) -> None:
        """The queue was deleted: everybody who listens to it is let go."""
        feed = self._feeds.pop((namespace, queue), None)
        if feed is not None:
            feed.end()

    def end(self) -> None:
        """Everybody is let go, and nobody listens any more."""
        self._ended = True
        for namespace, queue in list(self._feeds):
            self.gone(namespace, queue)
