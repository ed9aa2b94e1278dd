"""The sidecar's core and a store that has forgotten what it knew: what runs is asserted, or given up."""

from __future__ import annotations

import pytest

from contracts.answers import Answer, NoAnswer
from contracts.fence import EPOCHS_PER_LIFE, Claim, Renew, life_of
from contracts.handler import Batch, Options
from contracts.records import Report, State
from contracts.speech import HEARD, Complete, Refusal
from sidecar.core import effects as fx
from sidecar.core import events as ev
from tests.unit.core_scene import FAILED, ME, OK, OTHER, CoreScene, message, operations


def reborn_and_renewed(scene: CoreScene) -> None:
    """A new life of the store, and the renewal in which the replica hears of it."""
    scene.reborn(life=2)
    scene.wait(3.1)


def taken_by_other(scene: CoreScene) -> None:
    """Another replica was given the message and claims it."""
    scene.apply(OTHER, Renew(15.0, Report()), Claim(message("m"), 1, 64, 0.0))


def test_what_runs_is_asserted_in_the_next_life_and_counts_under_a_new_epoch() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    reborn_and_renewed(scene)
    lock = scene.state.locks["s:s"]
    assert (2, ME) == (life_of(lock.epoch), lock.owner)
    scene.end(call)
    assert ([1], State.SUCCEEDED) == (scene.acked(), scene.state.records["m"].state)
    assert [] == scene.called()


def test_counters_of_a_message_survive_the_store() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")), FAILED)
    scene.wait(1.5)
    scene.call()
    reborn_and_renewed(scene)
    record = scene.state.records["m"]
    assert (2, 1, 0) == (record.attempt, record.failures, record.interruptions)


def test_accepted_gathered_and_batched_work_is_asserted_too() -> None:
    scene = CoreScene(options=Options(batch=Batch(max_messages=2, max_wait_ms=10_000)))
    scene.deliver(message("a", "a"), message("b", "b"), message("c", "c"))
    batch = scene.batch()
    scene.turn(ev.BatchAnswered(batch.call, [NoAnswer("timeout"), OK]))
    scene.wait(1.5)
    reborn_and_renewed(scene)
    assert {"s:a", "s:c"} == set(scene.state.locks)


def test_a_speaker_keeps_its_voice_in_the_next_life() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    reborn_and_renewed(scene)
    assert HEARD == scene.speak(call, Complete())
    assert State.SUCCEEDED is scene.state.records["m"].state


@pytest.mark.parametrize(
    ("answer", "state", "counted"),
    [
        (OK, State.SUCCEEDED, (1, 0, 0)),
        (FAILED, State.RETRYING, (1, 1, 0)),
        (NoAnswer("lost"), State.RETRYING, (1, 0, 1)),
        (NoAnswer("refused"), State.QUEUED, (0, 0, 0)),
    ],
)
def test_an_end_that_the_store_does_not_know_is_said_after_the_attempt_is_asserted(
    answer: Answer | NoAnswer, state: State, counted: tuple[int, int, int]
) -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.reborn(life=2)
    scene.join(ME)
    scene.end(call, answer)
    record = scene.state.records["m"]
    assert state is record.state
    assert counted == (record.attempt, record.failures, record.interruptions)


def test_an_end_that_somebody_else_came_before_is_over() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    scene.reborn(life=2)
    scene.join(ME)
    taken_by_other(scene)
    heard = scene.speak(call, Complete())
    assert heard is not None
    assert (Refusal.OVER, []) == (heard.refusal, scene.acked())


def test_an_attempt_that_somebody_else_has_by_now_is_abandoned() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.reborn(life=2)
    taken_by_other(scene)
    scene.wait(3.1)
    assert [fx.AbandonCall(call.call)] == scene.taken(fx.AbandonCall)
    assert [] == scene.called()


def test_an_attempt_that_ended_while_it_was_asserted_is_not_taken_away_again() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.store_answers = False
    scene.reborn(life=2)
    scene.wait(3.1)
    scene.answer()
    assert ["Propose", "Assert"] == operations(scene.asked[0])
    scene.end(call)
    scene.answer()
    assert ["Commit"] == operations(scene.asked[0])
    scene.answer()
    scene.store_answers = True
    while scene.asked:
        scene.answer()
    assert ([1], State.SUCCEEDED) == (scene.acked(), scene.state.records["m"].state)


def test_an_attempt_that_ends_while_its_assertion_is_refused_asks_how_the_message_stands() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.store_answers = False
    scene.reborn(life=2)
    taken_by_other(scene)
    scene.wait(3.1)
    scene.answer()
    scene.end(call)
    while scene.asked:
        scene.answer()
    assert ([], [], []) == (scene.acked(), scene.taken(fx.AbandonCall), scene.called())


def test_an_attempt_of_the_new_life_needs_no_assertion() -> None:
    """The renewal in which the replica would have heard of the new life was lost, and a claim came through."""
    scene = CoreScene()
    scene.reborn(life=2)
    scene.join(ME)
    call = scene.start(message("m"))
    scene.store_answers = False
    scene.wait(3.1)
    scene.answer()
    assert [] == [name for asked in scene.asked for name in operations(asked) if name == "Assert"]
    scene.store_answers = True
    scene.end(call)
    assert [1] == scene.acked()


def test_quarantine_lets_running_work_go_on_and_nothing_new_begin() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.reborn(life=2, quarantine_seconds=10)
    scene.wait(3.1)
    scene.deliver(message("n", "n"))
    assert [] == scene.called()
    scene.end(call)
    assert [1] == scene.acked()
    scene.wait(7)
    assert [("n", 1)] == scene.called()


def test_a_plan_of_the_next_life_counts_from_the_beginning() -> None:
    scene = CoreScene({"partitions": 2})
    scene.join()
    scene.wait(20)
    assert scene.state.plan.version > 1
    reborn_and_renewed(scene)
    assert (1, (ME, ME)) == (scene.state.plan.version, scene.state.plan.owners)


def test_an_epoch_tells_its_life() -> None:
    assert [1, 1, 2] == [life_of(EPOCHS_PER_LIFE + 1), life_of(2 * EPOCHS_PER_LIFE - 1), life_of(2 * EPOCHS_PER_LIFE)]


# A lease that was not sure


def lapsed_and_reborn(scene: CoreScene) -> None:
    """For longer than a lease nothing is heard of the store, and then it lives anew."""
    scene.store_answers = False
    scene.wait(16)
    scene.reborn(life=2)


def test_what_ran_while_the_lease_was_not_sure_is_given_up() -> None:
    """Others may have run it again in the life of the store that is forgotten."""
    scene = CoreScene()
    call = scene.start(message("m"))
    lapsed_and_reborn(scene)
    scene.catch_up()
    assert [fx.AbandonCall(call.call)] == scene.taken(fx.AbandonCall)
    assert [("m", 1)] == scene.called()


def test_an_end_that_was_not_told_while_the_lease_was_sure_is_given_up() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    lapsed_and_reborn(scene)
    scene.end(call)
    scene.catch_up()
    assert ([], [("m", 1)]) == (scene.acked(), scene.called())


def test_whoever_waits_for_an_end_that_is_given_up_is_told_so() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    lapsed_and_reborn(scene)
    assert None is scene.speak(call, Complete())
    scene.catch_up()
    scene.wait(5)
    assert [Refusal.OVER] == [heard.refusal for heard in scene.heard()]
