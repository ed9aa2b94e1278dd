"""What follows from an answer: the tables, and the bounds of every wait."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import Answer, NoAnswer, Settle, judge
from contracts.records import BODY_CUT_BYTES, Ending, State
from contracts.speech import Complete, GiveUp
from contracts.workqueue import Backoff, DeliveryPolicy
from sidecar.core.retry import (
    ACCEPTED,
    JITTER,
    UNDONE,
    Again,
    Decision,
    Past,
    backoff_seconds,
    cut,
    decide,
    decide_finish,
    retry_after_seconds,
    too_many_interruptions,
)

WALL = 1_700_000_000.0
POLICY = DeliveryPolicy(max_attempts=3, max_interruptions=2, backoff=Backoff(initial_seconds=2, max_seconds=60))
FRESH = Past("m", 0, 0)
WORN = Past("m", POLICY.max_attempts - 1, POLICY.max_interruptions)

spans = st.floats(0.001, 1e6)
backoffs = st.builds(
    lambda one, other, multiplier: Backoff(
        initial_seconds=min(one, other), max_seconds=max(one, other), multiplier=multiplier
    ),
    spans,
    spans,
    st.floats(1, 100),
)
policies = st.builds(
    DeliveryPolicy, max_attempts=st.integers(1, 9), max_interruptions=st.integers(0, 9), backoff=backoffs
)
pasts = st.builds(Past, st.text(max_size=8), st.integers(0, 12), st.integers(0, 12))
texts = st.none() | st.text(max_size=12)
answers = st.builds(
    Answer,
    st.integers(100, 999),
    st.sampled_from([None, "ack", "retry", "dead-letter", "accepted", "what", ""]),
    st.sampled_from([None, "0", "7", "1e9", "-1", "9" * 400, "soon", "Fri, 31 Dec 1999 23:59:59 GMT"]) | texts,
    texts,
    st.binary(max_size=20),
)
failures = st.builds(
    NoAnswer,
    st.sampled_from(["refused", "lost", "timeout", "garbage", "too-large", "silent"]),
    st.text(max_size=8),
)


# Waits


@given(backoffs, st.integers(1, 10_000), st.text(max_size=10))
def test_backoff_is_the_wanted_wait_give_or_take_a_fifth(backoff: Backoff, failed: int, name: str) -> None:
    found = backoff_seconds(backoff, failed, name)
    doublings = min(failed - 1, 64)
    wanted = min(backoff.max_seconds, backoff.initial_seconds * backoff.multiplier**doublings)
    assert wanted * (1 - JITTER) * 0.999 <= found <= wanted * (1 + JITTER) * 1.001
    assert found == backoff_seconds(backoff, failed, name), "whoever computes it"


@given(backoffs, st.integers(1, 200))
def test_backoff_grows_on_average(backoff: Backoff, failed: int) -> None:
    def mean(number: int) -> float:
        return sum(backoff_seconds(backoff, number, f"m{one}") for one in range(100)) / 100

    assert mean(failed + 1) >= mean(failed) * 0.85


def test_jitter_spreads_over_its_whole_width() -> None:
    steady = Backoff(initial_seconds=100, max_seconds=100)
    found = sorted(backoff_seconds(steady, 1, f"message-{number}") for number in range(1000))
    assert [True, True] == [found[0] < 81, found[-1] > 119]
    assert 100 == pytest.approx(sum(found) / len(found), rel=0.02)


@given(st.text(max_size=20) | st.from_regex(r"[0-9]{0,3}\.?[0-9]{0,3}"), st.floats(0, 4e9))
def test_retry_after_says_nothing_or_a_wait(value: str, wall: float) -> None:
    found = retry_after_seconds(value, wall)
    assert found is None or (math.isfinite(found) and found >= 0)


@given(st.integers(0, 10**7))
def test_retry_after_is_seconds_or_a_date(seconds: int) -> None:
    assert seconds == retry_after_seconds(f" {seconds} ", WALL)
    date = format_datetime(datetime.fromtimestamp(WALL + seconds, UTC), usegmt=True)
    assert seconds == retry_after_seconds(date, WALL)
    assert 0.0 == retry_after_seconds(date, WALL + seconds + 1), "a date that is over is now"


@pytest.mark.parametrize("value", [None, "", ".", "soon", "-1", "1e3", "٣", "Fri, 32 Dec 1999 23:59:59 GMT"])
def test_what_is_no_retry_after_says_nothing(value: str | None) -> None:
    assert None is retry_after_seconds(value, WALL)


# Decisions

DEAD, SUCCEEDED, RETRIED, INTERRUPTED = "dead", "succeeded", "retried", "interrupted"


def kind(decision: Decision) -> str:
    if isinstance(decision, Ending):
        return decision.state.value
    if isinstance(decision, Again):
        return INTERRUPTED if decision.interrupted else RETRIED
    return {id(UNDONE): "undone", id(ACCEPTED): "accepted"}[id(decision)]


@pytest.mark.parametrize(
    ("answer", "first", "last"),
    [
        (Answer(200), SUCCEEDED, SUCCEEDED),
        (Answer(202), SUCCEEDED, SUCCEEDED),
        (Answer(500, "ack"), SUCCEEDED, SUCCEEDED),
        (Answer(503), RETRIED, DEAD),
        (Answer(429), RETRIED, DEAD),
        (Answer(200, "retry"), RETRIED, DEAD),
        (Answer(200, "perhaps"), RETRIED, DEAD),
        (Answer(500, "accepted"), RETRIED, DEAD),
        (Answer(422), DEAD, DEAD),
        (Answer(301), DEAD, DEAD),
        (Answer(200, "dead-letter"), DEAD, DEAD),
        (Answer(200, " Accepted "), "accepted", "accepted"),
        (NoAnswer("timeout"), RETRIED, DEAD),
        (NoAnswer("garbage"), RETRIED, DEAD),
        (NoAnswer("silent"), RETRIED, DEAD),
        (NoAnswer("too-large"), DEAD, DEAD),
        (NoAnswer("lost"), INTERRUPTED, DEAD),
        (NoAnswer("refused"), "undone", "undone"),
    ],
)
def test_the_table_of_answers(answer: Answer | NoAnswer, first: str, last: str) -> None:
    assert first == kind(decide(answer, POLICY, FRESH, WALL))
    assert last == kind(decide(answer, POLICY, WORN, WALL))


@pytest.mark.parametrize(
    ("finish", "first", "last"),
    [
        (Complete(), SUCCEEDED, SUCCEEDED),
        (GiveUp(), RETRIED, DEAD),
        (GiveUp("dead-letter"), DEAD, DEAD),
    ],
)
def test_the_table_of_what_is_said(finish: Complete | GiveUp, first: str, last: str) -> None:
    assert first == kind(decide_finish(finish, POLICY, FRESH, WALL))
    assert last == kind(decide_finish(finish, POLICY, WORN, WALL))


@pytest.mark.parametrize("status", [200, 202, 299])
def test_a_202_accepts_only_where_the_handler_said_so(status: int) -> None:
    decision = decide(Answer(status), POLICY, FRESH, WALL, asynchronous=True)
    assert ("accepted" if status == 202 else SUCCEEDED) == kind(decision)


@given(answers | failures, policies, pasts, st.booleans())
def test_every_decision_keeps_its_bounds(
    answer: Answer | NoAnswer, policy: DeliveryPolicy, past: Past, asynchronous: bool
) -> None:
    decision = decide(answer, policy, past, WALL, asynchronous=asynchronous)
    if isinstance(decision, Again):
        longest = policy.backoff.max_seconds * (1 + JITTER)
        assert WALL <= decision.due_at <= WALL + longest + 0.001
        left = (
            policy.max_interruptions - past.interruptions
            if decision.interrupted
            else policy.max_attempts - past.failures - 1
        )
        assert left > 0, "attempts are bounded"
    elif isinstance(decision, Ending):
        assert (decision.state is State.DEAD) == bool(decision.reason)
        assert decision.state in (State.SUCCEEDED, State.DEAD)
        assert WALL == decision.ended_at
        assert decision.body == (answer.body if isinstance(answer, Answer) and not decision.reason else b"")
    else:
        settle = judge(answer, asynchronous=asynchronous).settle
        assert settle is (Settle.ACCEPTED if decision is ACCEPTED else Settle.NOT_ATTEMPTED)


@given(answers, policies, pasts)
def test_a_retry_heeds_the_handler_up_to_the_longest_wait(answer: Answer, policy: DeliveryPolicy, past: Past) -> None:
    decision = decide(answer, policy, past, WALL)
    asked = retry_after_seconds(answer.retry_after, WALL)
    if isinstance(decision, Again) and asked is not None:
        assert WALL + min(asked, policy.backoff.max_seconds) == decision.due_at


@given(st.binary(max_size=2 * BODY_CUT_BYTES))
def test_a_body_is_cut_to_text_that_anything_can_carry(body: bytes) -> None:
    text = cut(body)
    assert len(text) <= BODY_CUT_BYTES
    assert text.encode().decode() == text
    if len(body) <= BODY_CUT_BYTES:
        assert body.decode("utf-8", "replace") == text


def test_too_many_interruptions_name_their_number() -> None:
    ending = too_many_interruptions(POLICY, WALL)
    assert (State.DEAD, WALL, "interrupted 3 times: its handler dies or is cut off") == (
        ending.state,
        ending.ended_at,
        ending.reason,
    )
