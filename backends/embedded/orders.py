"""What people may order of a message or a session, as steps on one queue's state that cannot be torn.

They use the fence: an attempt that is ended for its replica loses its epoch, so that whatever it still does is
refused, and the replica is told at once.
"""

from __future__ import annotations

from backends.embedded.state import Kept, Lock, QueueState
from contracts.message import Message
from contracts.records import Ending, State
from contracts.replies import Freed, Revoked


def cancel(state: QueueState, message_id: str, wall: float) -> Kept | None:
    """Ends a message that no attempt holds and that has not ended; the record as it is then, None where unknown."""
    record = state.records.get(message_id)
    if record is None or record.ending is not None or _lock_of(state, message_id) is not None:
        return record
    _end(state, record, Ending(state=State.CANCELLED, ended_at=wall, reason="cancelled"))
    return record


def release(state: QueueState, session: str, due_at: float, wall: float) -> Kept | None:
    """Ends the attempt that holds the session as an interruption; None where none holds it."""
    lock = state.locks.get(f"s:{session}")
    if lock is None:
        return None
    record = state.records[lock.message_id]
    _revoke(state, lock, record, wall)
    record.due_at = due_at
    state.become(record, State.RETRYING, wall)
    return record


def skip(state: QueueState, session: str, reason: str, wall: float) -> Kept | None:
    """Sends the session's head, running, waiting for its retry or blocking, to the dead letters for good."""
    lane = f"s:{session}"
    record = state.records.get(state.heads.get(lane, ""))
    if record is None:
        return None
    lock = state.locks.get(lane)
    if lock is not None:
        _revoke(state, lock, record, wall)
    if record.ending is None:
        _end(state, record, Ending(state=State.DEAD, ended_at=wall, reason=reason))
    else:
        _unblock(state, record, lane)
    return record


def redrive_in_place(state: QueueState, message: Message) -> bool:
    """Starts a blocking head anew where it stands, as ``message.generation``; False where it blocks nothing."""
    record = state.records.get(message.id)
    if record is None or record.generation > message.generation:
        return False
    if record.generation == message.generation:
        return record.in_place
    if not record.blocks:
        return False
    lane = message.lane
    state.restart(record, message)
    record.in_place = True
    _tell(state, lane)
    return True


def _lock_of(state: QueueState, message_id: str) -> Lock | None:
    record = state.records[message_id]
    lane = f"s:{record.session}" if record.session is not None else f"m:{message_id}"
    lock = state.locks.get(lane)
    return lock if lock is not None and lock.message_id == message_id else None


def _revoke(state: QueueState, lock: Lock, record: Kept, wall: float) -> None:
    state.interrupt(record, wall)
    record.progress, record.accepted = None, False
    state.unlock(lock)
    state.push(lock.owner, Revoked(lock.lane, lock.epoch))


def _end(state: QueueState, record: Kept, ending: Ending) -> None:
    lane = f"s:{record.session}" if record.session is not None else f"m:{record.id}"
    record.ending = ending
    record.emitted, record.marked, record.publisher = [], ending.state is not State.DEAD, None
    state.become(record, ending.state, ending.ended_at)
    if state.heads.get(lane) == record.id:
        del state.heads[lane]
    state.ended(record.id)
    _tell(state, lane)


def _unblock(state: QueueState, record: Kept, lane: str) -> None:
    record.blocks = False
    state.heads.pop(lane, None)
    _tell(state, lane)


def _tell(state: QueueState, lane: str) -> None:
    """Whoever waits with this lane asks again."""
    for incarnation in state.members:
        state.push(incarnation, Freed(lane))
