"""The sidecar's core and a store that has forgotten: assertions that are late, repeated, or not needed any more."""

from __future__ import annotations

import pytest

from contracts.answers import Answer
from contracts.records import State
from contracts.replies import FENCED, Reply
from sidecar.core import effects as fx
from sidecar.core import events as ev
from tests.unit.core_scene import FAILED, OK, CoreScene, message, operations


def asserted_late(scene: CoreScene, answer: Answer) -> None:
    """The store forgets, the assertion of what runs is lost, and the attempt ends before it is sent again."""
    call = scene.start(message("m1"), message("m2"))
    scene.store_answers = False
    scene.reborn(life=2)
    scene.wait(3.1)
    scene.answer()
    assert ["Propose", "Assert"] == operations(scene.asked[0])
    scene.fail()
    scene.store_answers = True
    scene.end(call, answer)


def test_an_assertion_before_the_store_knows_the_replica_waits_for_the_renewal() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.store_answers = False
    scene.reborn(life=2)
    scene.wait(3.1)
    scene.answer()
    scene.reborn(life=2)
    scene.catch_up()
    scene.wait(1)
    assert ["s:s"] == list(scene.state.locks)
    scene.end(call)
    assert [1] == scene.acked()


def test_an_attempt_is_asserted_once_however_often_the_lease_is_renewed() -> None:
    scene = CoreScene()
    scene.start(message("m"))
    scene.store_answers = False
    scene.reborn(life=2)
    scene.wait(3.1)
    scene.answer()
    [asserted] = [asked for asked in scene.asked if "Assert" in operations(asked)]
    scene.asked.remove(asserted)
    scene.wait(4)
    scene.catch_up()
    assert {} == scene.state.locks
    scene.turn(ev.Replied(asserted.ref, scene.applied(asserted)))
    assert ["s:s"] == list(scene.state.locks)


@pytest.mark.parametrize("refused", [False, True])
def test_an_assertion_of_what_was_given_up_meanwhile_holds_nothing(refused: bool) -> None:
    scene = CoreScene()
    scene.start(message("m"))
    scene.store_answers = False
    scene.reborn(life=2)
    scene.wait(3.1)
    scene.answer()
    [asserted] = [asked for asked in scene.asked if "Assert" in operations(asked)]
    scene.asked.remove(asserted)
    replies: list[Reply] = [FENCED] if refused else scene.applied(asserted)[-1:]
    assert ["Assert"] == operations(asserted)[-1:]
    before = scene.applied(fx.AskStore(0, asserted.operations[:-1]))
    scene.reborn(life=3)
    scene.wait(16)
    scene.catch_up()
    again = scene.called()
    scene.turn(ev.Replied(asserted.ref, [*before, *replies]))
    assert ([("m", 1)], ["s:s"]) == (again, list(scene.state.locks)), "the attempt of now goes on"


def test_a_late_assertion_leaves_the_next_attempt_alone() -> None:
    scene = CoreScene()
    asserted_late(scene, OK)
    scene.wait(1)
    assert ([], State.SUCCEEDED) == (scene.taken(fx.AbandonCall), scene.state.records["m1"].state)
    scene.end(scene.call())
    assert State.SUCCEEDED is scene.state.records["m2"].state


def test_a_late_assertion_does_not_hold_a_session_whose_attempt_is_over() -> None:
    scene = CoreScene()
    asserted_late(scene, FAILED)
    scene.wait(0.5)
    assert {} == scene.state.locks
    scene.wait(30)
    assert [("m1", 2)] == scene.called()
