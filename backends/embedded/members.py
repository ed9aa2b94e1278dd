"""The fenced protocol where it is about replicas: who lives, who owns which partition, and what each holds."""

from __future__ import annotations

from backends.embedded.state import Member, Now, QueueState
from contracts.fence import Disown, Emptied, Leave, Propose, Renew
from contracts.records import State
from contracts.replies import DONE, Planned, Renewed, Reply


def renew(state: QueueState, incarnation: str, op: Renew, now: Now) -> Reply:
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
    quarantine = state.quarantine_seconds(now.monotonic)
    holds = tuple((lock.lane, lock.nonce, lock.epoch) for lock in member.locks.values())
    return Renewed(members, state.plan, state.life, quarantine, frozenset(state.emptied), holds)


def propose(state: QueueState, incarnation: str, op: Propose, now: Now) -> Reply:
    if op.plan.version == state.plan.version + 1:
        state.plan = op.plan
        state.announce(but=incarnation)
    return Planned(state.plan)


def emptied(state: QueueState, incarnation: str, op: Emptied, now: Now) -> Reply:
    if state.empty(op.partition, frozenset(op.lanes)):
        state.announce(but="")
    return DONE


def disown(state: QueueState, incarnation: str, op: Disown, now: Now) -> Reply:
    lock = state.locks.get(op.lane)
    if lock is not None and (lock.owner, lock.epoch) == (incarnation, op.epoch):
        record = state.records[lock.message_id]
        state.interrupt(record, now.wall)
        state.become(record, State.RETRYING, now.wall)
        state.unlock(lock)
    return DONE


def leave(state: QueueState, incarnation: str, op: Leave, now: Now) -> Reply:
    member = state.members.get(incarnation)
    if member is not None:
        for lock in list(member.locks.values()):
            state.unlock(lock)
        del state.members[incarnation]
        state.announce(but=incarnation)
    return DONE
