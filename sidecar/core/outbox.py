"""What a turn wants done, gathered so that each outside thing is asked once, and what it is still waiting for."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from contracts.fence import Operation, Renew, Reply
from contracts.message import DeadLetter
from sidecar.core.effects import Ack, AskStore, Bury, Effect
from sidecar.core.events import Now
from sidecar.core.lanes import Lane

RESEND_SECONDS = 0.2
"""How long to wait before what the store or the broker did not answer is sent again."""

Asked = tuple[Operation, Lane | None]
Later = Callable[[Now], None]


class Outbox:
    """Operations, acks, dead letters and timers of one core; numbers the calls so that answers find their way."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._acks: dict[int, list[int]] = {}
        self._operations: list[Asked] = []
        self._letters: list[tuple[DeadLetter, Lane]] = []
        self._asked: dict[int, list[Asked]] = {}
        self._burying: dict[int, list[tuple[DeadLetter, Lane]]] = {}
        self._timers: list[tuple[float, int, Later]] = []
        self._serial = 0

    def emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def ack(self, channel: int, tag: int) -> None:
        self._acks.setdefault(channel, []).append(tag)

    def ask(self, operation: Operation, lane: Lane | None = None) -> None:
        self._operations.append((operation, lane))

    def bury(self, letter: DeadLetter, lane: Lane) -> None:
        self._letters.append((letter, lane))

    def at(self, due: float, later: Later) -> None:
        """Runs ``later`` in the first turn at or after ``due`` (monotonic)."""
        self._serial += 1
        heapq.heappush(self._timers, (due, self._serial, later))

    def next_due(self) -> float | None:
        return self._timers[0][0] if self._timers else None

    def run_due(self, now: Now) -> None:
        while self._timers and self._timers[0][0] <= now.monotonic:
            heapq.heappop(self._timers)[2](now)

    def replied(self, ref: int, replies: list[Reply]) -> list[tuple[Asked, Reply]]:
        return list(zip(self._asked.pop(ref, []), replies, strict=False))

    def failed(self, ref: int, now: Now) -> bool:
        """Sends the same operations again a little later, all but renewals, which would be stale.

        Answers whether a renewal was among them.
        """
        asked = self._asked.pop(ref, [])
        again = [(op, lane) for op, lane in asked if op.__class__ is not Renew]
        if again:
            self.at(now.monotonic + RESEND_SECONDS, lambda _: self._operations.extend(again))
        return len(again) < len(asked)

    def buried(self, ref: int, confirmed: list[bool], now: Now) -> list[Lane]:
        """The lanes whose dead letter is safe; the others are published again a little later."""
        done: list[Lane] = []
        again: list[tuple[DeadLetter, Lane]] = []
        for (letter, lane), sure in zip(self._burying.pop(ref, []), confirmed, strict=False):
            if sure:
                done.append(lane)
            else:
                again.append((letter, lane))
        if again:
            self.at(now.monotonic + RESEND_SECONDS, lambda _: self._letters.extend(again))
        return done

    def take(self) -> list[Effect]:
        """The effects of the turn: acks first, so that they go out before their channel is closed."""
        effects: list[Effect] = [Ack(channel, tags) for channel, tags in self._acks.items()]
        effects += self._effects
        self._acks, self._effects = {}, []
        if self._operations:
            self._serial += 1
            self._asked[self._serial] = self._operations
            effects.append(AskStore(self._serial, [operation for operation, _ in self._operations]))
            self._operations = []
        if self._letters:
            self._serial += 1
            self._burying[self._serial] = self._letters
            effects.append(Bury(self._serial, [letter for letter, _ in self._letters]))
            self._letters = []
        return effects
