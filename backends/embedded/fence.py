"""The fenced protocol on one queue's state: each operation of ``contracts.fence`` as one step that cannot be torn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backends.embedded import members
from backends.embedded.state import Kept, Lock, Now, QueueState
from contracts.fence import (
    Advance,
    Assert,
    Claim,
    Commit,
    Disown,
    Emptied,
    Fail,
    Leave,
    Mark,
    Operation,
    Propose,
    ReadState,
    Recall,
    Renew,
    Settle,
    Withdraw,
    life_of,
)
from contracts.message import Message
from contracts.records import State, replica_name
from contracts.replies import (
    DONE,
    FENCED,
    FORGOTTEN,
    FULL,
    IDLE,
    Claimed,
    Ended,
    HeldBy,
    Later,
    Recalled,
    Reply,
    StateFound,
)

PUBLISHING_SECONDS = 15.0
"""For so long nobody else publishes what an ending asks for."""


def apply(state: QueueState, incarnation: str, operations: list[Operation], now: Now) -> list[Reply]:
    """Applies a turn's operations in order and answers each."""
    state.expire(now.monotonic)
    return [_STEPS[operation.__class__](state, incarnation, operation, now) for operation in operations]


def _claim(state: QueueState, incarnation: str, op: Claim, now: Now) -> Reply:
    message = op.message
    lane = message.lane
    lock = state.locks.get(lane)
    if lock is not None and lock.is_of(incarnation, op.nonce, message):
        # A repeat, its answer was lost: known even past the lease, so that what it holds can be given back.
        return _claimed(lock, state.records[message.id])
    if not state.alive(incarnation, now.monotonic) or op.life not in (0, state.life):
        return FENCED
    record = state.record_of(message)
    if record.generation > message.generation and not record.in_place:
        return Ended(None)
    if record.ending is not None:
        return _found_ended(state, incarnation, record, lane, now)
    if lock is not None:
        if state.alive(lock.owner, now.monotonic):
            state.await_lane(lane, incarnation)
            return HeldBy(replica_name(lock.owner))
        state.unlock(lock)
    if state.lingering.get(lane, op.of) < op.of:
        state.await_lane(lane, incarnation)
        return HeldBy("")
    wait = max(record.due_at - now.wall, state.quarantine_seconds(now.monotonic))
    if wait > 0:
        return Later(wait)
    return _start(state, incarnation, op, record, now)


def _found_ended(state: QueueState, incarnation: str, record: Kept, lane: str, now: Now) -> Reply:
    """One replica at a time publishes what an ending asks for, so that no dead letter comes back after its redrive.

    For a lease at most: whoever has it may have lost the delivery since, and know nothing of it.
    """
    publisher = record.publisher
    taken = publisher not in (None, incarnation) and record.published_until > now.monotonic
    if taken and not record.marked and state.alive(str(publisher), now.monotonic):
        state.await_lane(lane, incarnation)
        return HeldBy(replica_name(str(publisher)))
    record.publisher, record.published_until = incarnation, now.monotonic + PUBLISHING_SECONDS
    if record.blocks:
        state.heads[lane] = record.id
    return _ended(record)


def _start(state: QueueState, incarnation: str, op: Claim, record: Kept, now: Now) -> Reply:
    """Nothing is in the way of the attempt itself; what may be is a pause, no room, or the queue's rate."""
    if not op.start:
        return IDLE
    if state.running(now.monotonic) >= op.max_concurrent:
        state.waiting_for_room[incarnation] = None
        return FULL
    if op.rate and (wait := state.pace(op.rate, now.monotonic)):
        return Later(wait)
    _close_open_attempt(state, record, now)
    if life_of(op.seen) == state.life:
        state.epoch = max(state.epoch, op.seen)
    record.attempt += 1
    record.open_by, record.opened_at = incarnation, op.at
    return _hold(state, incarnation, op.nonce, op.message, record, op.at)


def _hold(state: QueueState, incarnation: str, nonce: int, message: Message, record: Kept, at: float) -> Reply:
    record.accepted = False
    state.become(record, State.RUNNING, at)
    state.heads[message.lane] = message.id
    return _claimed(state.lock(incarnation, nonce, message, at), record)


def _claimed(lock: Lock, record: Kept) -> Claimed:
    return Claimed(lock.epoch, record.attempt, record.failures, record.interruptions, record.generation)


def _ended(record: Kept) -> Ended:
    return Ended(record.ending, record.attempt, record.emitted, record.marked, record.blocks, record.generation)


def _close_open_attempt(state: QueueState, record: Kept, now: Now) -> None:
    """An attempt that was started and never ended died with its replica: an interruption."""
    if record.open_by is not None:
        state.interrupt(record, now.wall)


def _assert(state: QueueState, incarnation: str, op: Assert, now: Now) -> Reply:
    message = op.message
    lock = state.locks.get(message.lane)
    if lock is not None:
        same = lock.is_of(incarnation, op.nonce, message)
        return _claimed(lock, state.records[message.id]) if same else FENCED
    if not state.alive(incarnation, now.monotonic):
        return FORGOTTEN
    record = state.record_of(message)
    if record.ending is not None or record.generation > message.generation or record.attempt > op.attempt:
        return FENCED
    record.attempt, record.failures, record.interruptions = op.attempt, op.failures, op.interruptions
    record.open_by, record.opened_at, record.in_place = incarnation, op.at, op.in_place
    return _hold(state, incarnation, op.nonce, message, record, op.at)


def _held(state: QueueState, incarnation: str, message: Message, epoch: int) -> Lock | None:
    """The lock of the attempt that holds this epoch; None where that is not current."""
    lock = state.locks.get(message.lane)
    if lock is None or (lock.epoch, lock.owner, lock.message_id) != (epoch, incarnation, message.id):
        return None
    return lock


def _end_attempt(state: QueueState, incarnation: str, message: Message, epoch: int) -> Kept | None:
    """The record of the attempt that holds this epoch, its lane freed; None where the epoch is not current."""
    lock = _held(state, incarnation, message, epoch)
    if lock is None:
        return None
    record = state.records[message.id]
    record.open_by = None
    record.ended_epoch, record.ended_by = epoch, incarnation
    record.progress, record.accepted = None, False
    state.unlock(lock)
    return record


def _repeat(state: QueueState, incarnation: str, message: Message, epoch: int) -> Reply:
    """The answer where the epoch is not current: done before, of an earlier life, or somebody else's now.

    Done by this very replica: a store that lost its last moments may have given the epoch to another one since.
    """
    record = state.records.get(message.id)
    if record is not None and (record.ended_epoch, record.ended_by) == (epoch, incarnation):
        return DONE
    return FENCED if life_of(epoch) == state.life else FORGOTTEN


def _commit(state: QueueState, incarnation: str, op: Commit, now: Now) -> Reply:
    record = _end_attempt(state, incarnation, op.message, op.epoch)
    if record is None:
        return _repeat(state, incarnation, op.message, op.epoch)
    if op.attempt is None:
        record.attempt -= 1
    else:
        state.attempted(record, op.attempt)
    record.ending, record.emitted = op.ending, op.emitted
    state.become(record, op.ending.state, now.wall)
    record.marked = not op.emitted and record.state is not State.DEAD
    record.publisher, record.published_until = incarnation, now.monotonic + PUBLISHING_SECONDS
    if op.write is not None and op.message.session is not None:
        state.write(op.message.session, op.write, now.monotonic)
    record.blocks = op.block and op.message.session is not None
    if not record.blocks:
        state.heads.pop(op.message.lane, None)
    state.ended(record.id)
    return DONE


def _fail(state: QueueState, incarnation: str, op: Fail, now: Now) -> Reply:
    record = _end_attempt(state, incarnation, op.message, op.epoch)
    if record is None:
        return _repeat(state, incarnation, op.message, op.epoch)
    state.attempted(record, op.attempt)
    if op.interrupted:
        record.interruptions += 1
    else:
        record.failures += 1
    record.due_at = op.due_at
    state.become(record, State.RETRYING, now.wall)
    return DONE


def _withdraw(state: QueueState, incarnation: str, op: Withdraw, now: Now) -> Reply:
    record = _end_attempt(state, incarnation, op.message, op.epoch)
    if record is None:
        return _repeat(state, incarnation, op.message, op.epoch)
    record.attempt -= 1
    state.become(record, State.RETRYING if record.attempt else State.QUEUED, now.wall)
    return DONE


def _advance(state: QueueState, incarnation: str, op: Advance, now: Now) -> Reply:
    if _held(state, incarnation, op.message, op.epoch) is None:
        return _repeat(state, incarnation, op.message, op.epoch)
    record = state.records[op.message.id]
    record.accepted = record.accepted or op.accepted
    record.progress = op.progress or record.progress
    return DONE


def _read_state(state: QueueState, incarnation: str, op: ReadState, now: Now) -> Reply:
    if _held(state, incarnation, op.message, op.epoch) is None:
        return FENCED if life_of(op.epoch) == state.life else FORGOTTEN
    return StateFound(state.read(op.message.session, now.monotonic))


def _recall(state: QueueState, incarnation: str, op: Recall, now: Now) -> Reply:
    record = state.records.get(op.id)
    if record is None or record.generation != op.generation:
        return Recalled(None)
    return Recalled(next((a.outcome for a in reversed(record.attempts) if a.attempt == op.attempt), None))


def _mark(state: QueueState, incarnation: str, op: Mark, now: Now) -> Reply:
    record = state.records.get(op.id)
    if record is not None and record.generation == op.generation:
        record.marked, record.emitted = True, []
        state.tell_waiting(f"s:{record.session}" if record.session is not None else f"m:{record.id}")
    return DONE


def _settle(state: QueueState, incarnation: str, op: Settle, now: Now) -> Reply:
    until = now.monotonic + op.keep_seconds
    state.expiry.extend((until, message_id, generation) for message_id, generation in op.ids)
    return DONE


_STEPS: dict[type, Callable[[QueueState, str, Any, Now], Reply]] = {
    Renew: members.renew,
    Claim: _claim,
    Assert: _assert,
    Commit: _commit,
    Fail: _fail,
    Withdraw: _withdraw,
    Advance: _advance,
    ReadState: _read_state,
    Recall: _recall,
    Mark: _mark,
    Settle: _settle,
    Propose: members.propose,
    Emptied: members.emptied,
    Disown: members.disown,
    Leave: members.leave,
}
