"""The promises, held against everything that happens. Written from ``docs/guarantees.md``, not from the cores."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from backends.embedded.broker import EmbeddedBroker
from backends.embedded.state import Kept
from contracts.fence import Claimed, Commit, Done, Operation, Reply
from contracts.message import Message

T = TypeVar("T")


class Broken(AssertionError):
    """A promise was broken."""


class SimulatedCall:
    """A handler call, as an observer next to the handler sees it."""

    def __init__(self, replica: str, message: Message, attempt: int) -> None:
        self.replica = replica
        self.message = message
        self.attempt = attempt
        self.running = True
        self.body = f"{message.id}/{attempt}/{replica}".encode()
        self.acked_to_a_sound_replica = False
        self.excused = False
        """Its replica died, was cut off past its lease, or the call timed out: it may be run beside or again."""


class Checker:
    """Sees every accepted message, call and commit, and raises ``Broken`` as soon as one cannot be right."""

    def __init__(self, max_concurrent: int) -> None:
        self._max_concurrent = max_concurrent
        self.accepted: dict[str, Message] = {}
        self._sessions: dict[str, list[str]] = {}
        self.ended: dict[str, str] = {}
        self.calls: list[SimulatedCall] = []
        self._epochs: dict[str, int] = {}

    def accept(self, message: Message) -> None:
        if message.id not in self.accepted:
            self.accepted[message.id] = message
            if message.session is not None:
                self._sessions.setdefault(message.session, []).append(message.id)

    def started(self, call: SimulatedCall) -> None:
        """A call begins. Checks order, exclusion, single calls and the bound on concurrency."""
        message = call.message
        if message.id in self.ended:
            raise Broken(f"effects once: {message.id} is called again after it ended as {self.ended[message.id]}")
        for earlier in self._sessions.get(message.session or "", []):
            if earlier == message.id:
                break
            if earlier not in self.ended:
                raise Broken(f"order: {message.id} is called while {earlier} before it has not ended")
        for other in self.calls:
            same = other.message.lane == message.lane
            if same and other.running and not other.excused:
                raise Broken(f"one at a time: {message.id} is called while {other.message.id} runs on {other.replica}")
            if other.message.id == message.id and other.acked_to_a_sound_replica and not other.excused:
                raise Broken(f"called once: {message.id} is called again, and nothing had happened to its replica")
        running = sum(1 for other in self.calls if other.running and not other.excused)
        if running >= self._max_concurrent:
            raise Broken(f"maxConcurrent: {running + 1} calls run, {self._max_concurrent} are allowed")
        self.calls.append(call)

    def applied(self, operations: Sequence[Operation], replies: Sequence[Reply], records: dict[str, Kept]) -> None:
        """The store took a turn. Checks that epochs rise and that each message ends once, by the call that counts."""
        for operation, reply in zip(operations, replies, strict=True):
            if isinstance(reply, Claimed) and hasattr(operation, "message"):
                lane = operation.message.lane
                if reply.epoch < self._epochs.get(lane, 0):
                    raise Broken(f"fencing: the epoch of {lane} fell to {reply.epoch}")
                self._epochs[lane] = reply.epoch
            if isinstance(operation, Commit) and isinstance(reply, Done):
                self._committed(operation, records[operation.message.id])

    def _committed(self, operation: Commit, record: Kept) -> None:
        message, ending = operation.message, operation.ending
        if operation.epoch < self._epochs.get(message.lane, 0) and message.id not in self.ended:
            raise Broken(f"fencing: {message.id} was committed under epoch {operation.epoch}, which is not current")
        if message.id in self.ended:
            if record.ending is not None and f"{record.ending.state}:{record.ending.body!r}" != self.ended[message.id]:
                raise Broken(f"effects once: {message.id} ended twice, and differently")
            return
        made = [call.body for call in self.calls if call.message.id == message.id and call.attempt == record.attempt]
        if ending.state == "succeeded" and ending.body not in made:
            raise Broken(f"effects once: the result of {message.id} is not that of its last attempt")
        for earlier in self._sessions.get(message.session or "", []):
            if earlier == message.id:
                break
            if earlier not in self.ended:
                raise Broken(f"order: {message.id} ended while {earlier} before it has not")
        self.ended[message.id] = f"{ending.state}:{ending.body!r}"

    def at_the_end(self, broker: EmbeddedBroker, namespace: str, queue: str) -> None:
        """Faults have stopped and time has passed: everything accepted has ended, and nothing is left over."""
        missing = [message_id for message_id in self.accepted if message_id not in self.ended]
        if missing:
            raise Broken(f"nothing lost: {len(missing)} of {len(self.accepted)} never ended, such as {missing[0]}")
        depth = run(broker.depth(namespace, queue))
        if sum(depth.ready) or depth.unacked:
            raise Broken(f"settled: the broker still holds {sum(depth.ready)} ready and {depth.unacked} unacked")
        dead = {letter.message.id for letter in run(broker.browse(namespace, queue))}
        wanted = {message_id for message_id, end in self.ended.items() if end.startswith("dead")}
        if dead != wanted:
            raise Broken(f"dead letters: {sorted(dead ^ wanted)} are only on one side of queue and records")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The value of a coroutine that does not wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("the embedded adapter waited")
