"""Simulated time: callbacks in a heap, all of it decided by one random generator."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

MOST_STEPS = 60_000
"""Far more than an honest seed needs."""
LOOK_EVERY = 8
"""After so many steps it is seen whether all is done."""
WALL_OFFSET = 1_700_000_000.0


class Clockwork:
    """``at`` schedules, ``run_until`` lets time pass. The wall clock runs beside the monotonic one."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.wall_shift = 0.0
        self._serial = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + WALL_OFFSET + self.wall_shift

    def at(self, when: float, callback: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._due, (max(when, self.now), self._serial, callback))

    def after(self, delay: float, callback: Callable[[], None]) -> None:
        self.at(self.now + delay, callback)

    def at_wall(self, when: float, callback: Callable[[], None]) -> None:
        """Not before the wall clock shows this time, however often it is set meanwhile."""

        def due() -> None:
            if self.wall() < when:
                self.at_wall(when, callback)
            else:
                callback()

        self.at(when - WALL_OFFSET - self.wall_shift, due)

    def soon(self, callback: Callable[[], None]) -> None:
        self.at(self.now, callback)

    def run_until(self, end: float, done: Callable[[], bool] = lambda: False) -> None:
        steps = 0
        while self._due and self._due[0][0] <= end and (steps % LOOK_EVERY or not done()):
            self.now, _, callback = heapq.heappop(self._due)
            callback()
            steps += 1
            if steps > MOST_STEPS:
                raise AssertionError(f"it spins: {steps} things have happened, and it goes on")
        if not done():
            self.now = max(self.now, end)
