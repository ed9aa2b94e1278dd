"""Mistakes to make on purpose: each changes one place of the cores or of the fence, and some seed must notice.

A mutation is text: what stands there, and what stands there instead. It is compiled into the functions that are
running, so that whoever holds one of them has it too. Those marked as *real* were in the code once, and were found by
the simulation; ``seed`` is one that notices, looked for anew by ``python -m tests.simulation --mutations``.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType


@dataclass(frozen=True)
class Mutation:
    """``old`` stands exactly once in the module; ``why`` says what is wrong with ``new``; ``needs``: kinds of faults."""

    name: str
    module: str
    old: str
    new: str
    why: str
    seed: int = 0
    real: bool = False
    needs: tuple[str, ...] = ()


@contextlib.contextmanager
def applied(mutation: Mutation) -> Iterator[None]:
    """The code with the mistake in it, as long as this lasts."""
    module = importlib.import_module(mutation.module)
    source = Path(inspect.getfile(module)).read_text()
    assert source.count(mutation.old) == 1, (
        f"{mutation.name}: what it changes stands {source.count(mutation.old)} times"
    )
    mutated = _functions_of(compile(source.replace(mutation.old, mutation.new), module.__file__ or "", "exec"))
    real: list[tuple[FunctionType, CodeType]] = []
    for name, function in _running(module):
        if _differ(function.__code__, mutated[name]):
            real.append((function, function.__code__))
            function.__code__ = mutated[name]
    assert real, f"{mutation.name}: changes no function"
    try:
        yield
    finally:
        for function, code in real:
            function.__code__ = code


def _functions_of(code: CodeType) -> dict[str, CodeType]:
    found: dict[str, CodeType] = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found[constant.co_qualname] = constant
            found |= {name: inner for name, inner in _functions_of(constant).items() if "<locals>" not in name}
    return found


def _running(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        for member in vars(value).values() if isinstance(value, type) else (value,):
            function = member.fget if isinstance(member, property) else member
            if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                yield function.__qualname__, function


def _differ(one: CodeType, other: CodeType) -> bool:
    return one.co_code != other.co_code or _plain(one) != _plain(other) or one.co_names != other.co_names


def _plain(code: CodeType) -> list[object]:
    """Constants, those of functions inside among them, so that a change in there is seen too."""
    return [
        (constant.co_code, _plain(constant), constant.co_names) if isinstance(constant, types.CodeType) else constant
        for constant in code.co_consts
    ]


_FENCE, _ORDERS, _STATE = "backends.embedded.fence", "backends.embedded.orders", "backends.embedded.state"
_CALLS, _CLAIMS, _ENDINGS = "sidecar.core.calls", "sidecar.core.claims", "sidecar.core.endings"
_LANES, _MEMBERSHIP, _OUTBOX = "sidecar.core.lanes", "sidecar.core.membership", "sidecar.core.outbox"
_SPEECHES, _STANDING, _STAGING, _TURN = (
    "sidecar.core.speeches",
    "sidecar.core.standing",
    "sidecar.core.staging",
    "sidecar.core.turn",
)

MUTATIONS = (
    Mutation(
        "no fence",
        _FENCE,
        "    return lock if lock is not None and lock.epoch == epoch and lock.owner == incarnation else None",
        "    return lock",
        "a commit is taken under any epoch",
        needs=("replicas pause",),
        seed=40,
    ),
    Mutation(
        "no lock",
        _FENCE,
        "        if state.alive(lock.owner, now.monotonic):\n            state.waiting_for_lane",
        "        if False:\n            state.waiting_for_lane",
        "whoever asks gets the session, whoever holds it",
        seed=3,
    ),
    Mutation(
        "a dead owner holds for ever",
        _FENCE,
        "        if state.alive(lock.owner, now.monotonic):\n            state.waiting_for_lane",
        "        if True:\n            state.waiting_for_lane",
        "a session whose owner died is never free again",
        seed=39,
    ),
    Mutation(
        "no deduplication",
        _FENCE,
        "    if record.ending is not None:\n        return _found_ended",
        "    if record.ending is not None and not record.marked:\n        return _found_ended",
        "what has ended is called again when it is delivered again",
        seed=1,
    ),
    Mutation(
        "generation ignored",
        _FENCE,
        "    if record.generation > message.generation and not record.in_place:\n        return Ended(None)",
        "    if False:\n        return Ended(None)",
        "a delivery of an earlier generation is taken for the newer one",
        seed=146,
    ),
    Mutation(
        "due time ignored",
        _FENCE,
        "    wait = max(record.due_at - now.wall, state.quarantine_seconds(now.monotonic))",
        "    wait = max(0.0, 0.0)",
        "neither backoff nor quarantine is waited for",
        needs=("store forgets",),
        seed=76,
    ),
    Mutation(
        "quarantine skipped",
        _FENCE,
        "    wait = max(record.due_at - now.wall, state.quarantine_seconds(now.monotonic))",
        "    wait = record.due_at - now.wall",
        "a store that forgot allows attempts while others still run",
        needs=("store forgets",),
        seed=267,
    ),
    Mutation(
        "no bound",
        _FENCE,
        "    if state.running(now.monotonic) >= op.max_concurrent:",
        "    if False:",
        "more attempts run than the queue allows",
        seed=1,
    ),
    Mutation(
        "open attempts uncounted",
        _FENCE,
        "    if record.open_by is not None:\n        state.interrupt(record, now.wall)",
        "    if record.open_by is not None:\n        record.attempt -= 1",
        "an attempt that died with its replica leaves no trace, and its number is given again",
        needs=("replicas crash",),
        seed=9,
    ),
    Mutation(
        "permit leaked on failure",
        _FENCE,
        "    record.progress, record.accepted = None, False\n    state.unlock(lock)",
        "    record.progress, record.accepted = None, False\n    if record.failures % 2 == 0:\n        state.unlock(lock)",
        "some attempts end and go on holding their session",
        seed=3,
    ),
    Mutation(
        "repeat not known",
        _FENCE,
        "    if lock is not None and lock.owner == incarnation and lock.nonce == op.nonce:\n        # A repeat",
        "    if False:\n        # A repeat",
        "a claim whose answer was lost waits for itself",
        seed=5,
    ),
    Mutation(
        "stale nonce accepted",
        _FENCE,
        "lock.owner == incarnation and lock.nonce == op.nonce:\n        # A repeat",
        "lock.nonce == op.nonce:\n        # A repeat",
        "a replica is given an attempt that another one's claim of the same number holds",
        seed=31,
    ),
    Mutation(
        "dead replicas claim",
        _FENCE,
        "    if not state.alive(incarnation, now.monotonic):\n        return FENCED\n    record = state.record_of(message)",
        "    if False:\n        return FENCED\n    record = state.record_of(message)",
        "a replica whose lease is over is allowed attempts",
        needs=("replicas pause",),
        seed=1073,
    ),
    Mutation(
        "assert overrides",
        _FENCE,
        "    if record.ending is not None or record.generation > message.generation or record.attempt > op.attempt:\n"
        "        return FENCED",
        "    if False:\n        return FENCED",
        "an attempt of an earlier life is taken back though the message has ended since",
        needs=("store forgets", "store loses replies"),
        seed=109,
    ),
    Mutation(
        "place forgotten",
        _FENCE,
        "incarnation, op.at, op.in_place",
        "incarnation, op.at, False",
        "after the store forgot, what was redriven in its place is taken for an older twin and acked",
        real=True,
        needs=("store forgets", "blocking", "redrives"),
        seed=22,
    ),
    Mutation(
        "emitted messages dropped",
        _FENCE,
        "    record.emitted = op.emitted\n    record.marked",
        "    record.emitted = []\n    record.marked",
        "a crash between commit and publish loses what was emitted",
        seed=21,
    ),
    Mutation(
        "marked too early",
        _FENCE,
        "    record.marked = not op.emitted and record.state is not State.DEAD",
        "    record.marked = True",
        "a crash after the commit leaves dead letters and emitted messages unpublished",
        seed=7,
    ),
    Mutation(
        "blocked session goes on",
        _FENCE,
        "record.marked, record.blocks, record.generation)",
        "record.marked, False, record.generation)",
        "a redelivery of a dead head that blocks its session is acked",
        needs=("blocking",),
        seed=2,
    ),
    Mutation(
        "cancel what runs",
        _ORDERS,
        " or _lock_of(state, message_id) is not None:",
        ":",
        "a message is cancelled while an attempt runs",
        needs=("cancels",),
        seed=14,
    ),
    Mutation(
        "skip without revoking",
        _ORDERS,
        "    lock = state.locks.get(lane)\n    if lock is not None:\n        _revoke(state, lock, record, wall)\n    if",
        "    lock = state.locks.get(lane)\n    if",
        "the attempt at a skipped message goes on and commits",
        seed=28,
    ),
    Mutation(
        "unlock tells nobody",
        _STATE,
        "        self.tell_waiting(lock.lane)\n        if self.waiting_for_room",
        "        if lock.lane == 's:s1':\n            del self.members[lock.owner]\n        if self.waiting_for_room",
        "who frees a session is not a member any more",
        seed=62,
    ),
    Mutation(
        "ack before commit",
        _ENDINGS,
        "        self.say(lane, Commit(",
        "        channel = self._membership.channels.get(lane.head.channel)\n"
        "        if channel is not None:\n"
        "            self._outbox.ack(channel.number, lane.head.tag)\n"
        "        self.say(lane, Commit(",
        "the delivery is acked when the handler answers, before the end is committed",
        seed=0,
    ),
    Mutation(
        "no burial",
        _ENDINGS,
        "            letters = [self._letter(message, ending, lane.attempt)] if ending.state is State.DEAD else []",
        "            letters: list[DeadLetter] = []",
        "a dead message is acked without its dead letter",
        seed=2,
    ),
    Mutation(
        "emitted without the commit",
        _ENDINGS,
        "        if staged is not None and ending.state is State.SUCCEEDED:",
        "        if staged is not None:",
        "a failed message emits and writes all the same",
        seed=7,
    ),
    Mutation(
        "acked before emits are confirmed",
        _ENDINGS,
        "        lane.sending -= 1\n        if lane.sending:\n            return",
        "        lane.sending -= 1",
        "the lane goes on when the first of several emitted messages is confirmed",
        seed=6,
    ),
    Mutation(
        "emitted all at once",
        _ENDINGS,
        "        place = places[message.queue, message.lane]\n",
        "        place = 0\n",
        "messages of one session are published at once, and may overtake each other when one is sent again",
        needs=("emitting", "publishes unconfirmed"),
        seed=6,
    ),
    Mutation(
        "orphans dropped",
        _ENDINGS,
        "            self._outbox.send(self._orphan(lane.message, thing, now), lane)\n            return",
        "            fate = Fate.HELD",
        "an emitted message whose queue is gone is lost",
        seed=7,
    ),
    Mutation(
        "blocked and acked",
        _ENDINGS,
        "        if not blocks:\n            self._settle(lane)",
        "        if True:\n            self._settle(lane)",
        "a dead head that blocks its session is acked",
        seed=2,
    ),
    Mutation(
        "fenced but settled",
        _ENDINGS,
        "        if isinstance(reply, Done):\n            ending, message",
        "        if True:\n            ending, message",
        "a commit that was refused counts as done",
        seed=38,
    ),
    Mutation(
        "delay before the failure is told",
        _ENDINGS,
        "        if operation.message.session is None and wait >= DELAY_SECONDS:",
        "        if operation.message.session is None or wait >= DELAY_SECONDS:",
        "a message of a session waits outside the queue, and the next one overtakes it",
        seed=7,
    ),
    Mutation(
        "lease for ever",
        _MEMBERSHIP,
        "        return now.monotonic < self.lease_until",
        "        return self.lease_until > 0",
        "a replica believes in its lease for ever",
        needs=("replicas pause",),
        seed=325,
    ),
    Mutation(
        "lease counted from the answer",
        _MEMBERSHIP,
        "        self.lease_until = self._unbroken_until = asked_at + LEASE_SECONDS - LEASE_MARGIN_SECONDS",
        "        self.lease_until = self._unbroken_until = now.monotonic + 2 * LEASE_SECONDS",
        "the lease is believed in for longer than the store grants it",
        needs=("replicas pause", "slow store"),
        seed=325,
    ),
    Mutation(
        "lost channels stay lost",
        _MEMBERSHIP,
        "        self._by_partition.pop(channel.partition, None)\n",
        "        pass\n",
        "a partition whose channel was cut is never opened again",
        seed=3,
    ),
    Mutation(
        "overtaking",
        _LANES,
        "        lane.phase = Phase.PARKED\n        tries = lane.tries\n",
        "        lane.phase = Phase.PARKED\n        tries = lane.tries\n"
        "        if len(lane.waiting) > 1:\n"
        "            lane.waiting.rotate(-1)\n"
        "            lane.message = lane.head.message\n",
        "while a message waits for its due time, the next one of its session is tried",
        seed=2,
    ),
    Mutation(
        "lost deliveries kept",
        _LANES,
        "            lane.waiting.extend(d for d in rest if d.channel != channel)",
        "            lane.waiting.extend(rest)",
        "deliveries of a lost channel stay in the lanes, and come twice",
        seed=45,
    ),
    Mutation(
        "stale head",
        _LANES,
        "        lane.message = lane.head.message\n        lane.alone = False",
        "        lane.alone = False",
        "the lane goes on, and claims for the message before",
        seed=0,
    ),
    Mutation(
        "operations forgotten",
        _OUTBOX,
        "        again = [(op, about) for op, about in asked if op.__class__ is not Renew]",
        "        again = [(op, about) for op, about in asked[:0] if op.__class__ is not Renew]",
        "what the store did not answer is not said again",
        seed=1,
    ),
    Mutation(
        "unconfirmed is confirmed",
        _OUTBOX,
        "            if fate is Fate.UNKNOWN:",
        "            if False:",
        "what the broker did not confirm counts as published",
        seed=7,
    ),
    Mutation(
        "permission past the lease",
        _CALLS,
        "        return self._standing.startable and not self._membership.draining and self._membership.holds_lease(now)",
        "        return self._standing.startable and not self._membership.draining",
        "a permission to start that arrives past the lease is used",
        real=True,
        needs=("replicas pause", "slow store"),
        seed=325,
    ),
    Mutation(
        "batches past the lease",
        _CALLS,
        "        if not self.may_start(now):\n            for lane in gathered:",
        "        if False:\n            for lane in gathered:",
        "a batch is called though the lease ended while it was gathered",
        real=True,
        needs=("batches", "replicas pause"),
    ),
    Mutation(
        "batches past the time to live",
        _CALLS,
        "        lanes = [lane for lane in gathered if not self._is_expired(lane, now)]",
        "        lanes = [lane for lane in gathered if lane.call >= 0]",
        "a message whose time to live ended while its batch was gathered is called",
        real=True,
        needs=("batches", "expiry"),
        seed=137,
    ),
    Mutation(
        "a batch waits for its first lane",
        _CALLS,
        "                if self._gathered and self._gatherings == gathering:",
        "                if self._gathered and self._gathered[0] is lane:",
        "a batch whose first lane was taken away is never called",
        real=True,
        needs=("batches", "releases", "skips"),
        seed=2181,
    ),
    Mutation(
        "late threads heard",
        _CALLS,
        "        if lane.speaker is not None:\n            self._by_speaker.pop(lane.speaker, None)",
        "        return",
        "what a thread of an ended attempt says still counts",
        seed=0,
    ),
    Mutation(
        "silence is patience",
        _CALLS,
        "            if self._accepted.get(nonce) is not lane or lane.silent_at > until:\n                return",
        "            if True:\n                return",
        "accepted work that falls silent holds its session for ever",
        needs=("accepted work", "silent handlers"),
        seed=2,
    ),
    Mutation(
        "heartbeats unheard",
        _CALLS,
        "            if self._accepted.get(nonce) is not lane or lane.silent_at > until:\n                return",
        "            if self._accepted.get(nonce) is not lane:\n                return",
        "accepted work is called again in spite of its heartbeats",
        seed=0,
    ),
    Mutation(
        "a failed batch is not taken apart",
        _CALLS,
        "        lane.alone = True\n        self._over(lane)",
        "        self._over(lane)\n        lane.failures = lane.interruptions = 0\n        lane.attempt = -1",
        "a batch that fails as a whole is only ever tried as a whole",
        needs=("batches", "batches fail"),
        seed=2,
    ),
    Mutation(
        "a revoked batch member is answered",
        _CALLS,
        "        lane.call = 0  # a batch that it was in goes on without it",
        "        pass",
        "the answer of a batch ends an attempt that was taken away from it",
        real=True,
        needs=("batches", "releases"),
        seed=84,
    ),
    Mutation(
        "expiry ignored",
        _CLAIMS,
        "        elif (ending := expired(message, now.wall)) is not None:",
        "        elif (ending := None) is not None:",
        "an attempt starts past the time to live",
        seed=3,
    ),
    Mutation(
        "revocation overtaken",
        _CLAIMS,
        "        if lane.epoch == lane.revoked:\n            self._lanes.again(lane)\n        elif",
        "        if",
        "an attempt that was ended before its permission arrived is made",
        real=True,
        needs=("skips", "slow store"),
        seed=21,
    ),
    Mutation(
        "asserted without end",
        _CLAIMS,
        "                self._outbox.ask(Withdraw(operation.message, reply.epoch))",
        "                pass",
        "an attempt that was given up while it was asserted goes on holding its session",
        real=True,
        needs=("store forgets", "slow store"),
        seed=2375,
    ),
    Mutation(
        "asserted twice",
        _CLAIMS,
        "        if lane.asserting:\n            if",
        "        if False:\n            if",
        "a second assertion takes the session again after the attempt has ended",
        real=True,
        needs=("store forgets", "store loses replies"),
        seed=1772,
    ),
    Mutation(
        "asserted whatever came between",
        _CLAIMS,
        "            self._assertable = self._life if unbroken else 0",
        "            self._assertable = self._life",
        "what ran while the lease was not sure is asserted, though others may have run it",
        real=True,
        needs=("store forgets", "replicas pause"),
        seed=503,
    ),
    Mutation(
        "never asserted",
        _CLAIMS,
        "            elif of == self._assertable:\n                self._assert(lane)",
        "            elif of == self._assertable:\n                pass",
        "running calls are not re-asserted to a store that forgot, and are made again elsewhere",
        needs=("store forgets", "slow handlers"),
        seed=10,
    ),
    Mutation(
        "forgotten is fenced",
        _TURN,
        "        if isinstance(reply, Forgotten):\n            self._claims.forgotten(lane, operation)\n            return",
        "        if isinstance(reply, Forgotten):\n            pass",
        "an attempt that ends just after the store forgot is made again",
        real=True,
        needs=("store forgets", "slow handlers"),
        seed=20,
    ),
    Mutation(
        "completed before it is told",
        _SPEECHES,
        "            self._ending.setdefault(event.speaker, []).append(event)\n            self._calls.finish(lane, finish, now)",
        "            self._calls.finish(lane, finish, now)\n            self._answer(event, heard)",
        "the handler hears that it is complete before the store does",
        seed=0,
    ),
    Mutation(
        "no state read",
        _SPEECHES,
        "            self._answer(event, _apply(staged, words, staged.state if staged.wrote else reply.state))",
        "            self._answer(event, _apply(staged, words, staged.state))",
        "a handler that reads its session's state finds none",
        seed=0,
    ),
    Mutation(
        "never halted",
        _STANDING,
        "        if self._dead_in_a_row >= DEAD_IN_A_ROW and not self.halted:",
        "        if False:",
        "a bad deploy empties the queue into the dead letters",
        needs=("bad deploy",),
    ),
    Mutation(
        "halted for ever",
        _STANDING,
        "        if workqueue.resumes > self.workqueue.resumes:",
        "        if False:",
        "a replica that was halted does not start again when the queue is resumed",
        needs=("bad deploy",),
        seed=42,
    ),
    Mutation(
        "written state dropped",
        _STAGING,
        "        self.state, self.wrote = state, True",
        "        self.state = state",
        "what a handler writes to its session's state is not committed",
        needs=("session state",),
    ),
    Mutation(
        "drained without leaving",
        _TURN,
        "            self._left = True\n            self._membership.leave()",
        "            self._left = True",
        "a replica that drained never says that it left, and its shell never ends",
        needs=("replicas drain",),
    ),
)
