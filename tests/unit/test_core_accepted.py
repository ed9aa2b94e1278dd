"""The sidecar's core: work that the handler takes on with a 202, its heartbeats, and how it ends."""

from __future__ import annotations

import pytest

from contracts.answers import Answer, NoAnswer
from contracts.fence import Advance
from contracts.handler import Options
from contracts.records import Progress, State
from contracts.speech import HEARD, Beat, Complete, Emit, GiveUp, Heard, Refusal, Speaker, Words, WriteSession
from sidecar.core import events as ev
from tests.unit.core_scene import OK, CoreScene, message, operations

ALIVE = Beat(Progress())


def outcome(scene: CoreScene, name: str = "m") -> str | None:
    return scene.state.records[name].attempts[-1].outcome


def test_what_is_accepted_ends_when_it_says_so() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"), message("n"))
    assert (State.RUNNING, True) == (scene.state.records["m"].state, scene.state.records["m"].accepted)
    assert ([], []) == (scene.called(), scene.acked())
    assert HEARD == scene.speak(call, Complete("text/plain", b"done"))
    ending = scene.state.records["m"].ending
    assert ending is not None
    assert (State.SUCCEEDED, b"done", "text/plain") == (ending.state, ending.body, ending.content_type)
    assert ([1], [("n", 1)]) == (scene.acked(), scene.called())


def test_a_plain_202_accepts_only_where_init_said_so() -> None:
    plain, asked = CoreScene(), CoreScene(options=Options(asynchronous=True))
    for scene in (plain, asked):
        scene.end(scene.start(message("m")), Answer(202))
    assert [State.SUCCEEDED, State.RUNNING] == [scene.state.records["m"].state for scene in (plain, asked)]


def test_accepted_work_takes_up_room_in_the_handler() -> None:
    scene = CoreScene({"sessions": {"concurrencyPerReplica": 1}})
    call = scene.accept(message("m", "a"))
    scene.deliver(message("n", "b"))
    assert [] == scene.called()
    scene.speak(call, Complete())
    assert [("n", 1)] == scene.called()


def test_silence_is_a_failed_attempt() -> None:
    scene = CoreScene({"delivery": {"heartbeatTimeoutSeconds": 10}})
    scene.accept(message("m"))
    scene.wait(9.9)
    assert State.RUNNING is scene.state.records["m"].state
    scene.wait(0.2)
    record = scene.state.records["m"]
    assert (State.RETRYING, 1, 0) == (record.state, record.failures, record.interruptions)
    assert "silent: no heartbeat for 10 s after it was accepted" == record.attempts[0].body


def test_a_heartbeat_puts_silence_off_and_tells_how_far_it_is() -> None:
    scene = CoreScene({"delivery": {"heartbeatTimeoutSeconds": 10}})
    call = scene.accept(message("m"))
    for percent in (30.0, 60.0):
        scene.wait(9)
        assert HEARD == scene.speak(call, Beat(Progress(percent, "on it")))
        assert Progress(percent, "on it") == scene.state.records["m"].progress
    scene.wait(9.9)
    assert 1 == scene.state.records["m"].attempt
    scene.wait(0.2)
    assert State.RETRYING is scene.state.records["m"].state


def test_a_heartbeat_before_the_acceptance_does_not_accept() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.store_answers = False
    assert HEARD == scene.speak(call, ALIVE)
    assert [False] == [op.accepted for op in scene.asked[0].operations if isinstance(op, Advance)]
    scene.wait(100)
    scene.store_answers = True
    assert [] == scene.taken(type(call)), "silence counts for accepted work alone"


def test_a_handler_that_dies_takes_what_it_accepted_with_it() -> None:
    scene = CoreScene()
    call = scene.accept(message("m", "a"))
    scene.turn(ev.HandlerGone("exit 1", died=True))
    record = scene.state.records["m"]
    assert ("interrupted", 1, 0) == (outcome(scene), record.interruptions, record.failures)
    assert Refusal.OVER is refusal(scene.speak(call, ALIVE))


def refusal(heard: Heard | None) -> Refusal | None:
    assert heard is not None
    return heard.refusal


def test_a_handler_that_is_only_out_of_reach_goes_on_with_what_it_accepted() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    scene.turn(ev.HandlerGone("/healthz answered 503"))
    assert HEARD == scene.speak(call, Complete())
    assert State.SUCCEEDED is scene.state.records["m"].state


@pytest.mark.parametrize(
    ("words", "state", "said"),
    [
        (GiveUp(), State.RETRYING, "retry"),
        (GiveUp("retry", "30"), State.RETRYING, "retry"),
        (GiveUp("dead-letter", None, b"hopeless"), State.DEAD, "dead-letter"),
    ],
)
def test_giving_up(words: GiveUp, state: State, said: str) -> None:
    scene = CoreScene()
    assert HEARD == scene.speak(scene.accept(message("m")), words)
    assert (state, said) == (scene.state.records["m"].state, outcome(scene))


def test_giving_up_says_when_to_come_back() -> None:
    scene = CoreScene()
    scene.speak(scene.accept(message("m")), GiveUp("retry", "30"))
    scene.wait(29)
    assert [] == scene.called()
    scene.wait(2)
    assert [("m", 2)] == scene.called()


def test_what_was_said_while_the_call_ran_wins_over_its_answer() -> None:
    for answer in (OK, Answer(500), Answer(202, outcome="accepted"), NoAnswer("lost"), NoAnswer("timeout")):
        scene = CoreScene()
        call = scene.start(message("m"))
        assert HEARD == scene.speak(call, Complete(None, b"mine"))
        assert State.RUNNING is scene.state.records["m"].state, "the call has not ended"
        scene.end(call, answer)
        ending = scene.state.records["m"].ending
        assert ending is not None
        assert b"mine" == ending.body


def test_the_same_end_may_be_said_again_and_no_other() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    ended = [refusal(scene.speak(call, words)) for words in (Complete(), Complete(), GiveUp())]
    assert [None, None, Refusal.OVER] == ended
    scene.end(call)
    after = [refusal(scene.speak(call, words)) for words in (Complete(), GiveUp("dead-letter"), ALIVE)]
    assert [None, Refusal.OVER, Refusal.OVER] == after


def test_an_end_is_answered_once_the_store_has_it() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    scene.store_answers = False
    said: list[Words] = [Complete(), Complete(), GiveUp(), ALIVE, Emit(message("x"))]
    assert [] == scene.speak_all(call, *said), "none knows yet whether it counts"
    assert ["Commit"] == operations(scene.asked[0])
    scene.answer()
    assert [Refusal.OVER, Refusal.OVER] == [heard.refusal for heard in scene.heard()], "heartbeat and emission"
    assert ["Recall"] * 3 == operations(scene.asked[0])
    scene.answer()
    assert [None, None, Refusal.OVER] == [heard.refusal for heard in scene.heard()]


def test_an_end_whose_commit_is_refused_is_too_late() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    scene.state.locks.clear()
    assert Refusal.OVER is refusal(scene.speak(call, Complete()))


def test_an_end_that_the_store_did_not_answer_is_told_again() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    scene.store_answers = False
    scene.speak(call, Complete())
    scene.fail(applied=True)
    assert [] == scene.heard()
    scene.store_answers = True
    scene.wait(0.3)
    assert [HEARD] == scene.heard()


def test_a_stranger_is_told_that_it_is_over() -> None:
    scene = CoreScene()
    scene.accept(message("m"))
    stranger = Speaker("m", 1, 1, 99)
    scene.turn(ev.Spoken(1, stranger, ALIVE), ev.Spoken(2, Speaker("x", 1, 1, 1), Complete()))
    assert [Refusal.OVER] * 2 == [heard.refusal for heard in scene.heard()]


def test_the_end_of_an_earlier_attempt_is_recalled_from_the_store() -> None:
    scene = CoreScene()
    first = scene.accept(message("m"))
    scene.speak(first, GiveUp("retry", "1"))
    scene.wait(1.5)
    assert [("m", 2)] == scene.called()
    said: list[Words] = [GiveUp(), Complete(), WriteSession(None)]
    assert [Refusal.OVER, None, Refusal.OVER] == [heard.refusal for heard in scene.speak_all(first, *said)]
