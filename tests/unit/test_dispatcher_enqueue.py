"""What a sender may say in headers, and what each becomes in the message."""

from __future__ import annotations

import pytest

from contracts.enqueue import Enqueue, read_headers
from contracts.message import DEFAULT_CONTENT_TYPE
from contracts.problems import Problem, ProblemError


def test_nothing_said_is_the_default() -> None:
    assert Enqueue(None, None, DEFAULT_CONTENT_TYPE, {}, {}) == read_headers([("Host", "x"), ("Accept", "*/*")])


def test_everything_is_read_once_and_decoded_once() -> None:
    asked = read_headers(
        [
            ("KUBEDAEMON-SESSION", "a%2520b"),
            ("idempotency-key", "k%20"),
            ("Content-Type", "text/plain"),
            ("Kubedaemon-Meta-Who", "Zo%C3%AB"),
            ("Ce-Id", "%41"),
            ("Traceparent", "00-x"),
        ]
    )
    assert Enqueue("a%20b", "k%20", "text/plain", {"who": "Zoë"}, {"ce-id": "A", "traceparent": "00-x"}) == asked


def test_tracestate_is_passed_on_as_it_is_and_joined() -> None:
    asked = read_headers([("tracestate", "a=50%"), ("tracestate", "b=2")])
    assert {"tracestate": "a=50%,b=2"} == asked.headers


@pytest.mark.parametrize(
    ("headers", "session"),
    [
        ([("ce-partitionkey", "p")], "p"),
        ([("ce-partitionkey", "p"), ("Kubedaemon-Session", "s")], "s"),
        ([("Kubedaemon-Session", "s"), ("ce-partitionkey", "")], "s"),
    ],
)
def test_a_partition_key_is_the_session_where_none_is_named(headers: list[tuple[str, str]], session: str) -> None:
    assert session == read_headers(headers).session


def test_a_session_may_be_255_bytes_of_utf8() -> None:
    assert "é" * 127 + "x" == read_headers([("Kubedaemon-Session", "%C3%A9" * 127 + "x")]).session
    with pytest.raises(ProblemError, match="256 bytes"):
        read_headers([("Kubedaemon-Session", "%C3%A9" * 128)])


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("Kubedaemon-Session", "a%2", "position 2"),
        ("Kubedaemon-Session", "%C3", "not UTF-8"),
        ("Kubedaemon-Session", "%ED%A0%80", "not UTF-8"),
        ("Kubedaemon-Session", "\udcff", "percent-encode"),
        ("Kubedaemon-Session", "a\tb", "percent-encode"),
        ("Idempotency-Key", "", "1 to 255"),
        ("Idempotency-Key", "\x7f", "1 to 255"),
        ("Idempotency-Key", "\udcff", "1 to 255"),
        ("Content-Type", "", "empty"),
        ("Content-Type", "text/\udcff", "printable ASCII"),
        ("Traceparent", "\x01", "printable ASCII"),
        ("Kubedaemon-Meta-", "x", "missing"),
        ("Kubedaemon-Meta-(", "x", "no HTTP token"),
        ("Kubedaemon-Meta-A", "é", "percent-encode"),
        ("Ce-Type", "%G0", "position 1"),
        ("Kubedaemon-Dely", "3s", "did you mean Kubedaemon-Delay?"),
        ("Kubedaemon-Xyzzy", "3s", "no header that Kubedaemon knows"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, says: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_headers([(name, value)])
    assert (Problem.MALFORMED_REQUEST, name) == (caught.value.problem, caught.value.extra["header"])
    assert caught.value.detail.startswith(f"{name}: ")
    assert says in caught.value.detail
    assert caught.value.detail.isprintable()


@pytest.mark.parametrize("name", ["Kubedaemon-Session", "Idempotency-Key", "Content-Type", "Ce-Id", "Traceparent"])
def test_what_may_be_said_once_is_refused_twice(name: str) -> None:
    with pytest.raises(ProblemError, match="is given twice"):
        read_headers([(name, "a"), (name.upper(), "a")])


def test_meta_names_are_compared_as_header_names_are() -> None:
    with pytest.raises(ProblemError, match="is given twice"):
        read_headers([("Kubedaemon-Meta-A", "1"), ("kubedaemon-meta-a", "2")])


def test_identity_is_no_encoding() -> None:
    assert Enqueue() == read_headers([("Content-Encoding", "identity")])


def test_the_message_is_what_was_asked_for() -> None:
    asked = read_headers([("Kubedaemon-Session", "s"), ("Kubedaemon-Meta-A", "1")])
    message = asked.message("team", "orders", "id", 5.0, b"body")
    assert ("team", "orders", "id", 1, 5.0, b"body", "s", {"a": "1"}) == (
        message.namespace,
        message.queue,
        message.id,
        message.generation,
        message.enqueued_at,
        message.body,
        message.session,
        message.meta,
    )
