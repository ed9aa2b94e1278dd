"""The dispatcher's core: corners that no request of the other tests comes to."""

from __future__ import annotations

import pytest

from contracts.enqueue import read_headers
from contracts.problems import Problem, ProblemError
from contracts.records import Held, Replica, Report
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
