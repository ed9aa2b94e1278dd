"""The log of what happens to one queue's messages: the newest in a ring, so that it can neither grow nor be late."""

from __future__ import annotations

import asyncio
import secrets

from contracts.events import Event, Stretch
from contracts.records import Record

KEPT = 100_000
"""How many events a log holds."""


class EventLog:
    """Numbers its events from 1. A place is the log's name and how many events lie before it.

    The name is new with every log, so that a place of an earlier one is never taken for a place of this one.
    """

    __slots__ = ("_count", "_kept", "_name", "_ring", "_waiting")

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._name = secrets.token_hex(4)
        self._ring: list[Event] = []
        self._count = 0
        self._waiting: list[asyncio.Future[None]] = []

    def note(self, record: Record, at: float) -> None:
        """The record is in its state since ``at``. On the hot path: it makes one small object."""
        event = Event(record.id, record.session, record.state, record.attempt, at)
        if self._count < self._kept:
            self._ring.append(event)
        else:
            self._ring[self._count % self._kept] = event
        self._count += 1
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def tail(self) -> str:
        return self._place(self._count)

    def read(self, after: str, until: str | None, limit: int) -> Stretch:
        """See ``backends.ports.Events.events``; this does not wait."""
        oldest = self._count - len(self._ring)
        begin = self._number(after)
        gap = begin is None or begin < oldest
        first = oldest if begin is None or gap else begin
        bound = None if until is None else self._number(until)
        last = min(self._count if bound is None else bound, first + limit)
        entries = [(self._place(n + 1), self._ring[n % self._kept]) for n in range(first, last)]
        return Stretch(entries, self._place(max(first, last)), gap)

    async def wait(self, after: str, seconds: float) -> None:
        """Returns once there is something behind this place, or after so long."""
        if self._number(after) != self._count:
            return
        changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(changed)
        try:
            await asyncio.wait_for(changed, seconds)
        except TimeoutError:
            pass
        finally:
            if changed in self._waiting:
                self._waiting.remove(changed)

    def _place(self, count: int) -> str:
        return f"{self._name}-{count}"

    def _number(self, place: str) -> int | None:
        """How many events lie before it; None where it is no place of this log."""
        name, _, digits = place.partition("-")
        if name != self._name or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            return None
        number = int(digits)
        return number if number <= self._count else None
