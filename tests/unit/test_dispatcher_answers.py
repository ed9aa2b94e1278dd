"""How ends, sessions, redrives and changes of queues are told and judged; and that every problem is documented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.message import DeadLetter, Message
from contracts.problems import Problem, ProblemError
from contracts.records import Attempt, Ending, Held, Record, Replica, Report, State
from contracts.workqueue import ManifestError, Spec, WorkQueue
from dispatcher.core.ending import check_kept, tell_ending
from dispatcher.core.manifests import check_change, merge, patched, paused, read_manifest
from dispatcher.core.redrive import next_generation, read_wanted
from dispatcher.core.sessions import list_sessions, nothing_to_release, nothing_to_skip, session_now

DOCS = Path(__file__).parents[2] / "docs" / "problems.md"


def test_every_problem_is_documented_and_none_else() -> None:
    headings = [line[3:] for line in DOCS.read_text().splitlines() if line.startswith("## ")]
    assert sorted(problem.slug for problem in Problem) == sorted(headings)


def test_the_documented_statuses_are_those_that_are_answered() -> None:
    text = DOCS.read_text()
    for problem in Problem:
        assert f"## {problem.slug}\n\n**{problem.status}.** " in text


def _record(state: State, **ending: Any) -> Record:
    end = Ending(state=state, ended_at=100.0, **ending) if state.final else None
    return Record(id="m", state=state, ending=end)


def test_success_is_the_handlers_own_answer() -> None:
    result = tell_ending(_record(State.SUCCEEDED, body=b"x", content_type="text/plain"))
    assert (b"x", "text/plain", "succeeded") == (
        result.body,
        result.headers["Content-Type"],
        result.headers["Kubedaemon-Status"],
    )


@pytest.mark.parametrize("content_type", [None, "", "text/ü", "a\r\nb: c"])
def test_a_content_type_that_no_header_may_hold_is_not_sent_on(content_type: str | None) -> None:
    result = tell_ending(_record(State.SUCCEEDED, content_type=content_type))
    assert "application/octet-stream" == result.headers["Content-Type"]


@pytest.mark.parametrize("state", [State.QUEUED, State.SCHEDULED, State.RUNNING, State.RETRYING])
def test_what_has_not_ended_says_so(state: State) -> None:
    with pytest.raises(ProblemError) as caught:
        tell_ending(_record(state))
    assert (Problem.NOT_ENDED, state.value) == (caught.value.problem, caught.value.extra["state"])


def test_a_bad_end_tells_what_the_handler_said_last() -> None:
    record = _record(State.DEAD, reason="maxAttempts reached", status=500, body=b"\xff" + b"x" * 600)
    with pytest.raises(ProblemError) as caught:
        tell_ending(record)
    assert (500, "\ufffd" + "x" * 511) == (caught.value.extra["handler_status"], caught.value.extra["handler_body"])
    assert caught.value.detail.startswith("maxAttempts reached. ")


def test_a_bad_end_without_a_call_tells_of_none() -> None:
    with pytest.raises(ProblemError) as caught:
        tell_ending(_record(State.EXPIRED))
    assert "handler_status" not in caught.value.extra


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (
            State.DEAD,
            "422: no such file\n",
            "422: no such file. Look at its attempts; once the cause is gone, redrive it.",
        ),
        (State.DEAD, "It is full.", "It is full. Look at its attempts; once the cause is gone, redrive it."),
        (State.CANCELLED, "cancelled", "Send it again if it is wanted after all."),
    ],
)
def test_a_bad_end_is_told_in_whole_sentences(state: State, reason: str, expected: str) -> None:
    with pytest.raises(ProblemError) as caught:
        tell_ending(_record(state, reason=reason))
    assert (expected, reason) == (caught.value.detail, caught.value.extra["reason"])


def test_a_bad_end_falls_back_on_the_last_attempt() -> None:
    record = _record(State.DEAD, reason="no")
    record.attempts = [Attempt(attempt=1, replica="r", started_at=0.0, status=503, body="busy")]
    with pytest.raises(ProblemError) as caught:
        tell_ending(record)
    assert (503, "busy") == (caught.value.extra["handler_status"], caught.value.extra["handler_body"])


def test_results_are_kept_for_their_time_and_bad_ends_longer() -> None:
    check_kept(_record(State.SUCCEEDED), 10, 109.9)
    check_kept(_record(State.DEAD), 10, 1000)
    with pytest.raises(ProblemError) as caught:
        check_kept(_record(State.SUCCEEDED), 10, 110)
    assert Problem.RESULT_GONE is caught.value.problem


def test_a_success_whose_end_is_not_kept_is_gone() -> None:
    with pytest.raises(ProblemError) as caught:
        tell_ending(Record(id="m", state=State.SUCCEEDED))
    assert Problem.RESULT_GONE is caught.value.problem


def test_a_session_counts_what_waits_behind_the_message_that_holds_it() -> None:
    held = [Held(session="a", message_id="1", replica="r", since=0.0, epoch=1)]
    same = Replica(incarnation="r#1", report=Report(waiting=[("a", "1", 3)]))
    other = Replica(incarnation="s#1", report=Report(waiting=[("a", "2", 3), ("b", "7", 0)]))
    assert [("a", "r", "1", 3)] == _rows(list_sessions(held, [same]))
    assert [("a", "r", "1", 4), ("b", None, "7", 1)] == _rows(list_sessions(held, [same, other]))


HELD = Held(session="a", message_id="2", replica="r", since=0.0, epoch=1)


@pytest.mark.parametrize(
    ("held", "reported", "known", "ended", "expected"),
    [
        ([], [], [], None, (None, None, 0)),
        ([], [], ["1", "2"], None, (None, "1", 2)),
        ([], [("a", "1", 1)], ["1"], None, (None, "1", 2)),
        ([], [("a", "x", 0)], [], None, (None, "x", 1)),
        ([], [("b", "1", 5)], [], None, (None, None, 0)),
        ([], [("a", "1", 0)], [], "1", (None, None, 0)),
        ([], [("a", "1", 2)], ["2", "3"], "1", (None, "2", 2)),
        ([], [("a", "1", 2)], ["1", "2", "3"], "1", (None, "2", 2)),
        ([HELD], [("a", "1", 2)], ["3"], "1", ("r", "2", 2)),
        ([HELD], [("a", "2", 1)], ["2", "3"], None, ("r", "2", 1)),
        ([HELD], [], [], None, ("r", "2", 0)),
    ],
)
def test_a_session_is_told_as_it_is_though_reports_are_stale(
    held: list[Held],
    reported: list[tuple[str | None, str, int]],
    known: list[str],
    ended: str | None,
    expected: tuple[Any, ...],
) -> None:
    found = session_now("a", held, [Replica(incarnation="r#1", report=Report(waiting=reported))], known, ended)
    assert expected == tuple(found[name] for name in ("replica", "message_id", "waiting"))


def test_what_cannot_be_ordered_is_told_from_what_is_not_there() -> None:
    nobody, waits = session_now("a", [], [], [], None), session_now("a", [], [], ["1"], None)
    for refuse in (nothing_to_release, nothing_to_skip):
        assert [Problem.UNKNOWN_SESSION, Problem.CONFLICT] == [refuse(nobody).problem, refuse(waits).problem]
        assert refuse(waits).detail.startswith("1 message waits in session 'a', and ")


def _rows(items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(item[name] for name in ("session", "replica", "message_id", "waiting")) for item in items]


def test_a_redriven_message_is_the_same_one_in_its_next_generation() -> None:
    message = Message(namespace="n", queue="q", id="m", generation=3, enqueued_at=5.0, session="s", body=b"x")
    again = next_generation(DeadLetter(message=message, reason="no", dead_at=9.0, attempts=4))
    assert (4, "m", 5.0, "s", b"x") == (again.generation, again.id, again.enqueued_at, again.session, again.body)


def test_a_filter_is_a_conjunction_with_open_ends() -> None:
    message = Message(namespace="n", queue="q", id="m", session="s")
    letter = DeadLetter(message=message, reason="the handler answered 422", dead_at=100.0)
    holds = {
        "ids": ["m"],
        "session": "s",
        "reason": "422",
        "before": "1970-01-01T00:01:41Z",
        "after": "1970-01-01T00:01:39Z",
    }
    assert read_wanted({"filter": holds}).holds(letter)
    wrong = {
        "ids": ["x"],
        "session": "t",
        "reason": "500",
        "before": "1970-01-01T00:01:40Z",
        "after": "1970-01-01T00:01:40Z",
    }
    for name, value in wrong.items():
        assert not read_wanted({"filter": holds | {name: value}}).holds(letter)


def test_merge_patches_are_as_rfc_7396_says() -> None:
    for target, patch, expected in [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({"a": 1}, [1], [1]),
    ]:
        assert expected == merge(target, patch)


def test_a_resumption_is_counted_and_a_pause_is_none() -> None:
    queue = WorkQueue(name="q", resumes=3)
    assert (True, 3) == (paused(queue, True).spec.paused, paused(queue, True).resumes)
    assert (False, 4) == (paused(queue, False).spec.paused, paused(queue, False).resumes)
    assert 3 == patched(queue, {"spec": {"partitions": 8}}).resumes


def test_changes_of_partitions() -> None:
    four = WorkQueue(name="q", spec=Spec(partitions=4))
    for fewer in (1, 2):
        with pytest.raises(ProblemError) as caught:
            check_change(four, WorkQueue(name="q", spec=Spec(partitions=fewer)))
        assert "spec.partitions" == caught.value.extra["field"]
    check_change(four, four)
    check_change(four, WorkQueue(name="q", spec=Spec(partitions=16)))
    check_change(None, WorkQueue(name="q", spec=Spec(partitions=1)))


def test_a_patch_keeps_the_rest_and_is_judged_like_a_manifest() -> None:
    before = read_manifest({"spec": {"partitions": 4}}, "default", "q")
    assert paused(before, True) == patched(before, {"spec": {"paused": True}})
    assert before == patched(before, {})
    with pytest.raises(ManifestError, match=r"spec\.paused"):
        patched(before, {"spec": {"paused": "yes"}})


def test_a_manifest_is_of_the_namespace_of_its_path() -> None:
    assert "team" == read_manifest({}, "team", "q").namespace
    with pytest.raises(ProblemError, match=r"metadata\.namespace"):
        read_manifest({"metadata": {"namespace": "other"}}, "team", "q")
