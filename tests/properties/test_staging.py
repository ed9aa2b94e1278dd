"""What an attempt stages: limits, conditions, and the waves in which its messages are published."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from contracts.message import DeadLetter, Message
from contracts.records import SessionState
from contracts.speech import (
    HEARD,
    MAX_EMITTED,
    MAX_EMITTED_BYTES,
    MAX_STATE_BYTES,
    Complete,
    GiveUp,
    Refusal,
)
from sidecar.core.endings import waves
from sidecar.core.staging import Staged, holds, outcome_of

few = st.sampled_from(["a", "b", "c"])
states = st.none() | st.builds(SessionState, st.binary(max_size=4), few)
finishes = st.builds(Complete, st.none(), st.binary(max_size=3)) | st.builds(
    GiveUp, st.sampled_from(["retry", "dead-letter"])
)
emitted = st.lists(
    st.builds(
        Message,
        namespace=st.just("default"),
        queue=few,
        id=st.uuids().map(str),
        session=st.none() | few,
    ),
    max_size=30,
)

BODIES = [bytes(MAX_EMITTED_BYTES // 16 * part) for part in (0, 1, 5, 8)]


# Emitted messages


@given(st.lists(st.tuples(few, st.sampled_from("12345678"), st.sampled_from(BODIES)), max_size=40))
def test_what_is_emitted_is_kept_once_in_order_and_within_its_bytes(sent: list[tuple[str, str, bytes]]) -> None:
    staged, kept, size = Staged(), {}, 0
    for queue, name, body in sent:
        message = Message(namespace="default", queue=queue, id=name, body=body)
        known = (queue, name) in kept
        fits = size + len(body) <= MAX_EMITTED_BYTES
        heard = staged.emit(message)
        assert (None if known or fits else Refusal.TOO_LARGE) is heard.refusal
        if not known and fits:
            kept[queue, name] = message
            size += len(body)
    assert list(kept.items()) == list(staged.emitted.items()), "the first of each name"
    assert size == staged.emitted_bytes


def test_so_many_and_no_more() -> None:
    staged = Staged()
    sent = [Message(namespace="default", queue="q", id=f"m{number}") for number in range(MAX_EMITTED + 1)]
    refused = [message.id for message in sent if staged.emit(message).refusal is not None]
    assert [sent[-1].id] == refused
    assert HEARD == staged.emit(sent[0])


@given(emitted)
def test_waves_hold_everything_once_and_a_session_once_each(messages: list[Message]) -> None:
    found = waves(messages)
    assert sorted(one.id for one in messages) == sorted(one.id for wave in found for one in plain(wave))
    for wave in found:
        assert wave
        lanes = [(one.queue, one.lane) for one in plain(wave)]
        assert len(set(lanes)) == len(lanes)


@given(emitted)
def test_waves_keep_the_order_of_each_session(messages: list[Message]) -> None:
    turn = {one.id: number for number, wave in enumerate(waves(messages)) for one in plain(wave)}
    for lane in {(one.queue, one.lane) for one in messages}:
        turns = [turn[one.id] for one in messages if (one.queue, one.lane) == lane]
        assert all(one < other for one, other in pairwise(turns))


@given(emitted)
def test_there_are_no_more_waves_than_a_session_has_messages(messages: list[Message]) -> None:
    lanes = [(one.queue, one.lane) for one in messages]
    assert max((lanes.count(lane) for lane in lanes), default=0) == len(waves(messages))


def plain(wave: list[Message | DeadLetter]) -> list[Message]:
    return [one for one in wave if isinstance(one, Message)]


# State


@given(states, states)
def test_an_etag_tells_two_states_apart(one: SessionState | None, other: SessionState | None) -> None:
    if one is not None and other is not None:
        assert (one == other) == (one.etag == other.etag)
        assert one.etag[0] == one.etag[-1] == '"'
        assert one.etag.isascii()
        assert "," not in one.etag


@given(states, st.lists(states.filter(bool), max_size=3), st.booleans())
def test_a_condition_names_what_is_there(state: SessionState | None, named: list[SessionState], any_of: bool) -> None:
    condition = ", ".join(one.etag for one in named) or "nothing"
    expected = state is not None and state in named
    if any_of:
        condition, expected = " * ", state is not None
    assert expected == holds(state, condition, None)
    assert (not expected) == holds(state, None, condition)
    assert not holds(state, condition, condition)
    assert holds(state, None, None)


@given(st.text(max_size=20), st.text(max_size=20), states)
def test_whatever_is_written_as_a_condition_is_judged(one: str, other: str, state: SessionState | None) -> None:
    assert holds(state, one, other) in (True, False)


@given(st.lists(states, min_size=1, max_size=5))
def test_what_was_written_last_is_what_is_kept(written: list[SessionState | None]) -> None:
    staged = Staged()
    assert not staged.wrote
    assert written == [staged.write(one).state for one in written]
    assert (written[-1], True) == (staged.state, staged.wrote)


def test_a_state_that_is_too_large_changes_nothing() -> None:
    staged = Staged()
    largest = SessionState(bytes(MAX_STATE_BYTES), "a/b")
    assert [None, Refusal.TOO_LARGE] == [
        staged.write(largest).refusal,
        staged.write(SessionState(bytes(MAX_STATE_BYTES + 1), "a/b")).refusal,
    ]
    assert largest == staged.state


# The end


@given(st.lists(finishes, min_size=1, max_size=5))
def test_the_first_end_holds_and_only_the_same_may_follow(said: list[Complete | GiveUp]) -> None:
    staged = Staged()
    heard = [staged.end(one).refusal for one in said]
    assert said[0] is staged.finish
    assert [None if outcome_of(one) == outcome_of(said[0]) else Refusal.OVER for one in said] == heard
