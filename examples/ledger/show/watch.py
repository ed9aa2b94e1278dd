"""Looks at the queue and the books five times a second, and remembers what it saw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from examples.ledger.show.books import Books
from examples.ledger.show.errors import DemoError

PERIOD_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Sample:
    """The queue and the books at one moment."""

    seconds: float
    handled: int
    ready: int
    unacked: int
    in_flight: int
    scheduled: int
    dead: int
    sessions: int
    observed: int
    desired: int

    @property
    def backlog(self) -> int:
        """What is not settled yet."""
        return self.ready + self.unacked + self.scheduled

    @property
    def waiting(self) -> int:
        """What no handler has yet, in the broker or in a replica's window."""
        return max(0, self.ready + self.unacked - self.in_flight)


class Watch:
    """Samples, and events in words, in seconds since the watch was made."""

    def __init__(self, http: aiohttp.ClientSession, queue_url: str, books: Books, total: int) -> None:
        self.samples: list[Sample] = []
        self.events: list[tuple[float, str]] = []
        self.total = total
        self.concurrency_per_replica = 0
        self.started_at = time.time()
        self._start = time.monotonic()
        self._http = http
        self._url = queue_url
        self._books = books
        self._changed = asyncio.Condition()

    @property
    def seconds(self) -> float:
        """How long it has been watching."""
        return time.monotonic() - self._start

    def note(self, event: str) -> None:
        """Remember that something happened."""
        self.events.append((self.seconds, event))

    async def look(self) -> Sample:
        """Take a sample now."""
        queue = await self._queue()
        status, replicas = queue["status"], queue["status"]["replicas"]
        self.concurrency_per_replica = queue["spec"]["sessions"]["concurrencyPerReplica"]
        sample = Sample(
            seconds=self.seconds,
            handled=self._books.handled(),
            observed=replicas["observed"],
            desired=replicas["desired"],
            **{name: status[name] for name in ("ready", "unacked", "in_flight", "scheduled", "dead", "sessions")},
        )
        async with self._changed:
            self.samples.append(sample)
            self._changed.notify_all()
        return sample

    async def _queue(self) -> dict[str, Any]:
        try:
            async with self._http.get(self._url) as answer:
                if not answer.ok:
                    raise DemoError(f"GET {self._url} answered {answer.status} {await answer.text()}")
                queue: dict[str, Any] = await answer.json()
                return queue
        except aiohttp.ClientError as error:
            raise DemoError(f"the dispatcher no longer answers: {error!r}") from error

    async def forever(self) -> None:
        """Take samples until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_SECONDS)

    async def until(self, holds: Callable[[Sample], bool]) -> Sample:
        """Wait for a sample of which this holds."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self.samples) and holds(self.samples[-1]))
            return self.samples[-1]

    def rate(self) -> float:
        """Transfers a second, over the last second or so."""
        return _rate(self.samples)

    def peak_rate(self) -> float:
        """The best second."""
        return max((_rate(self.samples[: end + 1]) for end in range(len(self.samples))), default=0.0)


def _rate(samples: list[Sample]) -> float:
    if not samples:
        return 0.0
    last = samples[-1]
    before = next((one for one in reversed(samples) if last.seconds - one.seconds >= 1), samples[0])
    return (last.handled - before.handled) / max(last.seconds - before.seconds, 1.0)
