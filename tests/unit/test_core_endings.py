"""The sidecar's core: dead letters, sessions that they block, replicas that they halt."""

from __future__ import annotations

import msgspec
import pytest

from backends.embedded import orders
from contracts.answers import Answer, NoAnswer
from contracts.fence import Settle
from contracts.records import State
from sidecar.core import effects as fx
from sidecar.core import events as ev
from sidecar.core.standing import DEAD_IN_A_ROW
from tests.unit.core_scene import FAILED, ME, OK, REFUSED, WALL, CoreScene, message

BLOCK = {"delivery": {"onDead": "block"}}


def test_a_dead_letter_is_confirmed_before_the_ack() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    scene.end(scene.start(message("m")), REFUSED)
    [bury] = scene.taken(fx.Bury)
    [letter] = bury.letters
    assert ("m", 1, scene.now + WALL) == (letter.message.id, letter.attempts, letter.dead_at)
    assert "the handler answered 422: never" == letter.reason
    assert [] == scene.acked()
    scene.sent(ev.Fate.UNKNOWN)
    scene.wait(0.3)
    scene.sent(ev.Fate.HELD)
    assert [1] == scene.acked()


def test_a_dead_letter_of_a_queue_that_is_gone_is_nobodys() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    scene.end(scene.start(message("m")), REFUSED)
    scene.sent(ev.Fate.NO_QUEUE)
    assert [1] == scene.acked()


def test_a_message_that_died_elsewhere_is_buried_by_whoever_has_it_next() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    scene.end(scene.start(message("m")), REFUSED)
    scene.lose()
    scene.sent(ev.Fate.UNKNOWN)
    again = CoreScene()
    again.state = scene.state
    again.turn(ev.HandlerReady())
    again.wait(0.5)
    again.deliver(message("m"))
    [bury] = again.taken(fx.Bury)
    assert [("m", 1)] == [(letter.message.id, letter.attempts) for letter in bury.letters]
    assert ([], [1]) == (again.called(), again.acked())


def test_an_end_of_a_newer_generation_is_told_as_such() -> None:
    scene = CoreScene(BLOCK)
    scene.end(scene.start(message("m")), REFUSED)
    assert orders.redrive_in_place(scene.state, message("m", generation=2))
    scene.broker_confirms = False
    scene.turn()
    scene.end(scene.call(), REFUSED)
    scene.lose()
    scene.broker_confirms = True
    scene.wait(0.5)
    scene.taken(fx.Bury)
    fresh = CoreScene(BLOCK)
    fresh.state = scene.state
    fresh.wait(4)
    fresh.deliver(message("m"))
    assert [2] == [letter.message.generation for bury in fresh.taken(fx.Bury) for letter in bury.letters]


def test_a_twin_of_an_earlier_generation_is_acked_without_more_ado() -> None:
    scene = CoreScene()
    scene.state.record_of(message("m", generation=3))
    scene.deliver(message("m"))
    assert ([1], [], []) == (scene.acked(), scene.called(), scene.taken(fx.Bury))


# Blocked sessions


def test_a_dead_head_blocks_its_session_until_it_is_skipped() -> None:
    scene = CoreScene(BLOCK)
    scene.end(scene.start(message("m1"), message("m2")), REFUSED)
    assert 1 == len(scene.taken(fx.Bury))
    scene.wait(20)
    assert ([], []) == (scene.acked(), scene.called())
    orders.skip(scene.state, "s", "skipped", scene.now + WALL)
    scene.turn()
    assert ([1], [("m2", 1)]) == (scene.acked(), scene.called())
    assert [] == scene.taken(fx.Bury), "its letter is there already"


def test_a_dead_head_starts_anew_where_it_stands_when_it_is_redriven() -> None:
    scene = CoreScene(BLOCK)
    scene.end(scene.start(message("m1"), message("m2")), REFUSED)
    assert orders.redrive_in_place(scene.state, message("m1", generation=2))
    scene.turn()
    call = scene.call()
    assert (1, 2) == (call.attempt, call.message.generation)
    scene.end(call)
    assert ([1], [("m2", 1)]) == (scene.acked(), scene.called())
    scene.prove(1)
    assert [("m1", 2)] == [(message_id, generation) for _, message_id, generation in scene.state.expiry]


def test_a_blocked_session_that_nobody_told_of_is_asked_for_by_the_clock() -> None:
    scene = CoreScene(BLOCK)
    scene.end(scene.start(message("m1"), message("m2")), REFUSED)
    scene.state.records["m1"].blocks = False
    scene.wait(5.1)
    assert [("m2", 1)] == scene.called()


def test_a_message_without_a_session_blocks_nothing() -> None:
    scene = CoreScene(BLOCK)
    scene.end(scene.start(message("m", None)), REFUSED)
    assert [1] == scene.acked()


def test_a_blocked_head_whose_channel_went_while_it_was_buried_comes_back() -> None:
    scene = CoreScene(BLOCK)
    scene.broker_confirms = False
    scene.end(scene.start(message("m1")), REFUSED)
    scene.lose()
    scene.sent(ev.Fate.HELD)
    scene.wait(0.5)
    scene.broker_confirms = True
    scene.deliver(message("m1"), message("m2"), channel=2)
    scene.wait(6)
    assert ([], []) == (scene.acked(), scene.called())


# Halt


def bury(scene: CoreScene, number: int) -> None:
    for _ in range(number):
        scene.end(scene.start(message(f"m{len(scene.state.records)}")), REFUSED)


def resumed(scene: CoreScene, resumes: int) -> None:
    scene.turn(ev.Redefined(msgspec.structs.replace(scene.workqueue, resumes=resumes)))


def test_a_replica_halts_after_so_many_dead_letters_in_a_row_and_is_resumed() -> None:
    scene = CoreScene()
    bury(scene, DEAD_IN_A_ROW)
    scene.deliver(message("next"))
    assert [] == scene.called()
    scene.wait(1)
    reason = scene.state.members[ME].report.reason
    assert reason.startswith(f"halted: {DEAD_IN_A_ROW} messages in a row ended dead")
    assert "the handler answered 422" in reason
    resumed(scene, 0)
    assert [] == scene.called(), "another change of the definition resumes nothing"
    resumed(scene, 1)
    assert [("next", 1)] == scene.called()
    scene.wait(1)
    assert "" == scene.state.members[ME].report.reason


def test_what_runs_beside_the_last_of_them_ends_and_halts_nothing_twice() -> None:
    scene = CoreScene()
    beside, acked = scene.start(message("x", "x")), scene.start(message("y", "y"))
    bury(scene, DEAD_IN_A_ROW)
    scene.end(beside, REFUSED)
    scene.end(acked)
    scene.deliver(message("next"))
    assert [] == scene.called(), "an ack of what ran before does not resume"
    resumed(scene, 1)
    assert [("next", 1)] == scene.called()


def test_an_ack_between_them_starts_the_count_anew() -> None:
    scene = CoreScene()
    bury(scene, DEAD_IN_A_ROW - 1)
    scene.end(scene.start(message("good")))
    bury(scene, DEAD_IN_A_ROW - 1)
    scene.deliver(message("next"))
    assert [("next", 1)] == scene.called()


def test_what_ends_without_a_call_counts_neither_way() -> None:
    scene = CoreScene()
    bury(scene, DEAD_IN_A_ROW - 1)
    scene.deliver(message("late", expires_at=1.0))
    bury(scene, 1)
    scene.deliver(message("next"))
    assert [] == scene.called()


# Records


def test_records_may_expire_once_their_acks_are_proven() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")))
    scene.store_answers = False
    scene.prove(1)
    assert [Settle([("m", 1)], 3600)] == [op for op in scene.asked[0].operations if isinstance(op, Settle)]
    scene.prove(1, 7)
    scene.prove(3, channel=9)
    assert [] == [op for asked in scene.asked[1:] for op in asked.operations if isinstance(op, Settle)]


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, "ok"),
        (FAILED, 500, "no"),
        (REFUSED, 422, "never"),
        (NoAnswer("too-large", "more than 5 bytes"), None, "too-large: more than 5 bytes"),
    ],
)
def test_the_attempt_that_is_kept_says_what_the_handler_said(
    answer: Answer | NoAnswer, status: int | None, body: str
) -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")), answer)
    [attempt] = scene.state.records["m"].attempts
    assert (status, body) == (attempt.status, attempt.body)
    assert ("r", 1, scene.now + WALL) == (attempt.replica, attempt.attempt, attempt.ended_at)


def test_a_result_that_is_too_large_ends_the_message() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")), NoAnswer("too-large", "more than 5 bytes"))
    assert State.DEAD is scene.state.records["m"].state
    [bury] = scene.taken(fx.Bury)
    assert "result-too-large: more than 5 bytes" == bury.letters[0].reason
