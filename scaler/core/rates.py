"""How fast messages arrive and are settled, and how long one takes, from what replicas report over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from contracts.records import Replica

MEMORY_SECONDS = 5.0
"""The past counts for less and less; what is this old counts for 1/e."""
FORGET_SECONDS = 60.0
"""A replica that was not seen for so long is taken to be gone; before that, its counters go on from where they were."""


class _Seen(NamedTuple):
    """A replica's counters as they were when it was last seen."""

    at: float
    handled: int
    busy_seconds: float


_NEW = _Seen(0.0, 0, 0.0)


class Rates:
    """Exponentially weighted rates of one queue. ``observe`` at any interval; a pure function of what it was given."""

    def __init__(self) -> None:
        self.arrivals_per_second = 0.0
        self.settled_per_second = 0.0
        self.handling_seconds: float | None = None
        self._at: float | None = None
        self._backlog = 0
        self._seen: dict[str, _Seen] = {}

    def observe(self, replicas: Sequence[Replica], backlog: int, now: float) -> None:
        """``backlog``: ready and unacked together. Counters start with a replica, and are remembered past a look that misses it."""
        handled, busy = 0, 0.0
        for replica in replicas:
            report = replica.report
            before = self._seen.get(replica.incarnation, _NEW)
            handled += max(0, report.handled - before.handled)
            busy += max(0.0, report.busy_seconds - before.busy_seconds)
            self._seen[replica.incarnation] = _Seen(now, report.handled, report.busy_seconds)
        self._seen = {name: seen for name, seen in self._seen.items() if now - seen.at < FORGET_SECONDS}
        if handled:
            mean = busy / handled
            known = self.handling_seconds
            weight = min(1.0, handled / 50)
            self.handling_seconds = mean if known is None else known + (mean - known) * weight
        if self._at is not None and now > self._at:
            elapsed = now - self._at
            weight = 1 - math.exp(-elapsed / MEMORY_SECONDS)
            arrived = max(0, backlog - self._backlog + handled)
            self.settled_per_second += (handled / elapsed - self.settled_per_second) * weight
            self.arrivals_per_second += (arrived / elapsed - self.arrivals_per_second) * weight
        self._at, self._backlog = now, backlog

    def rest(self) -> None:
        """The queue sleeps: nothing arrives and nothing is settled. How long a message takes stays known."""
        self.arrivals_per_second = self.settled_per_second = 0.0
        self._at, self._seen = None, {}
