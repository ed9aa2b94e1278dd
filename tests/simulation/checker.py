"""The promises, held against everything that happens. Written from ``docs/guarantees.md``, not from the cores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from backends.embedded.broker import EmbeddedBroker
from backends.embedded.state import Kept
from contracts.fence import Assert, Claim, Commit, Operation
from contracts.message import Message
from contracts.records import SessionState
from contracts.replies import Claimed, Done, Reply
from contracts.workqueue import Spec

T = TypeVar("T")
DEAD_IN_A_ROW = 20
"""As the contract has it."""


class Broken(AssertionError):
    """A promise was broken."""


class SimulatedCall:
    """A handler call, as an observer next to the handler sees it."""

    def __init__(self, replica: str, message: Message, attempt: int, epoch: int) -> None:
        self.replica = replica
        self.message = message
        self.attempt = attempt
        self.epoch = epoch
        self.running = True
        self.body = f"{message.id}/{message.generation}/{attempt}/{replica}".encode()
        self.emitted: list[Message] = []
        self.wrote = False
        self.acked_to_a_sound_replica = False
        self.unmade = False
        """Its batch failed as a whole: it counts as not attempted."""
        self.excused = False
        """Its replica died, was cut off past its lease, or the call timed out: it may be run beside or again."""


class Checker:
    """Sees every accepted message, call, commit and ack, and raises ``Broken`` as soon as one cannot be right."""

    def __init__(self, spec: Spec) -> None:
        self._max_concurrent = spec.sessions.max_concurrent
        self._most_dead_in_a_row = DEAD_IN_A_ROW + spec.sessions.concurrency_per_replica
        self._dead_in_a_row: Counter[str] = Counter()
        self._commits: set[tuple[str, int]] = set()
        self._counted: set[tuple[str, int, int]] = set()
        self.accepted: dict[str, Message] = {}
        self._sessions: dict[str, list[str]] = {}
        self.ended: dict[str, str] = {}
        self.calls: list[SimulatedCall] = []
        self._epochs: dict[str, int] = {}
        self._blocked: dict[str, str] = {}
        self.states: dict[str, int] = {}
        """For each session, how often a handler's write to its state was committed."""
        self.to_emit: dict[str, list[Message]] = {}
        """What succeeded messages emitted, by parent."""
        self.weak: set[str] = set()
        """What the store forgot before it was settled: effects are at least once for these."""
        self.delayed: Counter[str] = Counter()
        self.forgot = False
        self.rolled_back = False
        self._in_place: set[str] = set()

    # What users do

    def accept(self, message: Message) -> None:
        """The message is in the queue: from now on nothing may lose it."""
        if message.id not in self.accepted:
            self._place(message)

    def redriven(self, message: Message) -> None:
        """It comes again, as a newer generation and last in its session."""
        known = self.accepted[message.id]
        self.ended.pop(message.id, None)
        if message.session is not None:
            self._sessions[message.session].remove(message.id)
        self._place(message if message.generation > known.generation else known)

    def _place(self, message: Message) -> None:
        self.accepted[message.id] = message
        if message.session is not None:
            self._sessions.setdefault(message.session, []).append(message.id)

    def redriven_in_place(self, message: Message) -> None:
        self._in_place.add(message.id)
        self.accepted[message.id] = message
        self.ended.pop(message.id, None)
        self._blocked.pop(message.lane, None)

    def ordered(self, message_id: str, end: str) -> None:
        """An operator ended it: cancelled, or skipped to the dead letters."""
        message = self.accepted[message_id]
        if self._blocked.get(message.lane) == message_id:
            del self._blocked[message.lane]
        elif message_id in self.ended and message_id not in self.weak:
            raise Broken(f"effects once: {message_id} was ended as {end} after it had ended")
        else:
            if end == "cancelled" and any(c.running and not c.excused for c in self._calls_of(message)):
                raise Broken(f"cancel: {message_id} was cancelled while it ran")
            self.ended[message_id] = end
            self.to_emit.pop(message_id, None)  # of a success that the store has lost

    def _calls_of(self, message: Message) -> Iterable[SimulatedCall]:
        same = (message.id, message.generation)
        return (call for call in self.calls if (call.message.id, call.message.generation) == same)

    def store_forgot(self, unsettled: Iterable[Message], *, excuse_all: bool) -> None:
        """``excuse_all``: replicas may not have been able to say in time what they run."""
        self.forgot = True
        self._epochs.clear()
        self._blocked.clear()
        for message in unsettled:
            if message.id in self._in_place and message.id not in self.ended:
                self.accepted[message.id] = message  # that it was redriven is forgotten too; it stands where it stood
            if message.id in self.ended or message.generation < self.accepted[message.id].generation:
                self.weak.add(message.id)
        for call in self.calls:
            if excuse_all or (not call.running and call.message.id not in self.ended):
                call.excused = True

    def store_rolled_back(self, touched: set[str], ended: set[str], states: dict[str, SessionState]) -> None:
        """What was said of the messages ``touched`` in its last moments is lost: for them it is at least once from now on.

        ``ended`` are those that it still knows to have ended.
        """
        self.forgot = self.rolled_back = True
        self._epochs.clear()
        self._commits = {key for key in self._commits if key[0] not in touched - ended}
        self.weak |= touched & self.accepted.keys()
        self._blocked = {lane: message_id for lane, message_id in self._blocked.items() if message_id not in touched}
        self.states = {name: int(state.body) for name, state in states.items()}
        for message_id in touched:
            self.to_emit.pop(message_id, None)
        for call in self.calls:
            if call.message.id in touched:
                call.excused = True

    # What the cores do

    def started(self, call: SimulatedCall, wall: float) -> None:
        """A call begins. Checks order, exclusion, single calls, expiry and the bound on concurrency."""
        message = call.message
        if message.id in self.ended and message.id not in self.weak and not call.excused:
            raise Broken(f"effects once: {message.id} is called again after it ended as {self.ended[message.id]}")
        if message.expires_at and wall >= message.expires_at:
            raise Broken(f"expiry: an attempt at {message.id} starts past its time to live")
        if self._blocked.get(message.lane, message.id) != message.id:
            raise Broken(f"onDead: {message.id} is called while {self._blocked[message.lane]} blocks its session")
        if message.id not in self.weak or message.generation == self.accepted[message.id].generation:
            self._check_order(message, "is called")
        for other in self.calls:
            same = other.message.id == message.id and other.message.generation == message.generation
            if same and other.attempt >= call.attempt and not other.unmade and not self.forgot:
                raise Broken(f"attempts: {message.id} is called as attempt {call.attempt} after {other.attempt}")
            if other.excused or call.excused:
                continue
            if other.message.lane == message.lane and other.running:
                raise Broken(f"one at a time: {message.id} is called while {other.message.id} runs on {other.replica}")
            if same and other.acked_to_a_sound_replica and message.id not in self.weak:
                raise Broken(f"called once: {message.id} is called again, and nothing had happened to its replica")
        running = sum(1 for other in self.calls if other.running and not other.excused)
        if running >= self._max_concurrent and not call.excused:
            raise Broken(f"maxConcurrent: {running + 1} calls run, {self._max_concurrent} are allowed")
        self.calls.append(call)

    def _check_order(self, message: Message, what: str) -> None:
        for earlier in self._sessions.get(message.session or "", []):
            if earlier == message.id:
                return
            if earlier not in self.ended:
                raise Broken(f"order: {message.id} {what} while {earlier} before it has not ended")

    def applied(self, operations: Sequence[Operation], replies: Sequence[Reply], records: dict[str, Kept]) -> None:
        """The store took a turn. Checks that epochs rise and that each message ends once, by the call that counts."""
        for operation, reply in zip(operations, replies, strict=True):
            if isinstance(reply, Claimed) and isinstance(operation, Claim | Assert):
                lane = operation.message.lane
                if reply.epoch < self._epochs.get(lane, 0):
                    raise Broken(f"fencing: the epoch of {lane} fell to {reply.epoch}")
                self._epochs[lane] = reply.epoch
            if isinstance(operation, Commit) and isinstance(reply, Done):
                self._committed(operation, records[operation.message.id])

    def _committed(self, operation: Commit, record: Kept) -> None:
        message, ending = operation.message, operation.ending
        if (message.id, operation.epoch) in self._commits:
            return  # a repeat is answered as before, and writes nothing
        self._commits.add((message.id, operation.epoch))
        self._count_dead(operation)
        end = f"{ending.state}:{ending.body!r}"
        if operation.epoch < self._epochs.get(message.lane, 0) and message.id not in self.ended:
            raise Broken(f"fencing: {message.id} was committed under epoch {operation.epoch}, which is not current")
        if message.generation < self.accepted[message.id].generation:
            if message.id in self.weak:
                self.ended[message.id] = end  # its redrive finds it ended
            return  # a repeat, of an end that was redriven since
        if message.id in self.ended and message.id not in self.weak:
            kept = record.ending
            if kept is not None and f"{kept.state}:{kept.body!r}" != self.ended[message.id] and self._own(message.id):
                raise Broken(f"effects once: {message.id} ended twice, and differently")
            return
        self._check_author(operation, record)
        self._check_order(message, "ended")
        self.ended[message.id] = end
        if operation.block and record.blocks and message.session is not None:
            self._blocked[message.lane] = message.id

    def _count_dead(self, operation: Commit) -> None:
        """Twenty in a row halt a replica; what ran by then may still end."""
        attempt, message = operation.attempt, operation.message
        if attempt is None or (message.id, message.generation, attempt.attempt) in self._counted:
            return
        self._counted.add((message.id, message.generation, attempt.attempt))
        if attempt.outcome != "dead-letter":
            self._dead_in_a_row[attempt.replica] = 0
            return
        self._dead_in_a_row[attempt.replica] += 1
        if self._dead_in_a_row[attempt.replica] > self._most_dead_in_a_row:
            raise Broken(f"dead in a row: {attempt.replica} has {self._dead_in_a_row[attempt.replica]} and goes on")

    def resumed(self) -> None:
        """An operator resumed the queue: replicas count anew."""
        self._dead_in_a_row.clear()

    def _own(self, message_id: str) -> bool:
        """Did it end by itself, and not because an operator said so?"""
        return ":" in self.ended[message_id]

    def _check_author(self, operation: Commit, record: Kept) -> None:
        """A success, what it emitted and what it wrote are those of its last attempt."""
        message, ending = operation.message, operation.ending
        if ending.state != "succeeded":
            if operation.emitted or operation.write:
                raise Broken(f"effects once: {message.id} did not succeed, and took effect")
            self.to_emit.pop(message.id, None)  # of a success that the store forgot before it was settled
            return
        made = [call for call in self._calls_of(message) if call.attempt == record.attempt and call.body == ending.body]
        if not made:
            raise Broken(f"effects once: the result of {message.id} is not that of its last attempt")
        wanted = [emitted.id for emitted in made[-1].emitted]
        if made[-1].wrote and operation.write is None:
            raise Broken(f"session state: what {message.id} wrote is not committed with it")
        if [emitted.id for emitted in operation.emitted] != wanted:
            raise Broken(f"emits: {message.id} was committed with other messages than its attempt emitted")
        self.to_emit[message.id] = operation.emitted
        if operation.write is not None and operation.write.state is not None and message.session is not None:
            told, known = int(operation.write.state.body), self.states.get(message.session, 0)
            if told != known + 1 and not self.forgot:
                raise Broken(f"session state: {message.id} wrote {told} where {known} was committed")
            self.states[message.session] = told

    def published(self, messages: Sequence[Message]) -> None:
        """Emitted messages reach their queue: those of a parent that succeeded, and in the order of one session."""
        for message in messages:
            parent = message.meta["parent"]
            ids = [emitted.id for emitted in self.to_emit.get(parent, [])]
            if message.id not in ids and parent not in self.weak and not self.forgot:
                raise Broken(f"emits: {message.id} is sent, and {parent} did not end with it")

    def acked(self, message: Message, broker: EmbeddedBroker, sink: Sequence[str]) -> None:
        """The broker is to forget a delivery: all that its end asks for must be safe by now."""
        current = self.accepted[message.id]
        if message.generation < current.generation and message.lane not in self._blocked:
            return
        if message.id not in self.ended:
            if self.delayed[message.id] or message.generation < current.generation:
                return
            raise Broken(f"nothing lost: {message.id} is acked before it has ended")
        if self._blocked.get(message.lane) == message.id:
            raise Broken(f"onDead: {message.id} blocks its session, and is acked")
        missing = [m.id for m in self.to_emit.get(message.id, []) if m.queue == "sink" and m.id not in sink]
        if missing:
            raise Broken(f"emits: {message.id} is acked before {missing[0]} is safe")

    def at_the_end(self, broker: EmbeddedBroker, namespace: str, queue: str, sink: Sequence[str]) -> None:
        """Faults have stopped and time has passed: everything accepted has ended, and nothing is left over."""
        missing = [message_id for message_id in self.accepted if message_id not in self.ended]
        if missing:
            raise Broken(f"nothing lost: {len(missing)} of {len(self.accepted)} never ended, such as {missing[0]}")
        depth = run(broker.depth(namespace, queue))
        if sum(depth.ready) or depth.unacked:
            raise Broken(f"settled: the broker still holds {sum(depth.ready)} ready and {depth.unacked} unacked")
        letters = run(broker.browse(namespace, queue))
        # A letter of an earlier generation is stale: its message was redriven before its burial was known to be safe.
        found = [(letter.message.id, letter.message.generation) for letter in letters if not letter.kept_by]
        dead = {(name, generation) for name, generation in found if generation == self.accepted[name].generation}
        wanted = {(m.id, m.generation) for m in self.accepted.values() if self.ended[m.id].startswith("dead")}
        if dead != wanted and not self.forgot:
            raise Broken(f"dead letters: {sorted(dead ^ wanted)} are only on one side of queue and records")
        self._check_emitted(sink, {letter.message.id for letter in letters if letter.kept_by})

    def _check_emitted(self, sink: Sequence[str], orphans: set[str]) -> None:
        for parent, emitted in self.to_emit.items():
            ids = [message.id for message in emitted if message.queue == "sink"]
            if not set(ids) <= set(sink):
                raise Broken(f"emits: {sorted(set(ids) - set(sink))[0]} of {parent} never came")
            for session in ("a", "b"):
                places = [sink.index(m.id) for m in emitted if m.queue == "sink" and m.session == session]
                if places != sorted(places):
                    raise Broken(f"emits: what {parent} emitted came out of order")
            lost = [m.id for m in emitted if m.queue != "sink" and m.id not in orphans]
            if lost:
                raise Broken(f"emits: {lost[0]} of {parent} had no queue, and is not among the dead letters")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The value of a coroutine that does not wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    raise AssertionError("the embedded adapter waited")
