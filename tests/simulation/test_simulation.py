"""The promises under faults: many seeds, every seed that ever failed, and proof that the checker can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from backends.embedded import fence
from backends.embedded.state import QueueState
from contracts.fence import Claim, Commit
from sidecar.core.endings import Endings
from sidecar.core.lanes import Lane, Lanes
from sidecar.core.membership import Membership
from tests.simulation.__main__ import play, replay_command

SEEDS = 1200
BOUND = 3000
"""How many seeds may be needed to catch a mutation."""

ONCE_FAILED = {
    451: "a permission to start that arrived past the lease was used",
    2494: "the same, after a pause of the whole sidecar",
    2974: "a claim whose answer was lost, repeated past the lease, left its session locked for good",
    5522: "the same, with the partition moved on",
}


@pytest.mark.parametrize("part", range(4))
def test_the_promises_hold(part: int) -> None:
    for seed in range(part * SEEDS // 4, (part + 1) * SEEDS // 4):
        _, trouble = play(seed)
        assert trouble is None, f"seed {seed}: {trouble}; replay: {replay_command(seed)}"


@pytest.mark.parametrize("seed", ONCE_FAILED)
def test_a_seed_that_failed_once(seed: int) -> None:
    assert (seed, None) == play(seed), ONCE_FAILED[seed]


def _no_fence(patch: pytest.MonkeyPatch) -> None:
    """A commit is taken under any epoch."""

    def commit(state: QueueState, incarnation: str, op: Commit, now: fence.Now) -> object:
        lock = state.locks.get(op.message.lane)
        if lock is not None:
            lock.epoch = op.epoch
        return real(state, incarnation, op, now)

    real = fence._commit
    patch.setitem(fence._STEPS, Commit, commit)


def _no_lock(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks gets the session, whoever holds it."""

    def claim(state: QueueState, incarnation: str, op: Claim, now: fence.Now) -> object:
        lock = state.locks.get(op.message.lane)
        if lock is not None and lock.owner != incarnation:
            state.unlock(lock)
        return real(state, incarnation, op, now)

    real = fence._claim
    patch.setitem(fence._STEPS, Claim, claim)


def _no_deduplication(patch: pytest.MonkeyPatch) -> None:
    """The store does not remember that a message has ended."""

    def claim(state: QueueState, incarnation: str, op: Claim, now: fence.Now) -> object:
        record = state.records.get(op.message.id)
        if record is not None:
            record.ending = None
        return real(state, incarnation, op, now)

    real = fence._claim
    patch.setitem(fence._STEPS, Claim, claim)


def _ack_before_commit(patch: pytest.MonkeyPatch) -> None:
    """The delivery is acked when the handler answers, before the end is committed."""
    real = Endings.end

    def end(self: Endings, lane: Lane, *rest: Any, **more: Any) -> None:
        head = lane.head
        if head.channel in self._membership.channels:
            self._outbox.ack(head.channel, head.tag)
        real(self, lane, *rest, **more)

    patch.setattr(Endings, "end", end)


def _no_burial(patch: pytest.MonkeyPatch) -> None:
    """A dead message is acked without its dead letter."""
    patch.setattr(Endings, "_publish", lambda self, lane, *rest: self._settle(lane))


def _lease_forever(patch: pytest.MonkeyPatch) -> None:
    """A replica believes in its lease for ever."""
    patch.setattr(Membership, "holds_lease", lambda self, now: True)


def _stale_claims_used(patch: pytest.MonkeyPatch) -> None:
    """A message that waits for its due time is not waited for by its lane: the next one overtakes."""
    real = Lanes.park

    def park(self: Lanes, lane: Lane, seconds: float, now: Any) -> None:
        if len(lane.waiting) > 1:
            lane.waiting.rotate(-1)
            lane.message = lane.head.message
        real(self, lane, seconds, now)

    patch.setattr(Lanes, "park", park)


def _no_limit(patch: pytest.MonkeyPatch) -> None:
    """The queue's bound on concurrency is not looked at."""
    patch.setattr(QueueState, "running", lambda self, now: 0)


MUTATIONS: Iterable[Callable[[pytest.MonkeyPatch], None]] = (
    _no_fence,
    _no_lock,
    _no_deduplication,
    _ack_before_commit,
    _no_burial,
    _lease_forever,
    _stale_claims_used,
    _no_limit,
)


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__.strip("_"))
def test_a_mutation_is_caught(mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    assert any(play(seed)[1] is not None for seed in range(BOUND)), f"{mutate.__doc__} Nobody noticed."
