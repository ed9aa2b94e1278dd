"""What a turn wants done, gathered so that each outside thing is asked once, and what it is still waiting for."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from contracts.fence import Operation, Renew
from contracts.message import DeadLetter, Message
from contracts.replies import Reply
from sidecar.core.effects import AbandonCall, Ack, AskStore, Bury, Call, Delay, Effect, Publish
from sidecar.core.events import Fate, Now

if TYPE_CHECKING:
    from sidecar.core.lanes import Lane

RESEND_SECONDS = 0.2
"""How long to wait before what the store or the broker did not answer is sent again."""

Asked = tuple[Operation, Any]
Thing = Message | DeadLetter | tuple[Message, float]
Later = Callable[[Now], None]


class Outbox:
    """Operations, acks, things to publish and timers of one core; numbers the calls so that answers find their way."""

    def __init__(self) -> None:
        self._effects: list[Effect] = []
        self._acks: dict[int, list[int]] = {}
        self._operations: list[Asked] = []
        self._messages: list[tuple[Any, Lane]] = []
        self._letters: list[tuple[Any, Lane]] = []
        self._delayed: list[tuple[Any, Lane]] = []
        self._asked: dict[int, list[Asked]] = {}
        self._sending: dict[int, list[tuple[Thing, Lane]]] = {}
        self._timers: list[tuple[float, int, Later]] = []
        self._serial = 0

    def emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def abandon(self, call: int) -> None:
        """Nobody waits for the call any more; one that was only decided on in this turn is not even made."""
        made = [effect for effect in self._effects if not (isinstance(effect, Call) and effect.call == call)]
        if len(made) == len(self._effects):
            made.append(AbandonCall(call))
        self._effects = made

    def ack(self, channel: int, tag: int) -> None:
        self._acks.setdefault(channel, []).append(tag)

    def ask(self, operation: Operation, about: Any = None) -> None:
        """``about`` comes back with the answer."""
        self._operations.append((operation, about))

    def send(self, thing: Thing, lane: Lane) -> None:
        """Publishes a message, a dead letter, or a message with the time (Unix) when it is to come back."""
        if isinstance(thing, Message):
            self._messages.append((thing, lane))
        elif isinstance(thing, DeadLetter):
            self._letters.append((thing, lane))
        else:
            self._delayed.append((thing, lane))

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
        again = [(op, about) for op, about in asked if op.__class__ is not Renew]
        if again:
            self.at(now.monotonic + RESEND_SECONDS, lambda _: self._operations.extend(again))
        return len(again) < len(asked)

    def sent(self, ref: int, fates: list[Fate], now: Now) -> list[tuple[Lane, Thing, Fate]]:
        """What is settled of a sending: safe, or without a queue. The rest is sent again a little later."""
        settled: list[tuple[Lane, Thing, Fate]] = []
        again: list[tuple[Thing, Lane]] = []
        for (thing, lane), fate in zip(self._sending.pop(ref, []), fates, strict=False):
            if fate is Fate.UNKNOWN:
                again.append((thing, lane))
            else:
                settled.append((lane, thing, fate))
        if again:
            self.at(now.monotonic + RESEND_SECONDS, lambda _: self._send_again(again))
        return settled

    def _send_again(self, things: list[tuple[Thing, Lane]]) -> None:
        for thing, lane in things:
            self.send(thing, lane)

    def _take_things(self, things: list[tuple[Thing, Lane]]) -> int:
        self._serial += 1
        self._sending[self._serial] = things
        return self._serial

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
        if self._messages:
            effects.append(Publish(self._take_things(self._messages), [thing for thing, _ in self._messages]))
            self._messages = []
        if self._letters:
            effects.append(Bury(self._take_things(self._letters), [thing for thing, _ in self._letters]))
            self._letters = []
        if self._delayed:
            effects.append(Delay(self._take_things(self._delayed), [thing for thing, _ in self._delayed]))
            self._delayed = []
        return effects
