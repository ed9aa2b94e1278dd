"""The sidecar's core: what an answer means for the message, and when and where it waits for its next attempt."""

from __future__ import annotations

import pytest

from contracts.answers import Answer, NoAnswer
from contracts.records import State
from sidecar.core import effects as fx
from sidecar.core import events as ev
from tests.unit.core_scene import FAILED, WALL, CoreScene, message

LOST = NoAnswer("lost", "reset")
GONE = NoAnswer("refused", "nobody listens")
PATIENCE = Answer(503, retry_after="30")


def test_a_failed_attempt_is_repeated_when_its_backoff_is_over() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m1"), message("m2")), FAILED)
    scene.wait(0.79)
    assert [] == scene.called(), "the next of the session does not overtake it"
    scene.wait(0.42)
    assert [("m1", 2)] == scene.called()


def test_retry_after_is_heeded() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")), Answer(503, retry_after="7"))
    scene.wait(6.9)
    assert [] == scene.called()
    scene.wait(0.2)
    assert [("m", 2)] == scene.called()


def test_attempts_end_with_a_dead_letter() -> None:
    scene = CoreScene({"delivery": {"maxAttempts": 2}})
    scene.end(scene.start(message("m")), FAILED)
    scene.wait(2)
    scene.end(scene.call(), FAILED)
    [bury] = scene.taken(fx.Bury)
    assert [("m", 2, "failed 2 times, the last: the handler answered 500: no")] == [
        (letter.message.id, letter.attempts, letter.reason) for letter in bury.letters
    ]
    assert [1] == scene.acked()


def test_an_interruption_is_no_failure_and_waits_for_the_handler_to_be_back() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")), LOST)
    assert ["lost: reset"] == [check.reason for check in scene.taken(fx.CheckHandler)]
    scene.wait(5)
    assert [] == scene.called()
    scene.turn(ev.HandlerReady())
    assert [("m", 2)] == scene.called()
    record = scene.state.records["m"]
    assert (0, 1) == (record.failures, record.interruptions)


def test_a_call_that_was_refused_is_no_attempt() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")), GONE)
    scene.turn(ev.HandlerReady())
    assert [("m", 1)] == scene.called()
    assert 0 == scene.state.records["m"].interruptions


def test_too_many_interruptions_are_the_end() -> None:
    scene = CoreScene({"delivery": {"maxInterruptions": 1}})
    for _ in range(2):
        scene.end(scene.start(message("m")) if not scene.state.records else scene.call(), LOST)
        scene.wait(2)
        scene.turn(ev.HandlerReady())
    [bury] = scene.taken(fx.Bury)
    assert ("interrupted 2 times: its handler dies or is cut off", 2) == (
        bury.letters[0].reason,
        bury.letters[0].attempts,
    )


def test_too_many_interruptions_are_seen_before_a_call_too() -> None:
    """Replicas that die themselves tell nobody: the next one finds it in the record."""
    scene = CoreScene({"delivery": {"maxInterruptions": 1}})
    scene.end(scene.start(message("m", enqueued_at=5.0)), LOST)
    scene.state.records["m"].interruptions = 2
    scene.wait(2)
    scene.turn(ev.HandlerReady())
    assert [] == scene.called()
    [bury] = scene.taken(fx.Bury)
    assert "interrupted 2 times: its handler dies or is cut off" == bury.letters[0].reason
    assert State.DEAD is scene.state.records["m"].state


def test_a_letter_counts_the_calls_that_were_made() -> None:
    scene = CoreScene({"delivery": {"maxInterruptions": 1}})
    scene.end(scene.start(message("m")), LOST)
    scene.state.records["m"].interruptions = 2
    scene.wait(2)
    scene.turn(ev.HandlerReady())
    [bury] = scene.taken(fx.Bury)
    assert scene.state.records["m"].attempt == bury.letters[0].attempts == 1


def test_a_message_whose_time_to_live_is_over_is_not_called() -> None:
    scene = CoreScene()
    scene.deliver(message("m", expires_at=scene.now + WALL))
    assert ([], [1]) == (scene.called(), scene.acked())
    record = scene.state.records["m"]
    assert (State.EXPIRED, 0) == (record.state, record.attempt)
    assert [] == scene.taken(fx.Bury)


def test_a_message_may_live_through_the_attempt_that_began_in_time() -> None:
    scene = CoreScene()
    call = scene.start(message("m", expires_at=scene.now + WALL + 1))
    scene.wait(5)
    scene.end(call)
    assert State.SUCCEEDED is scene.state.records["m"].state


def test_a_message_without_a_session_waits_for_its_retry_outside_the_queue() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m", None)), PATIENCE)
    [delay] = scene.taken(fx.Delay)
    assert [("m", scene.now + WALL + 30)] == [(one.id, due) for one, due in delay.messages]
    assert [1] == scene.acked()
    scene.prove(1)
    scene.wait(30)
    scene.deliver(message("m", None))
    assert [("m", 2)] == scene.called()


def test_a_message_without_a_session_waits_here_where_it_is_not_for_long() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m", None)), Answer(503, retry_after="0.5"))
    assert [] == scene.taken(fx.Delay)
    scene.wait(0.6)
    assert [("m", 2)] == scene.called()


def test_a_delay_that_is_not_known_to_be_held_is_said_again() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    scene.end(scene.start(message("m", None)), PATIENCE)
    scene.sent(ev.Fate.UNKNOWN)
    assert [] == scene.acked()
    scene.wait(0.3)
    scene.sent(ev.Fate.HELD)
    assert [1] == scene.acked()


def test_what_comes_back_late_is_not_let_go_of_by_its_ack() -> None:
    """The ack of a delayed message proves nothing about its end: its record may not expire."""
    scene = CoreScene()
    scene.end(scene.start(message("m", None)), PATIENCE)
    scene.end(scene.start(message("n", None)))
    scene.prove(1, 2)
    assert ["n"] == [message_id for _, message_id, _ in scene.state.expiry]


def test_a_retry_that_is_due_later_is_waited_for_by_whoever_has_it_next() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")), PATIENCE)
    scene.lose()
    scene.wait(1)
    scene.deliver(message("m"), channel=2)
    scene.wait(28)
    assert [] == scene.called()
    scene.wait(1.1)
    assert [("m", 2)] == scene.called()


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (Answer(200, outcome="perhaps", body=b"said"), "unknown Kubedaemon-Outcome: 'perhaps': said"),
        (Answer(200, outcome="perhaps"), "unknown Kubedaemon-Outcome: 'perhaps'"),
        (Answer(200, outcome="retry", body=b"said"), "said"),
        (Answer(500, body=b"said"), "said"),
        (NoAnswer("lost", "reset"), "lost: reset"),
        (NoAnswer("lost"), "lost"),
    ],
)
def test_an_attempt_keeps_what_was_answered(answer: Answer | NoAnswer, shown: str) -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m")), answer)
    assert [shown] == [attempt.body for attempt in scene.state.records["m"].attempts]
