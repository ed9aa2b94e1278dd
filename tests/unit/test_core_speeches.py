"""The sidecar's core: messages emitted and session state written during an attempt count with its ack alone."""

from __future__ import annotations

import pytest

from contracts.answers import Answer
from contracts.records import SessionState, State
from contracts.replies import FENCED, FORGOTTEN
from contracts.speech import (
    HEARD,
    MAX_EMITTED,
    MAX_EMITTED_BYTES,
    MAX_RESULT_BYTES,
    MAX_STATE_BYTES,
    Complete,
    Emit,
    Heard,
    ReadSession,
    Refusal,
    Words,
    WriteSession,
)
from sidecar.core import effects as fx
from sidecar.core.events import Fate
from tests.unit.core_scene import FAILED, CoreScene, message

ONE, TWO = SessionState(b"1", "text/plain"), SessionState(b"2", "text/plain")


def refused(heard: Heard | None) -> Refusal | None:
    assert heard is not None
    return heard.refusal


def with_state(state: SessionState) -> tuple[CoreScene, fx.Call]:
    """A scene in which the session has this state, and its next attempt."""
    scene = CoreScene()
    call = scene.start(message("m0"))
    scene.speak(call, WriteSession(state))
    scene.end(call)
    return scene, scene.start(message("m1"))


# Emitted messages


def test_what_is_emitted_is_published_once_the_ack_is_committed_and_before_the_delivery_is_acked() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    call = scene.start(message("m"))
    assert [HEARD] * 3 == scene.speak_all(call, *[Emit(message(name, "t")) for name in ("a", "b", "a")])
    assert [] == scene.sending
    scene.end(call)
    for name in ("a", "b"):
        [publish] = scene.taken(fx.Publish)
        assert [name] == [emitted.id for emitted in publish.messages], "one session's in order, one after the other"
        assert [] == scene.acked()
        scene.sent(Fate.HELD)
    assert [1] == scene.acked()
    assert scene.state.records["m"].marked


@pytest.mark.parametrize("answer", [FAILED, Answer(422)])
def test_what_is_emitted_is_dropped_where_the_attempt_is_not_acked(answer: Answer) -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    scene.speak_all(call, Emit(message("a", "t")), WriteSession(ONE))
    scene.end(call, answer)
    assert ([], {}) == (scene.taken(fx.Publish), scene.state.sessions)
    scene.wait(2)
    for again in scene.calls():
        scene.end(again)
    assert [] == scene.taken(fx.Publish), "the next attempt starts with nothing"


def test_a_message_emits_so_many_and_so_much() -> None:
    scene = CoreScene()
    call = scene.start(message("m", None))
    half = bytes(MAX_EMITTED_BYTES // 2)
    heard = scene.speak_all(call, *[Emit(message(f"e{number}", None, body=half)) for number in range(3)])
    assert [None, None, Refusal.TOO_LARGE] == [one.refusal for one in heard]
    scene.speak_all(call, *[Emit(message(f"f{number}", None)) for number in range(MAX_EMITTED - 2)])
    assert Refusal.TOO_LARGE is refused(scene.speak(call, Emit(message("last", None))))
    assert HEARD == scene.speak(call, Emit(message("f0", None))), "a repeat adds nothing"


def test_a_result_of_the_callback_api_has_a_limit_too() -> None:
    scene = CoreScene()
    call = scene.accept(message("m"))
    assert Refusal.TOO_LARGE is refused(scene.speak(call, Complete(None, bytes(MAX_RESULT_BYTES + 1))))
    assert State.RUNNING is scene.state.records["m"].state
    assert HEARD == scene.speak(call, Complete(None, bytes(MAX_RESULT_BYTES)))


# State


def test_a_session_without_state_has_none() -> None:
    scene = CoreScene()
    assert Heard(state=None) == scene.speak(scene.start(message("m")), ReadSession())


def test_state_is_read_as_it_is_committed_and_then_as_this_attempt_wrote_it() -> None:
    scene, call = with_state(ONE)
    assert Heard(state=ONE) == scene.speak(call, ReadSession())
    assert Heard(state=TWO) == scene.speak(call, WriteSession(TWO))
    assert Heard(state=TWO) == scene.speak(call, ReadSession())
    assert ONE == scene.state.read("s", scene.now), "not before the ack"
    scene.end(call)
    assert TWO == scene.state.read("s", scene.now)


def test_state_is_deleted_with_the_ack() -> None:
    scene, call = with_state(ONE)
    assert [Heard(state=None)] * 2 == scene.speak_all(call, WriteSession(None), ReadSession())
    scene.end(call)
    assert None is scene.state.read("s", scene.now)


def test_a_message_without_a_session_has_no_state() -> None:
    scene = CoreScene()
    call = scene.start(message("m", None))
    assert [Refusal.NO_SESSION] * 2 == [one.refusal for one in scene.speak_all(call, ReadSession(), WriteSession(ONE))]


def test_state_has_a_limit() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    large = SessionState(bytes(MAX_STATE_BYTES + 1), "text/plain")
    assert Refusal.TOO_LARGE is refused(scene.speak(call, WriteSession(large)))


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (WriteSession(TWO, if_match=ONE.etag), None),
        (WriteSession(TWO, if_match=f'"x", {ONE.etag}'), None),
        (WriteSession(TWO, if_match="*"), None),
        (WriteSession(TWO, if_match=TWO.etag), Refusal.MISMATCH),
        (WriteSession(TWO, if_none_match="*"), Refusal.MISMATCH),
        (WriteSession(TWO, if_none_match=ONE.etag), Refusal.MISMATCH),
        (WriteSession(TWO, if_none_match=TWO.etag), None),
        (WriteSession(None, if_match=ONE.etag), None),
    ],
)
def test_a_condition_holds_for_what_is_committed(words: Words, refusal: Refusal | None) -> None:
    scene, call = with_state(ONE)
    assert refusal is refused(scene.speak(call, words))


def test_a_condition_holds_for_what_this_attempt_wrote() -> None:
    scene, call = with_state(ONE)
    said = [WriteSession(TWO), WriteSession(ONE, if_match=ONE.etag), WriteSession(ONE, if_match=TWO.etag)]
    assert [None, Refusal.MISMATCH, None] == [one.refusal for one in scene.speak_all(call, *said)]


def test_a_condition_on_state_that_is_not_there() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    said = [WriteSession(ONE, if_match="*"), WriteSession(ONE, if_none_match="*")]
    assert [Refusal.MISMATCH, None] == [one.refusal for one in scene.speak_all(call, *said)]


def test_what_is_written_while_the_state_is_read_goes_before_it() -> None:
    scene, call = with_state(ONE)
    scene.store_answers = False
    assert None is scene.speak(call, ReadSession())
    assert Heard(state=TWO) == scene.speak(call, WriteSession(TWO))
    scene.answer()
    assert [Heard(state=TWO)] == scene.heard()


def test_a_read_of_an_attempt_that_ended_meanwhile_is_over() -> None:
    scene, call = with_state(ONE)
    scene.store_answers = False
    scene.speak(call, ReadSession())
    scene.end(call)
    scene.answer()
    assert [Refusal.OVER] == [heard.refusal for heard in scene.heard()]


def test_a_read_under_a_lost_lease_is_over() -> None:
    scene, call = with_state(ONE)
    scene.store_answers = False
    scene.speak(call, ReadSession())
    scene.answer(FENCED)
    assert [Refusal.OVER] == [heard.refusal for heard in scene.heard()]


def test_a_read_that_a_new_life_of_the_store_does_not_know_is_asked_again() -> None:
    scene, call = with_state(ONE)
    scene.store_answers = False
    scene.speak(call, ReadSession())
    scene.answer(FORGOTTEN)
    scene.store_answers = True
    scene.wait(0.3)
    assert [Heard(state=ONE)] == scene.heard()
