"""What the embedded store keeps of one queue, and the few steps that keep it consistent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from backends.embedded.events import EventLog
from contracts.fence import EPOCHS_PER_LIFE, StateWrite
from contracts.message import Message
from contracts.records import Attempt, Plan, Record, Report, Scale, SessionState, State, replica_name
from contracts.replies import Freed, Push, Replanned
from contracts.topology import Partition

ATTEMPTS_KEPT = 50
"""How many attempts of a message are kept for people to read; the counters go on."""

BURST_SECONDS = 0.1


class Now:
    """The store's two clocks at the start of a turn: leases go by ``monotonic``, due times by ``wall``."""

    __slots__ = ("monotonic", "wall")

    def __init__(self, monotonic: float, wall: float) -> None:
        self.monotonic = monotonic
        self.wall = wall


class Kept(Record, kw_only=True, gc=False):
    """A record with what only the store itself needs.

    ``open_by`` is the replica of an attempt that was started and has not ended, since ``opened_at``; ``ended_epoch``
    the epoch of the last attempt that did end, and ``ended_by`` its replica, by which a repeated commit is known. ``emitted`` waits to be
    published by the ``publisher``, until ``published_until`` (monotonic) by nobody else, until the record is ``marked``; one that ``blocks`` holds its session though it is dead; ``in_place``:
    the newer generation is the delivery that was there, not another one.
    """

    serial: int
    confirmed: bool = False
    open_by: str | None = None
    opened_at: float = 0.0
    ended_epoch: int = 0
    ended_by: str = ""
    accepted: bool = False
    emitted: list[Message] = []
    marked: bool = False
    publisher: str | None = None
    published_until: float = 0.0
    blocks: bool = False
    in_place: bool = False


class Lock:
    """One attempt's hold on a lane. Locks are the permits too: there is one for each attempt that runs."""

    __slots__ = ("epoch", "generation", "lane", "message_id", "nonce", "owner", "session", "since")

    def __init__(self, owner: str, epoch: int, nonce: int, message: Message, since: float) -> None:
        self.owner = owner
        self.epoch = epoch
        self.nonce = nonce
        self.lane = message.lane
        self.session = message.session
        self.message_id = message.id
        self.generation = message.generation
        self.since = since

    def is_of(self, owner: str, nonce: int, message: Message) -> bool:
        """Was it made for this very claim?"""
        return self.owner == owner and self.nonce == nonce and self.message_id == message.id


class Member:
    """A replica as the store knows it; alive while its lease lasts. ``locks`` by lane."""

    __slots__ = ("draining", "lease_until", "locks", "report")

    def __init__(self) -> None:
        self.lease_until = 0.0
        self.draining = False
        self.report = Report()
        self.locks: dict[str, Lock] = {}


class QueueState:
    """All of one queue. ``push(incarnation, what)`` is how replicas are told; ``ended(id)`` wakes who waits.

    ``heads`` is the message of each lane that was attempted and has not ended, or that blocks it. Who waits is told in the
    order of asking, so that the same turns always have the same consequences. ``emptied`` are the lanes that are left of
    each partition of an older set that has ended, ``lingering`` the size of the oldest set in which a lane is left.
    """

    def __init__(
        self,
        push: Callable[[str, Push], None],
        ended: Callable[[str], None],
        life: int = 1,
        quarantine_until: float = 0.0,
    ) -> None:
        self.life = life
        self.quarantine_until = quarantine_until
        self.records: dict[str, Kept] = {}
        self.by_serial: dict[int, str] = {}
        self.serial = 0
        self.locks: dict[str, Lock] = {}
        self.members: dict[str, Member] = {}
        self.heads: dict[str, str] = {}
        self.sessions: dict[str, tuple[SessionState, float]] = {}
        self.epoch = life * EPOCHS_PER_LIFE
        self.paced_until = 0.0
        self.plan = Plan()
        self.scale = Scale()
        self.emptied: dict[Partition, frozenset[str]] = {}
        self.lingering: dict[str, int] = {}
        self.expiry: deque[tuple[float, str, int]] = deque()
        self.waiting_for_lane: dict[str, dict[str, None]] = {}
        self.waiting_for_room: dict[str, None] = {}
        self.log = EventLog()
        self.push = push
        self.ended = ended

    def record_of(self, message: Message) -> Kept:
        """The record of a message, made where there is none; a newer generation starts it anew."""
        record = self.records.get(message.id)
        if record is None:
            self.serial += 1
            record = Kept(
                serial=self.serial,
                id=message.id,
                generation=message.generation,
                session=message.session,
                enqueued_at=message.enqueued_at,
                content_type=message.content_type,
                meta=message.meta,
                deliver_at=message.deliver_at,
            )
            self.records[message.id] = record
            self.by_serial[self.serial] = message.id
        elif record.generation < message.generation:
            self.restart(record, message)
        return record

    def become(self, record: Kept, state: State, at: float) -> None:
        """The record is in this state from now on, and the log says so."""
        record.state = state
        self.log.note(record, at)

    def restart(self, record: Kept, message: Message) -> None:
        """The record follows a redriven message: a new generation, counters at the start."""
        record.generation = message.generation
        record.state = State.QUEUED
        record.attempt = record.failures = record.interruptions = 0
        record.attempts = []
        record.due_at = 0.0
        record.ending = None
        record.open_by = None
        record.emitted, record.marked, record.blocks, record.in_place = [], False, False, False
        record.publisher = None

    def drop(self, message_id: str) -> None:
        record = self.records.pop(message_id, None)
        if record is not None:
            del self.by_serial[record.serial]

    def expire(self, now: float) -> None:
        """Drops the records whose time has come. They were queued in the order in which they settled."""
        while self.expiry and self.expiry[0][0] <= now:
            _, message_id, generation = self.expiry.popleft()
            record = self.records.get(message_id)
            if record is not None and record.generation == generation and record.ending is not None:
                self.drop(message_id)
        while self.sessions:
            session, (_, until) = next(iter(self.sessions.items()))
            if until > now:
                break
            del self.sessions[session]

    def write(self, session: str, write: StateWrite, now: float) -> None:
        """What is written last stands last, so that what is read first is what ends first."""
        self.sessions.pop(session, None)
        if write.state is not None:
            self.sessions[session] = (write.state, now + write.keep_seconds)

    def read(self, session: str | None, now: float) -> SessionState | None:
        found = self.sessions.get(session or "")
        return found[0] if found is not None and session is not None and found[1] > now else None

    def quarantine_seconds(self, now: float) -> float:
        return max(0.0, self.quarantine_until - now)

    def pace(self, rate: float, now: float) -> float:
        """Takes the next start at this rate: 0 where it may be now, else how long to wait for it.

        The generic cell rate algorithm (ITU-T I.371), with a tenth of a second as the tolerated burst.
        """
        wait = self.paced_until - max(0.0, BURST_SECONDS - 1 / rate) - now
        if wait <= 0:
            self.paced_until = max(self.paced_until, now) + 1 / rate
        return max(0.0, wait)

    def interrupt(self, record: Kept, wall: float) -> None:
        """The open attempt of this record is over, and nobody knows how it would have ended."""
        record.interruptions += 1
        attempt = Attempt(
            attempt=record.attempt,
            replica=replica_name(record.open_by or ""),
            started_at=record.opened_at,
            ended_at=wall,
            outcome="interrupted",
        )
        self.attempted(record, attempt)
        record.open_by = None

    def empty(self, partition: Partition, lanes: frozenset[str]) -> bool:
        """No more than these are left of the partition; whether that is news."""
        before = self.emptied.get(partition)
        left = lanes if before is None else lanes & before
        if left == before:
            return False
        self.emptied[partition] = left
        by_age = sorted(self.emptied, reverse=True)
        self.lingering = {lane: one.of for one in by_age for lane in self.emptied[one]}
        for lane in sorted((before or frozenset()) - left):
            self.tell_waiting(lane)
        return True

    def await_lane(self, lane: str, incarnation: str) -> None:
        """This replica is told when the lane is free."""
        self.waiting_for_lane.setdefault(lane, {})[incarnation] = None

    def lock(self, owner: str, nonce: int, message: Message, since: float) -> Lock:
        self.epoch += 1
        lock = Lock(owner, self.epoch, nonce, message, since)
        self.locks[lock.lane] = self.members[owner].locks[lock.lane] = lock
        return lock

    def unlock(self, lock: Lock) -> None:
        """Frees the lane and the permit, and tells who waits for either."""
        del self.locks[lock.lane]
        member = self.members.get(lock.owner)
        if member is not None:
            member.locks.pop(lock.lane, None)
        self.tell_waiting(lock.lane)
        if self.waiting_for_room:
            waiting, self.waiting_for_room = self.waiting_for_room, {}
            for incarnation in waiting:
                self.push(incarnation, Freed(None))

    def tell_waiting(self, lane: str) -> None:
        """Whoever was told that somebody else has this lane may ask again."""
        for incarnation in self.waiting_for_lane.pop(lane, ()):
            self.push(incarnation, Freed(lane))

    def alive(self, incarnation: str, now: float) -> bool:
        member = self.members.get(incarnation)
        return member is not None and member.lease_until > now

    def running(self, now: float) -> int:
        """How many attempts of live replicas run."""
        return sum(len(member.locks) for member in self.members.values() if member.lease_until > now)

    def living(self, now: float) -> tuple[str, ...]:
        return tuple(sorted(name for name, member in self.members.items() if member.lease_until > now))

    def plannable(self, now: float) -> tuple[str, ...]:
        """The living that are not draining."""
        return tuple(name for name in self.living(now) if not self.members[name].draining)

    def announce(self, but: str) -> None:
        """Tells the other replicas that members or plan have changed."""
        for incarnation in self.members:
            if incarnation != but:
                self.push(incarnation, Replanned())

    def attempted(self, record: Kept, attempt: Attempt) -> None:
        record.attempts.append(attempt)
        if len(record.attempts) > ATTEMPTS_KEPT:
            del record.attempts[0]
