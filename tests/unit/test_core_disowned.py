"""The sidecar's core: what is held in its name and unknown to it is given up, and nothing else."""

from __future__ import annotations

from contracts.fence import Claim, Disown, Fail, Renew
from contracts.records import Attempt, Report, State
from contracts.replies import FENCED, Claimed, Ended
from sidecar.core import events as ev
from tests.unit.core_scene import FAILED, ME, OTHER, REFUSED, CoreScene, message


def renewed(scene: CoreScene) -> list[Disown]:
    """What was disowned with the next renewal."""
    scene.store_answers = False
    scene.wait(3.1)
    scene.answer()
    asked = [operation for asked in scene.asked for operation in asked.operations if isinstance(operation, Disown)]
    scene.catch_up()
    return asked


def test_a_claim_that_came_late_is_given_up_and_its_session_goes_on() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m1")))
    [late] = scene.apply(ME, Claim(message("m0", "s"), 99, 64, 0.0))
    assert isinstance(late, Claimed)
    scene.deliver(message("m2"))
    assert [] == scene.called()
    assert [Disown("s:s", late.epoch)] == renewed(scene)
    scene.wait(1.1)
    assert [("m2", 1)] == scene.called()
    record = scene.state.records["m0"]
    assert (State.RETRYING, 1, "interrupted") == (record.state, record.interruptions, record.attempts[0].outcome)


def test_what_is_known_is_kept() -> None:
    scene = CoreScene()
    running, accepted = scene.start(message("a", "a")), scene.accept(message("b", "b"))
    assert [] == renewed(scene)
    scene.end(running)
    assert {"b"} == {lock.message_id for lock in scene.state.locks.values()}
    assert accepted.epoch == scene.state.locks["s:b"].epoch


def test_a_claim_whose_answer_is_on_its_way_is_kept() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m1")))
    scene.store_answers = False
    scene.deliver(message("m2"))
    [asked] = scene.asked
    replies = scene.applied(asked)
    scene.wait(3.1)
    renewal = scene.asked.pop()
    scene.turn(ev.Replied(renewal.ref, scene.applied(renewal)))
    assert [] == [op for one in scene.asked[1:] for op in one.operations if isinstance(op, Disown)]
    scene.turn(ev.Replied(asked.ref, replies))
    assert [("m2", 1)] == scene.called()


def test_what_has_moved_on_meanwhile_is_not_touched() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.apply(ME, Disown("s:s", call.epoch - 1), Disown("s:other", call.epoch))
    scene.apply(OTHER, Renew(15.0, Report()), Disown("s:s", call.epoch))
    assert call.epoch == scene.state.locks["s:s"].epoch


def test_a_claim_of_an_earlier_life_is_refused() -> None:
    scene = CoreScene()
    scene.reborn(2)
    scene.apply(ME, Renew(15.0, Report()))
    assert [FENCED] == scene.apply(ME, Claim(message("m"), 1, 64, 0.0, life=1))
    assert {} == scene.state.records


def test_an_epoch_that_was_seen_is_not_given_again() -> None:
    scene = CoreScene()
    seen = scene.start(message("m1", "a")).epoch + 100
    [claimed] = scene.apply(ME, Claim(message("m2", "b"), 50, 64, 0.0, seen=seen))
    assert isinstance(claimed, Claimed)
    assert seen < claimed.epoch


def test_an_end_under_an_epoch_that_another_replica_ended_is_no_repeat() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.end(call, FAILED)
    ended = Fail(message("m"), call.epoch, Attempt(attempt=1, replica="r", started_at=0.0), False, 0.0)
    scene.apply(OTHER, Renew(15.0, Report()))
    assert ["Done"] == [type(reply).__name__ for reply in scene.apply(ME, ended)]
    assert [FENCED] == scene.apply(OTHER, ended)


def test_whoever_was_to_publish_an_end_has_no_right_to_it_for_ever() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    scene.end(scene.start(message("m")), REFUSED)
    scene.apply(OTHER, Renew(60.0, Report()))
    claim = Claim(message("m"), 1, 64, 0.0)
    assert ["HeldBy"] == [type(reply).__name__ for reply in scene.apply(OTHER, claim)]
    scene.now += 16
    scene.apply(ME, Renew(60.0, Report()))
    [found] = scene.apply(OTHER, claim)
    assert isinstance(found, Ended)


def test_an_end_counts_for_the_message_that_holds_the_session_alone() -> None:
    """A store that lost its last moments may have given the epoch to another message of the session since."""
    scene = CoreScene()
    call = scene.start(message("m1"))
    ended = Fail(message("m2"), call.epoch, Attempt(attempt=1, replica="r", started_at=0.0), False, 0.0)
    assert [FENCED] == scene.apply(ME, ended)
    assert "m1" == scene.state.locks["s:s"].message_id
