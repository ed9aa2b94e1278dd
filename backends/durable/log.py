"""A queue's log of events on disk: stretches of them, one or more a commit, as long as the ring in memory has them."""

from __future__ import annotations

from typing import Final

import msgspec

from backends.durable.journal import Journal
from backends.durable.schema import key_range
from backends.embedded.events import KEPT, EventLog
from contracts.events import Event

EVENTS: Final = "INSERT INTO events VALUES (?, ?)"
OLD_EVENTS: Final = "DELETE FROM events WHERE key BETWEEN ? AND ?"
READ: Final = "SELECT key, body FROM events WHERE key BETWEEN ? AND ? ORDER BY key"
_STRETCH: Final = 1_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Event]).decode


class KeptLog(EventLog):
    """Rows are named by the number of their first event. The log keeps its name, so that places outlive the process."""

    __slots__ = ("_first_key", "_journal", "_last_key", "_written")

    def __init__(self, journal: Journal, queue: int, name: str | None = None, kept: int = KEPT) -> None:
        super().__init__(kept)
        self._journal = journal
        self._first_key, self._last_key = key_range(queue)
        self._written = 0
        if name is not None:
            self._name = name
            self._load()

    @property
    def name(self) -> str:
        return self._name

    def _load(self) -> None:
        events: list[Event] = []
        for key, body in self._journal.read(READ, (self._first_key, self._last_key)):
            stretch = _decode(body)
            events += stretch
            self._count = key - self._first_key + len(stretch)
        self._written = self._count
        # The event of number n stands at n modulo the ring's size.
        ring = events[-self._kept :]
        turn = (self._count - len(ring)) % self._kept
        self._ring = ring[len(ring) - turn :] + ring[: len(ring) - turn]

    def save(self) -> None:
        """Writes what is new, and lets go of what the ring has let go of."""
        if self._written == self._count:
            return
        begin = max(self._written, self._count - len(self._ring))
        for first in range(begin, self._count, _STRETCH):
            stretch = [self._ring[n % self._kept] for n in range(first, min(first + _STRETCH, self._count))]
            self._journal.write(EVENTS, (self._first_key + first, _encode(stretch)))
        self._written = self._count
        gone = self._count - self._kept - _STRETCH
        if gone >= 0:
            self._journal.write(OLD_EVENTS, (self._first_key, self._first_key + gone))
