"""The sidecar's core: attempts that are taken away while they are decided on, run, or end."""

from __future__ import annotations

from backends.embedded import orders
from contracts.records import State
from contracts.replies import Freed, Revoked
from contracts.speech import Complete, Refusal
from sidecar.core import effects as fx
from sidecar.core import events as ev
from tests.unit.core_scene import FAILED, WALL, CoreScene, message, operations


def test_a_released_session_is_tried_again_and_the_call_that_ran_is_abandoned() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    orders.release(scene.state, "s", scene.now + WALL + 1, scene.now + WALL)
    scene.turn()
    assert [fx.AbandonCall(call.call)] == scene.taken(fx.AbandonCall)
    scene.end(call)
    assert State.RETRYING is scene.state.records["m"].state
    scene.wait(1.1)
    assert [("m", 2)] == scene.called()


def test_a_skipped_session_goes_on_with_its_next_message() -> None:
    scene = CoreScene()
    scene.start(message("m1"), message("m2"))
    orders.skip(scene.state, "s", "skipped", scene.now + WALL)
    scene.turn()
    assert [("m2", 1)] == scene.called()
    assert ["skipped"] == [letter.reason for bury in scene.taken(fx.Bury) for letter in bury.letters]


def test_accepted_work_that_is_taken_away_is_over() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    orders.release(scene.state, "s", scene.now + WALL + 5, scene.now + WALL)
    scene.turn()
    heard = scene.speak(call, Complete())
    assert heard is not None
    assert (Refusal.OVER, []) == (heard.refusal, scene.taken(fx.AbandonCall))


def test_a_revocation_of_an_earlier_attempt_takes_nothing_away() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.turn(ev.Pushed(Revoked("s:s", call.epoch - 1)), ev.Pushed(Revoked("s:x", call.epoch)))
    assert [] == scene.taken(fx.AbandonCall)


def test_a_revocation_may_overtake_the_permission_that_it_revokes() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"))
    asked = scene.asked.pop()
    replies = scene.applied(asked)
    orders.release(scene.state, "s", scene.now + WALL + 5, scene.now + WALL)
    scene.turn()
    scene.store_answers = True
    scene.turn(ev.Replied(asked.ref, replies))
    assert ([], {}) == (scene.called(), scene.state.locks)
    scene.wait(6)
    assert [("m", 2)] == scene.called()


def test_a_call_that_is_taken_away_in_the_turn_that_decides_on_it_is_not_made() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"), message("n", "n"))
    asked = scene.asked.pop()
    replies = scene.applied(asked)
    lock = scene.state.locks["s:s"]
    orders.release(scene.state, "s", scene.now + WALL + 5, scene.now + WALL)
    scene.forget_pushes()
    scene.turn(ev.Replied(asked.ref, replies), ev.Pushed(Revoked("s:s", lock.epoch)))
    assert ([("n", 1)], []) == (scene.called(), scene.taken(fx.AbandonCall))


def test_a_revocation_that_meets_the_end_on_its_way_is_seen_by_the_store() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.store_answers = False
    scene.end(call)
    scene.turn(ev.Pushed(Revoked("s:s", call.epoch)))
    scene.answer()
    assert [1] == scene.acked()


def test_a_commit_that_is_refused_asks_how_the_message_stands() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.state.locks.clear()
    scene.end(call)
    assert ([], [("m", 2)]) == (scene.acked(), scene.called())


def test_a_failure_that_is_refused_asks_how_the_message_stands() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.state.locks.clear()
    scene.end(call, FAILED)
    assert [("m", 2)] == scene.called()


def test_a_push_for_a_session_that_is_not_here_or_not_waiting_changes_nothing() -> None:
    scene = CoreScene(ready=False)
    scene.deliver(message("m"))
    scene.store_answers = False
    scene.turn(ev.Pushed(Freed("s:x")), ev.Pushed(Freed("s:s")), ev.Pushed(Freed(None)))
    assert [] == [name for asked in scene.asked for name in operations(asked) if name == "Claim"]
