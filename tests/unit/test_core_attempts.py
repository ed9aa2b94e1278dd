"""The sidecar's core: who may start, in what order, and who waits for what."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.answers import NoAnswer
from contracts.fence import Claim, Renew, Withdraw
from contracts.records import Report
from contracts.replies import Claimed
from sidecar.core import events as ev
from tests.unit.core_scene import ME, OK, OTHER, CoreScene, message

LOST = NoAnswer("lost", "reset")


def redefined(scene: CoreScene, **changes: Any) -> None:
    """The same queue with other values in its spec, or with more resumes."""
    resumes = changes.pop("resumes", scene.workqueue.resumes)
    spec = msgspec.structs.replace(scene.workqueue.spec, **changes)
    scene.workqueue = msgspec.structs.replace(scene.workqueue, spec=spec, resumes=resumes)
    scene.turn(ev.Redefined(scene.workqueue))


def test_one_session_goes_one_by_one_and_others_beside_it() -> None:
    scene = CoreScene()
    scene.deliver(message("a1", "a"), message("a2", "a"), message("b1", "b"), message("c", None))
    first, *_ = calls = scene.calls()
    assert ["a1", "b1", "c"] == [call.message.id for call in calls]
    scene.end(first)
    assert [1] == scene.acked()
    assert [("a2", 1)] == scene.called()


def test_nothing_starts_before_the_handler_is_ready() -> None:
    scene = CoreScene(ready=False)
    scene.deliver(message("m"))
    assert [] == scene.called()
    scene.turn(ev.HandlerReady())
    assert [("m", 1)] == scene.called()


def test_nothing_starts_while_the_queue_is_paused() -> None:
    scene = CoreScene()
    redefined(scene, paused=True)
    scene.deliver(message("m"))
    assert [] == scene.called()
    redefined(scene, paused=False)
    assert [("m", 1)] == scene.called()


def test_a_message_that_ended_before_is_acked_without_a_call_even_in_a_pause() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")))
    redefined(scene, paused=True)
    scene.deliver(message("m"))
    assert ([1, 2], []) == (scene.acked(), scene.called())


def test_a_pause_that_ended_while_the_store_was_asked_is_seen() -> None:
    scene = CoreScene(ready=False)
    scene.store_answers = False
    scene.deliver(message("m"))
    scene.turn(ev.HandlerReady())
    scene.answer()
    assert [True] == [operation.start for operation in scene.asked[0].operations if isinstance(operation, Claim)]


def test_a_permission_that_comes_after_the_handler_went_is_given_back() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"))
    scene.turn(ev.HandlerGone("killed"))
    scene.store_answers = True
    scene.answer()
    assert ([], 0) == (scene.called(), scene.state.records["m"].attempt)
    scene.turn(ev.HandlerReady())
    assert [("m", 1)] == scene.called()


def test_a_permission_that_comes_past_the_lease_is_given_back() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"))
    scene.now += 20
    scene.answer()
    assert [] == scene.called()


def test_an_older_generation_is_called_as_the_newer_one_that_took_its_place() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"))
    scene.answer(Claimed(7, 3, 1, 1, 4))
    call = scene.call()
    assert (4, 3, 7) == (call.message.generation, call.attempt, call.epoch)


def test_room_in_the_handler_bounds_what_is_asked_for() -> None:
    scene = CoreScene({"sessions": {"concurrencyPerReplica": 2}})
    scene.deliver(*[message(f"m{number}", None) for number in range(5)])
    first, second = scene.calls()
    assert ["m0", "m1"] == [first.message.id, second.message.id]
    scene.end(first)
    assert [("m2", 1)] == scene.called()


def test_a_full_queue_is_tried_again_when_there_is_room_and_by_the_clock() -> None:
    scene = CoreScene({"sessions": {"maxConcurrent": 1}})
    call = scene.start(message("a", "a"), message("b", "b"))
    scene.wait(1.5)
    assert [] == scene.called()
    scene.end(call)
    assert [("b", 1)] == scene.called()


def test_a_session_that_is_held_elsewhere_is_waited_for() -> None:
    scene = CoreScene()
    scene.join()
    [held] = scene.apply(OTHER, Claim(message("m0"), 1, 64, 0.0))
    assert isinstance(held, Claimed)
    scene.deliver(message("m1"))
    scene.wait(2)
    assert [] == scene.called()
    scene.apply(OTHER, Withdraw(message("m0"), held.epoch))
    scene.turn()
    assert [("m1", 1)] == scene.called()


def test_a_session_whose_holder_died_is_taken_over_without_being_told() -> None:
    scene = CoreScene()
    scene.join()
    scene.apply(OTHER, Claim(message("m1"), 1, 64, 0.0))
    scene.deliver(message("m1"))
    scene.wait(14)
    assert [] == scene.called()
    scene.wait(3)
    assert [("m1", 2)] == scene.called()


def test_the_rate_of_the_queue_is_kept() -> None:
    scene = CoreScene({"limits": {"ratePerSecond": 1}})
    scene.deliver(*[message(f"m{number}", None) for number in range(3)])
    assert [("m0", 1)] == scene.called()
    scene.wait(0.9)
    assert [] == scene.called()
    scene.wait(0.2)
    assert [("m1", 1)] == scene.called()


def test_a_claim_whose_answer_was_lost_is_asked_again_and_known() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"))
    scene.fail(applied=True)
    scene.store_answers = True
    scene.wait(0.3)
    assert [("m", 1)] == scene.called()


def test_a_replica_that_the_store_does_not_know_renews_before_it_asks_again() -> None:
    scene = CoreScene()
    del scene.state.members[ME]
    scene.deliver(message("m"))
    assert [("m", 1)] == scene.called()
    assert ME in scene.state.members


def test_a_report_tells_what_is_held_and_why_nothing_starts() -> None:
    scene = CoreScene()
    call = scene.start(message("m1", enqueued_at=5.0), message("m2", enqueued_at=6.0))
    scene.wait(0.6)
    report = scene.state.members[ME].report
    assert (True, 1, 2, 1, 5.0, [0], [("s", "m1", 1)]) == (
        report.ready,
        report.running,
        report.unacked,
        report.lanes,
        report.oldest_enqueued_at,
        report.partitions,
        report.waiting,
    )
    scene.wait(1)
    scene.end(call, LOST)
    scene.wait(0.6)
    report = scene.state.members[ME].report
    assert (False, "lost: reset", 1) == (report.ready, report.reason, report.handled)
    assert 1.6 == pytest.approx(report.busy_seconds)


def test_a_report_that_does_not_move_is_renewed_less_often() -> None:
    scene = CoreScene()
    scene.wait(5)
    scene.store_answers = False
    scene.wait(3.1)
    [asked] = scene.asked
    assert isinstance(asked.operations[0], Renew)
    assert Report(ready=True) == asked.operations[0].report


def test_an_answer_of_nobody_is_passed_over() -> None:
    scene = CoreScene()
    scene.turn(ev.Answered(99, OK), ev.Replied(99, []), ev.Sent(99, [ev.Fate.HELD]), ev.StoreFailed(99))
    assert [] == scene.effects
