"""The fence under any order of operations: epochs rise, one attempt a lane, one end a message, repeats are known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backends.embedded import fence
from backends.embedded.state import Now, QueueState
from contracts.fence import (
    EPOCHS_PER_LIFE,
    Advance,
    Assert,
    Claim,
    Commit,
    Fail,
    Leave,
    Mark,
    Operation,
    Propose,
    Recall,
    Renew,
    Settle,
    Withdraw,
    life_of,
)
from contracts.message import Message
from contracts.records import Attempt, Ending, Plan, Progress, Report, State
from contracts.replies import Claimed, Ended, Reply

REPLICAS = ("a#1", "b#1")
MESSAGES = [
    Message(namespace="default", queue="q", id="s1", session="s"),
    Message(namespace="default", queue="q", id="s2", session="s"),
    Message(namespace="default", queue="q", id="t1", session="t"),
    Message(namespace="default", queue="q", id="n", session=None),
]

NAMES = ("renew", "claim", "commit", "fail", "withdraw", "assert", "advance", "mark", "recall", "settle", "leave")
steps = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(REPLICAS),
        st.sampled_from(MESSAGES),
        st.integers(1, 4),
        st.sampled_from([0.0, 0.0, 1.0, 20.0]),
    ),
    max_size=40,
)
Step = tuple[str, str, Message, int, float]


class Played:
    """Replicas that say anything in any order, each under the last epoch that it was given or an earlier one."""

    def __init__(self) -> None:
        self.state = QueueState(lambda incarnation, push: None, lambda message_id: None)
        self.now = 0.0
        self.epochs: dict[tuple[str, str], list[int]] = {}

    def apply(self, replica: str, operation: Operation) -> Reply:
        [reply] = fence.apply(self.state, replica, [operation], Now(self.now, self.now))
        return reply

    def operation(self, step: Step) -> Operation:
        name, replica, message, number, _ = step
        known = self.epochs.get((replica, message.id), [EPOCHS_PER_LIFE])
        epoch = known[-min(number, len(known))]
        attempt = Attempt(attempt=number, replica="r", started_at=0.0, outcome="retry")
        made: dict[str, Operation] = {
            "renew": Renew(15.0, Report()),
            "claim": Claim(message, number, 2, self.now),
            "commit": Commit(message, epoch, attempt, Ending(state=State.SUCCEEDED, ended_at=self.now)),
            "fail": Fail(message, epoch, attempt, number == 1, self.now + number - 2),
            "withdraw": Withdraw(message, epoch),
            "assert": Assert(message, number, number, 0, 0, self.now, False),
            "advance": Advance(message, epoch, True, Progress(50.0)),
            "mark": Mark(message.id, 1),
            "recall": Recall(message.id, 1, number, epoch),
            "settle": Settle([(message.id, 1)], 5.0),
            "leave": Leave(),
        }
        return made[name]

    def take(self, step: Step) -> None:
        name, replica, message, _, elapsed = step
        self.now += elapsed
        operation = self.operation(step)
        reply = self.apply(replica, operation)
        if name not in ("leave", "settle", "fail"):
            assert_same(reply, self.apply(replica, operation))
        if isinstance(reply, Claimed):
            self.epochs.setdefault((replica, message.id), []).append(reply.epoch)


def assert_same(reply: Reply, again: Reply) -> None:
    """A repeat whose answer was lost is answered as before."""
    assert reply == again or (isinstance(reply, Ended) and isinstance(again, Ended))


def check(played: Played) -> None:
    state = played.state
    assert len({lock.epoch for lock in state.locks.values()}) == len(state.locks)
    for lane, lock in state.locks.items():
        assert (lane, 1) == (lock.lane, life_of(lock.epoch))
        assert lock.epoch <= state.epoch
        assert None is state.records[lock.message_id].ending, "what has ended holds nothing"
        assert lock is state.members[lock.owner].locks[lane]
    for record in state.records.values():
        assert record.attempt >= 0
        assert (record.ending is None) == (not record.state.final)


@given(steps)
def test_any_order_of_operations_keeps_the_store_whole(given: list[Step]) -> None:
    played = Played()
    for step in given:
        played.take(step)
        check(played)


@given(steps)
def test_epochs_only_rise_and_an_end_stays_as_it_is(given: list[Step]) -> None:
    played = Played()
    ends: dict[tuple[int, int], Ending] = {}
    for step in given:
        before = played.state.epoch
        played.take(step)
        assert before <= played.state.epoch < 2 * EPOCHS_PER_LIFE
        for record in played.state.records.values():
            if record.ending is not None:
                serial = record.serial, record.generation
                assert record.ending is ends.setdefault(serial, record.ending)


@given(steps, st.integers(2, 9))
def test_no_two_lives_share_an_epoch(given: list[Step], life: int) -> None:
    played = Played()
    for step in given:
        played.take(step)
    next_life = QueueState(lambda incarnation, push: None, lambda message_id: None, life)
    assert next_life.epoch > played.state.epoch
    assert life == life_of(next_life.epoch + 1)


@given(st.integers(0, 3), st.integers(0, 3))
def test_a_plan_follows_the_one_before_it_or_not_at_all(version: int, there: int) -> None:
    played = Played()
    for number in range(there):
        played.apply("a#1", Propose(Plan(number + 1, ("a#1",))))
    played.apply("b#1", Propose(Plan(version, ("b#1",))))
    expected = ("b#1",) if version == there + 1 else ("a#1",) * (there > 0)
    assert expected == played.state.plan.owners
