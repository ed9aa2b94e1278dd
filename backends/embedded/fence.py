"""The fenced protocol on one queue's state: each operation of ``contracts.fence`` as one step that cannot be torn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.embedded.state import Kept, Lock, Member, QueueState
from contracts.fence import (
    DONE,
    FENCED,
    FULL,
    IDLE,
    Claim,
    Claimed,
    Commit,
    Ended,
    Fail,
    HeldBy,
    Later,
    Leave,
    Operation,
    Planned,
    Propose,
    Renew,
    Renewed,
    Reply,
    Settle,
    Withdraw,
)
from contracts.message import Message
from contracts.records import Attempt, State, replica_name


class Now:
    """The store's two clocks at the start of a turn: leases go by ``monotonic``, due times by ``wall``."""

    __slots__ = ("monotonic", "wall")

    def __init__(self, monotonic: float, wall: float) -> None:
        self.monotonic = monotonic
        self.wall = wall


def apply(state: QueueState, incarnation: str, operations: list[Operation], now: Now) -> list[Reply]:
    """Applies a turn's operations in order and answers each."""
    state.expire(now.monotonic)
    return [_STEPS[operation.__class__](state, incarnation, operation, now) for operation in operations]


def _renew(state: QueueState, incarnation: str, op: Renew, now: Now) -> Reply:
    before = state.plannable(now.monotonic)
    for name in [n for n, m in state.members.items() if m.lease_until <= now.monotonic and not m.locks]:
        if name != incarnation:
            del state.members[name]
    member = state.members.setdefault(incarnation, Member())
    member.lease_until = now.monotonic + op.lease_seconds
    member.report = op.report
    member.draining = not op.member
    members = state.plannable(now.monotonic)
    if members != before:
        state.announce(but=incarnation)
    return Renewed(members, state.plan)


def _claim(state: QueueState, incarnation: str, op: Claim, now: Now) -> Reply:
    message = op.message
    lock = state.locks.get(message.lane)
    if lock is not None and lock.owner == incarnation and lock.nonce == op.nonce:
        # A repeat, its answer was lost: known even past the lease, so that what it holds can be given back.
        return _claimed(lock, state.records[message.id])
    if not state.alive(incarnation, now.monotonic):
        return FENCED
    record = state.record_of(message)
    if record.generation > message.generation:
        return Ended(None)
    if record.ending is not None:
        return Ended(record.ending, record.attempt)
    if lock is not None:
        if state.alive(lock.owner, now.monotonic):
            state.waiting_for_lane.setdefault(message.lane, set()).add(incarnation)
            return HeldBy(replica_name(lock.owner))
        state.unlock(lock)
    if record.due_at > now.wall:
        return Later(record.due_at - now.wall)
    if not op.start:
        return IDLE
    if state.running(now.monotonic) >= op.max_concurrent:
        state.waiting_for_room.add(incarnation)
        return FULL
    _close_open_attempt(state, record, now)
    record.attempt += 1
    record.state = State.RUNNING
    record.open_by = incarnation
    record.opened_at = op.at
    return _claimed(state.lock(incarnation, op.nonce, message, op.at), record)


def _claimed(lock: Lock, record: Kept) -> Claimed:
    return Claimed(lock.epoch, record.attempt, record.failures, record.interruptions)


def _close_open_attempt(state: QueueState, record: Kept, now: Now) -> None:
    """An attempt that was started and never ended died with its replica: an interruption."""
    if record.open_by is not None:
        record.interruptions += 1
        attempt = Attempt(
            attempt=record.attempt,
            replica=replica_name(record.open_by),
            started_at=record.opened_at,
            ended_at=now.wall,
            outcome="interrupted",
        )
        state.attempted(record, attempt)
        record.open_by = None


def _end_attempt(state: QueueState, message: Message, epoch: int) -> Kept | None:
    """The record of the attempt that holds this epoch, its lane freed; None where the epoch is not current."""
    lock = state.locks.get(message.lane)
    if lock is None or lock.epoch != epoch:
        return None
    record = state.records[message.id]
    record.open_by = None
    record.ended_epoch = epoch
    state.unlock(lock)
    return record


def _repeat(state: QueueState, message: Message, epoch: int) -> Reply:
    """The answer where the epoch is not current: done before, or somebody else's now."""
    record = state.records.get(message.id)
    return DONE if record is not None and record.ended_epoch == epoch else FENCED


def _commit(state: QueueState, incarnation: str, op: Commit, now: Now) -> Reply:
    record = _end_attempt(state, op.message, op.epoch)
    if record is None:
        return _repeat(state, op.message, op.epoch)
    state.attempted(record, op.attempt)
    record.ending = op.ending
    record.state = op.ending.state
    state.ended(record.id)
    return DONE


def _fail(state: QueueState, incarnation: str, op: Fail, now: Now) -> Reply:
    record = _end_attempt(state, op.message, op.epoch)
    if record is None:
        return _repeat(state, op.message, op.epoch)
    state.attempted(record, op.attempt)
    if op.interrupted:
        record.interruptions += 1
    else:
        record.failures += 1
    record.state = State.RETRYING
    record.due_at = op.due_at
    return DONE


def _withdraw(state: QueueState, incarnation: str, op: Withdraw, now: Now) -> Reply:
    record = _end_attempt(state, op.message, op.epoch)
    if record is None:
        return _repeat(state, op.message, op.epoch)
    record.attempt -= 1
    record.state = State.RETRYING if record.attempt else State.QUEUED
    return DONE


def _settle(state: QueueState, incarnation: str, op: Settle, now: Now) -> Reply:
    until = now.monotonic + op.keep_seconds
    state.expiry.extend((until, message_id, generation) for message_id, generation in op.ids)
    return DONE


def _propose(state: QueueState, incarnation: str, op: Propose, now: Now) -> Reply:
    if op.plan.version == state.plan.version + 1:
        state.plan = op.plan
        state.announce(but=incarnation)
    return Planned(state.plan)


def _leave(state: QueueState, incarnation: str, op: Leave, now: Now) -> Reply:
    member = state.members.get(incarnation)
    if member is not None:
        for lock in list(member.locks.values()):
            state.unlock(lock)
        del state.members[incarnation]
        state.announce(but=incarnation)
    return DONE


_STEPS: dict[type, Callable[[QueueState, str, Any, Now], Reply]] = {
    Renew: _renew,
    Claim: _claim,
    Commit: _commit,
    Fail: _fail,
    Withdraw: _withdraw,
    Settle: _settle,
    Propose: _propose,
    Leave: _leave,
}
