"""Messages survive the wire, answers settle as the table says, and manifests say what is wrong with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import Answer, NoAnswer, Settle, judge
from contracts.errors import PermanentError
from contracts.message import DeadLetter, Message, decode_dead_letter, decode_message, encode
from contracts.workqueue import ManifestError, WorkQueue, manifest_object, parse_manifest, parse_spec

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
