"""The dispatcher's core: corners that no request of the other tests comes to."""

from __future__ import annotations

import pytest

from contracts.enqueue import read_headers
from contracts.events import Event, Stretch
from contracts.problems import Problem, ProblemError
from contracts.records import Held, Replica, Report, State
from dispatcher.core.access import NAMESPACES_CLAIM, ROLES_CLAIM, read_rights
from dispatcher.core.batch import read_batch
from dispatcher.core.events import framed, greeting, stretch_text
from dispatcher.core.redrive import read_wanted
from dispatcher.core.sessions import list_sessions


@pytest.mark.parametrize("value", ["", "x" * 256])
def test_a_partition_key_that_can_be_no_session_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(ProblemError, match="Ce-Partitionkey") as caught:
        read_headers([("ce-partitionkey", value)])
    assert "Ce-Partitionkey" == caught.value.extra["header"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"filter": {"ids": "m1"}}, "filter.ids"),
        ({"filter": {"ids": ["m1", 2]}}, "filter.ids"),
        ({"filter": {"session": 5}}, "filter.session"),
        ({"filter": {"reason": ""}}, "filter.reason"),
        ({"filter": {"before": 5}}, "filter.before"),
        ({"filter": {"after": "yesterday"}}, "filter.after"),
        ({"filter": {"idz": ["m1"]}}, "filter.idz"),
        ({"filter": {}}, "filter"),
        ({"all": False}, "all"),
        ({"all": True, "filter": {}}, "the body"),
        (["all"], "the body"),
    ],
)
def test_a_choice_of_dead_letters_that_cannot_be_meant_names_its_field(body: object, field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_wanted(body)
    assert (Problem.MALFORMED_REQUEST, field) == (caught.value.problem, caught.value.extra["field"])


def test_messages_without_a_session_are_in_no_list_of_sessions() -> None:
    held = [Held(session=None, message_id="m", replica="r", since=0.0, epoch=1)]
    replica = Replica(incarnation="r#1", report=Report(waiting=[(None, "n", 0)]))
    assert [] == list_sessions(held, [replica])


def test_events_are_written_as_a_stream_and_a_gap_has_an_id_where_no_event_follows() -> None:
    event = Event("m1", "s", State.RUNNING, 1, 1_767_225_600.0)
    data = '{"id":"m1","queue":"q","session":"s","state":"running","attempt":1,"at":"2026-01-01T00:00:00.000Z"}'
    told = f"id: x-1\nevent: message.running\ndata: {data}\n\n"
    gap = 'event: gap\ndata: {"queue":"q"}\n\n'
    assert told.encode() == stretch_text("q", Stretch([("x-1", event)], "x-1", False))
    assert (gap + told).encode() == stretch_text("q", Stretch([("x-1", event)], "x-1", True))
    assert f"id: x-9\n{gap}".encode() == stretch_text("q", Stretch([], "x-9", True))
    assert b"" == stretch_text("q", Stretch([], "x-9", False))
    assert (b"id: x-9\n\n", b"3\r\nabc\r\n") == (greeting("x-9"), framed(b"abc"))


def test_a_batch_of_events_takes_no_key_from_its_head() -> None:
    head = read_headers([("content-type", "application/cloudevents-batch+json"), ("idempotency-key", "k")])
    with pytest.raises(ProblemError, match="names one message"):
        read_batch(head, b"[]", 1000)


@pytest.mark.parametrize("claims", [{"kubedaemon.roles": "admin"}, {"kubedaemon": {"roles": ["admin", 5]}}])
def test_claims_of_another_shape_are_refused_by_their_name(claims: dict[str, object]) -> None:
    with pytest.raises(ProblemError, match=r"kubedaemon\.roles") as caught:
        read_rights(claims, NAMESPACES_CLAIM, ROLES_CLAIM, 0.0)
    assert Problem.UNAUTHORIZED is caught.value.problem


def test_a_token_that_says_nothing_gives_no_rights() -> None:
    rights = read_rights({}, NAMESPACES_CLAIM, ROLES_CLAIM, 5.0)
    assert (frozenset(), frozenset(), 5.0) == (rights.namespaces, rights.roles, rights.expires_at)
