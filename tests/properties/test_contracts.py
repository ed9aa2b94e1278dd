"""Codecs round-trip, text from outside cannot become anything else, and the pure decisions keep their bounds."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import Answer, NoAnswer, Settle, judge
from contracts.duration import format_duration, parse_duration
from contracts.errors import PermanentError
from contracts.handler import message_heads
from contracts.message import DeadLetter, Message, decode_dead_letter, decode_message, encode
from contracts.text import decode_header, encode_header
from contracts.timestamps import format_time, parse_time
from contracts.workqueue import Backoff, ManifestError, WorkQueue, manifest_object, parse_manifest, parse_spec
from scaler.core.decision import Decision, Observation, Unknown, Wish, decide
from sidecar.core.ownership import assign
from sidecar.core.retry import JITTER, backoff_seconds

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
messages = st.builds(
    Message,
    namespace=st.just("default"),
    queue=st.just("q"),
    id=text.filter(bool),
    body=st.binary(max_size=200),
    session=st.none() | text.filter(bool),
    generation=st.integers(1, 1000),
    content_type=text,
    enqueued_at=st.floats(0, 4e9),
    meta=st.dictionaries(st.from_regex(r"[a-z0-9-]{1,10}", fullmatch=True), text, max_size=4),
)


@given(messages)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert message == decode_message(encode(message))
    letter = DeadLetter(message=message, reason="because", dead_at=1.5, attempts=3)
    assert letter == decode_dead_letter(encode(letter))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_said_to_be_none(data: bytes) -> None:
    try:
        decode_message(data)
    except PermanentError as error:
        assert str(error)


@given(text)
def test_text_survives_a_header_and_adds_nothing_to_it(value: str) -> None:
    encoded = encode_header(value)
    assert all(0x20 <= ord(character) <= 0x7E for character in encoded)
    assert encoded == encoded.strip()
    assert value == decode_header(encoded, "x")


@given(messages)
def test_nothing_that_a_sender_writes_adds_a_header(message: Message) -> None:
    head = message_heads("h:1", "default", "q")(message, 1, "2026-01-01T00:00:00.000Z")
    *lines, empty, nothing = head.decode("ascii").split("\r\n")
    assert ("", "") == (empty, nothing)
    assert 11 + len(message.meta) + (message.session is not None) == len(lines)
    assert all(":" in line for line in lines[1:])


@given(st.floats(0, 1e9))
def test_durations_survive(seconds: float) -> None:
    assert math.isclose(parse_duration(format_duration(seconds)), seconds, abs_tol=0.001)


@given(st.floats(0, 4e9))
def test_times_survive_to_the_millisecond(at: float) -> None:
    assert math.isclose(parse_time(format_time(at)), at, abs_tol=0.0011)


@pytest.mark.parametrize("wrong", ["", "5", "-1s", "1e3s", "1 s", "s", "1w", "\u0661s", "nan s", "1.s"])
def test_what_is_no_duration_is_refused(wrong: str) -> None:
    with pytest.raises(PermanentError, match="duration"):
        parse_duration(wrong)


@given(st.integers(100, 999), st.sampled_from([None, "ack", "retry", "dead-letter", "maybe", ""]))
def test_every_answer_settles_as_the_table_says(status: int, outcome: str | None) -> None:
    verdict = judge(Answer(status, outcome)).settle
    if outcome in ("ack", "retry", "dead-letter"):
        assert outcome == verdict
    elif outcome is not None:
        assert Settle.RETRY is verdict, "an unknown outcome is a failed attempt"
    elif 200 <= status < 300:
        assert Settle.ACK is verdict
    elif status >= 500 or status in (404, 405, 408, 409, 423, 425, 429):
        assert Settle.RETRY is verdict
    else:
        assert Settle.DEAD_LETTER is verdict


def test_calls_without_an_answer_settle_as_the_table_says() -> None:
    assert Settle.NOT_ATTEMPTED is judge(NoAnswer("refused")).settle
    assert Settle.INTERRUPTED is judge(NoAnswer("lost")).settle
    assert Settle.RETRY is judge(NoAnswer("timeout")).settle
    assert Settle.RETRY is judge(NoAnswer("garbage")).settle
    assert "result-too-large" in judge(NoAnswer("too-large")).reason


def test_a_manifest_survives() -> None:
    workqueue = WorkQueue(name="orders", namespace="shop", spec=parse_spec({"partitions": 4}))
    assert workqueue == parse_manifest(manifest_object(workqueue))


@pytest.mark.parametrize(
    ("spec", "path", "says"),
    [
        ({"partitions": 3}, "spec.partitions", "1, 2, 4, 8"),
        ({"partitons": 8}, "spec.partitons", "did you mean 'partitions'"),
        ({"delivery": {"maxAttempts": 0}}, "spec.delivery.maxAttempts", ">= 1"),
        (
            {"delivery": {"backoff": {"initialSeconds": 9, "maxSeconds": 3}}},
            "spec.delivery.backoff.initialSeconds",
            "3",
        ),
        ({"partitions": 2, "scaling": {"maxReplicas": 4}}, "spec.scaling.maxReplicas", "raise spec.partitions"),
        ({"scaling": {"minReplicas": 5, "maxReplicas": 4}}, "spec.scaling.minReplicas", "maxReplicas"),
        ([], "spec", "object"),
    ],
)
def test_a_wrong_spec_names_the_field(spec: object, path: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_spec(spec)
    assert path == ".".join(caught.value.path)
    assert says in str(caught.value)


@given(st.integers(1, 200), st.text(max_size=10))
def test_backoff_grows_within_its_bounds(failures: int, message_id: str) -> None:
    backoff = Backoff(initial_seconds=1, max_seconds=300, multiplier=2)
    wanted = min(300.0, 2.0 ** (failures - 1))
    assert wanted * (1 - JITTER) <= backoff_seconds(backoff, failures, message_id) <= wanted * (1 + JITTER)


names = st.lists(st.sampled_from([f"r{number}" for number in range(9)]), unique=True)


@given(st.lists(st.none() | st.sampled_from([f"r{n}" for n in range(9)]), max_size=64), names, st.integers(1, 64))
def test_assignment_is_balanced_and_moves_only_what_it_must(
    owners: list[str | None], members: list[str], partitions: int
) -> None:
    plan = assign(owners, members, partitions)
    assert partitions == len(plan)
    if not members:
        assert {None} == set(plan)
        return
    counts = [plan.count(member) for member in members]
    assert max(counts) - min(counts) <= 1
    assert plan == assign(plan, members, partitions), "a plan that is balanced stays as it is"
    before = [owners[p] if p < len(owners) else None for p in range(partitions)]
    for member in members:
        had = before.count(member)
        kept = sum(1 for old, new in zip(before, plan, strict=True) if old == new == member)
        assert kept == min(had, plan.count(member)), "nothing moves away that could stay"


observations = st.builds(
    Observation,
    ready=st.integers(0, 10_000),
    unacked=st.integers(0, 500),
    running=st.integers(0, 64),
    working=st.none() | st.integers(0, 8),
    lanes=st.none() | st.integers(0, 500),
    arrivals_per_second=st.floats(0, 1000),
    handling_seconds=st.none() | st.floats(0, 100),
)


@given(observations, st.integers(0, 8), st.integers(0, 8))
def test_decisions_keep_their_bounds(observation: Observation, least: int, before: int) -> None:
    spec = parse_spec({"scaling": {"minReplicas": least}})
    decision = decide(observation, spec, [Wish(95.0, before, True)], 100.0)
    assert isinstance(decision, Decision)
    assert least <= decision.desired <= 8
    assert decision.desired >= before, "within idleSeconds nothing is taken away"
    fresh = decide(observation, spec, [], 100.0)
    assert isinstance(fresh, Decision)
    if (observation.ready or 0) + (observation.unacked or 0) + (observation.running or 0):
        assert fresh.desired >= 1, "never zero while there is work"
    if observation.working is not None:
        assert fresh.desired <= max(1, observation.working, least)
    if observation.lanes is not None:
        assert fresh.desired <= max(1, math.ceil(observation.lanes / 8), least)


@given(observations, st.integers(0, 1000))
def test_more_backlog_never_means_fewer_replicas(observation: Observation, more: int) -> None:

    spec = parse_spec(None)
    grown = msgspec.structs.replace(observation, ready=(observation.ready or 0) + more)
    one, two = decide(observation, spec, [], 0.0), decide(grown, spec, [], 0.0)
    assert isinstance(one, Decision)
    assert isinstance(two, Decision)
    assert two.desired >= one.desired


def test_what_is_unknown_is_never_scaled_down() -> None:
    observation = Observation(
        ready=None, unacked=None, running=None, working=None, lanes=None, arrivals_per_second=0, handling_seconds=None
    )
    assert isinstance(decide(observation, parse_spec(None), [], 0.0), Unknown)
