"""The sidecar's core: batches are gathered, each message is settled on its own, and a batch can fail as a whole."""

from __future__ import annotations

import pytest

from contracts.answers import Answer, NoAnswer
from contracts.handler import Batch, Options
from contracts.records import State
from contracts.replies import Revoked
from contracts.speech import HEARD, Complete, Refusal
from sidecar.core import effects as fx
from sidecar.core import events as ev
from tests.unit.core_scene import FAILED, OK, WALL, CoreScene, message

THREE = Options(batch=Batch(max_messages=3, max_wait_ms=100))
ACCEPTED = Answer(202, outcome="accepted")


def scene_of_three() -> tuple[CoreScene, fx.CallBatch]:
    scene = CoreScene(options=THREE)
    scene.deliver(*[message(name, name) for name in ("a", "b", "c")])
    return scene, scene.batch()


def answer(scene: CoreScene, batch: fx.CallBatch, *answers: Answer | NoAnswer) -> None:
    scene.turn(ev.BatchAnswered(batch.call, list(answers)))


def states(scene: CoreScene) -> list[State]:
    return [scene.state.records[name].state for name in ("a", "b", "c")]


def test_a_full_batch_goes_at_once_and_a_short_one_after_its_wait() -> None:
    scene, batch = scene_of_three()
    assert ["a", "b", "c"] == [entry.message.id for entry in batch.entries]
    answer(scene, batch, OK, OK, OK)
    assert [1, 2, 3] == scene.acked()
    scene.deliver(message("d", "d"), message("e", "e"))
    assert [] == scene.taken(fx.CallBatch)
    scene.wait(0.11)
    assert ["d", "e"] == [entry.message.id for entry in scene.batch().entries]


def test_a_batch_that_filled_up_is_not_sent_again_by_its_timer() -> None:
    scene, batch = scene_of_three()
    answer(scene, batch, OK, OK, OK)
    scene.deliver(message("d", "d"))
    scene.wait(0.05)
    scene.deliver(message("e", "e"), message("f", "f"))
    assert 3 == len(scene.batch().entries)
    scene.wait(1)
    assert [] == scene.taken(fx.CallBatch)


def test_the_timer_of_an_earlier_batch_does_not_send_the_next_one() -> None:
    scene = CoreScene(options=THREE)
    scene.deliver(*[message(name, name) for name in ("a", "b")])
    scene.wait(0.06)
    scene.deliver(*[message(name, name) for name in ("c", "d")])
    assert 3 == len(scene.batch().entries)
    scene.wait(0.06)
    assert [] == scene.taken(fx.CallBatch)
    scene.wait(0.05)
    assert ["d"] == [entry.message.id for entry in scene.batch().entries]


def test_a_session_is_in_a_batch_once() -> None:
    scene = CoreScene(options=THREE)
    scene.deliver(*[message(f"m{number}") for number in range(3)])
    scene.wait(0.2)
    assert ["m0"] == [entry.message.id for entry in scene.batch().entries]


def test_gathered_messages_take_up_room() -> None:
    scene = CoreScene({"sessions": {"concurrencyPerReplica": 2}}, options=THREE)
    scene.deliver(*[message(name, name) for name in ("a", "b", "c")])
    scene.wait(0.2)
    assert ["a", "b"] == [entry.message.id for entry in scene.batch().entries]


def test_each_message_is_settled_by_its_own_answer() -> None:
    scene, batch = scene_of_three()
    answer(scene, batch, OK, FAILED, Answer(422))
    assert [State.SUCCEEDED, State.RETRYING, State.DEAD] == states(scene)
    assert [1, 3] == scene.acked()


def test_a_failed_message_may_be_in_a_batch_again() -> None:
    scene, batch = scene_of_three()
    answer(scene, batch, OK, FAILED, OK)
    scene.wait(2)
    assert [("b", 2)] == [(entry.message.id, entry.attempt) for entry in scene.batch().entries]


def test_messages_of_a_batch_are_accepted_one_by_one() -> None:
    scene, batch = scene_of_three()
    answer(scene, batch, OK, ACCEPTED, OK)
    assert [State.SUCCEEDED, State.RUNNING, State.SUCCEEDED] == states(scene)
    assert HEARD == scene.speak(batch.entries[1], Complete())
    assert State.SUCCEEDED is scene.state.records["b"].state


@pytest.mark.parametrize("kind", ["refused", "lost", "timeout", "garbage", "too-large"])
def test_a_batch_that_failed_as_a_whole_was_no_attempt_and_is_tried_one_by_one(kind: str) -> None:
    scene, batch = scene_of_three()
    scene.turn(ev.BatchAnswered(batch.call, NoAnswer(kind, "x")))  # type: ignore[arg-type]
    suspected = [check.reason for check in scene.taken(fx.CheckHandler)]
    assert ([f"{kind}: x"] if kind in ("refused", "lost") else []) == suspected
    scene.turn(ev.HandlerReady(THREE))
    assert [("a", 1), ("b", 1), ("c", 1)] == scene.called()
    assert [] == scene.taken(fx.CallBatch)


def test_the_next_message_of_a_session_is_batched_again() -> None:
    scene = CoreScene(options=THREE)
    scene.deliver(message("m1"), message("m2"))
    scene.wait(0.2)
    scene.turn(ev.BatchAnswered(scene.batch().call, NoAnswer("timeout")))
    scene.end(scene.call())
    scene.wait(0.2)
    assert ["m2"] == [entry.message.id for entry in scene.batch().entries]


def test_what_was_finished_in_a_failed_batch_stays_so() -> None:
    scene, batch = scene_of_three()
    assert HEARD == scene.speak(batch.entries[0], Complete(None, b"mine"))
    scene.turn(ev.BatchAnswered(batch.call, NoAnswer("timeout")))
    assert State.SUCCEEDED is scene.state.records["a"].state
    assert [("b", 1), ("c", 1)] == scene.called()


def test_an_attempt_that_was_taken_away_from_its_batch_is_not_settled_with_it() -> None:
    scene, batch = scene_of_three()
    lock = scene.state.locks["s:b"]
    scene.state.unlock(lock)
    scene.turn(ev.Pushed(Revoked("s:b", lock.epoch)))
    heard = scene.speak(batch.entries[1], Complete())
    assert heard is not None
    assert Refusal.OVER is heard.refusal
    answer(scene, batch, OK, OK, OK)
    assert [1, 3] == scene.acked()
    scene.wait(0.2)
    assert ["b"] == [entry.message.id for entry in scene.batch().entries]


def test_a_whole_failure_passes_over_what_was_taken_away() -> None:
    scene, batch = scene_of_three()
    lock = scene.state.locks["s:b"]
    scene.state.unlock(lock)
    scene.turn(ev.Pushed(Revoked("s:b", lock.epoch)))
    scene.turn(ev.BatchAnswered(batch.call, NoAnswer("timeout")))
    assert [("a", 1), ("c", 1)] == scene.called()


def test_an_attempt_that_is_taken_away_while_its_batch_gathers_is_not_called() -> None:
    scene = CoreScene(options=THREE)
    scene.deliver(message("a", "a"), message("b", "b"))
    for name in ("a", "b"):
        lock = scene.state.locks[f"s:{name}"]
        scene.store_answers = False
        scene.state.unlock(lock)
        scene.turn(ev.Pushed(Revoked(lock.lane, lock.epoch)))
    scene.wait(0.2)
    assert [] == scene.taken(fx.CallBatch)


def test_what_expires_while_its_batch_gathers_is_not_called() -> None:
    scene = CoreScene(options=THREE)
    scene.deliver(message("a", "a", expires_at=scene.now + WALL + 0.05), message("b", "b"))
    scene.wait(0.2)
    assert ["b"] == [entry.message.id for entry in scene.batch().entries]
    assert (State.EXPIRED, [1]) == (scene.state.records["a"].state, scene.acked())


def test_a_batch_in_which_everything_expired_is_not_called() -> None:
    scene = CoreScene(options=THREE)
    scene.deliver(*[message(name, name, expires_at=scene.now + WALL + 0.05) for name in ("a", "b")])
    scene.wait(0.2)
    assert ([], [1, 2]) == (scene.taken(fx.CallBatch), scene.acked())


@pytest.mark.parametrize("gone", [ev.HandlerGone("killed"), ev.Drain(1e9)], ids=["gone", "drain"])
def test_what_gathered_before_starts_were_over_is_given_back(gone: ev.Event) -> None:
    scene = CoreScene(options=THREE)
    scene.deliver(message("a", "a"), message("b", "b"))
    scene.turn(gone)
    scene.wait(0.2)
    assert ([], {}) == (scene.taken(fx.CallBatch), scene.state.locks)


def test_the_answer_to_no_batch_is_passed_over() -> None:
    scene = CoreScene()
    scene.turn(ev.BatchAnswered(99, []), ev.BatchAnswered(98, NoAnswer("timeout")))
    assert ([], []) == (scene.acked(), scene.called())
