"""Queries, Prefer and pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.problems import ProblemError
from contracts.records import State
from dispatcher.core.paging import cut_page, decode_cursor, encode_cursor
from dispatcher.core.prefer import applied, read_prefer
from dispatcher.core.query import read_flag, read_limit, read_query, read_session, read_state, read_wait


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([], None),
        ([""], None),
        (["respond-async"], None),
        (["waiting=3"], None),
        (["wait=3"], 3),
        (["WAIT = 3"], 3),
        (['wait="3"'], 3),
        (["wait=3; foo=bar"], 3),
        (["respond-async, wait=3"], 3),
        (["respond-async", "wait=3"], 3),
        (["wait=3, wait=5"], 3),
        (['x="a, wait=9", wait=3'], 3),
        (["wait=0"], 0),
        (["wait=300"], 300),
        (["wait=301"], 300),
        (["wait=" + "9" * 5000], 300),
    ],
)
def test_prefer(values: list[str], seconds: int | None) -> None:
    assert seconds == read_prefer(values)


@pytest.mark.parametrize("value", ["wait", "wait=", "wait=-1", "wait=1.5", "wait=x", "wait=٣", "wait=1 2"])
def test_a_wait_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(ProblemError, match=r"^Prefer: ") as caught:
        read_prefer([value])
    assert 400 == caught.value.problem.status


def test_what_is_applied_says_so() -> None:
    assert "wait=300" == applied(300)


def test_only_known_parameters_once() -> None:
    assert {"a": "1", "b": "2"} == read_query([("a", "1"), ("b", "2")], "a", "b", "c")
    for wrong in ([("x", "1")], [("a", "1"), ("a", "1")], [("\udcff", "")]):
        with pytest.raises(ProblemError) as caught:
            read_query(wrong, "a")
        assert 400 == caught.value.problem.status
        assert caught.value.detail.isprintable()


def test_limits() -> None:
    assert [100, 1, 1000] == [read_limit({}), read_limit({"limit": "1"}), read_limit({"limit": "1000"})]
    for wrong in ("0", "1001", "-1", "", "1.0", "²", "9" * 5000):
        with pytest.raises(ProblemError, match=r"^limit: "):
            read_limit({"limit": wrong})


def test_waits() -> None:
    assert [0, 7, 300] == [read_wait({}), read_wait({"wait": "7"}), read_wait({"wait": "999"})]


def test_states() -> None:
    assert [None, State.DEAD] == [read_state({}), read_state({"state": "dead"})]
    with pytest.raises(ProblemError, match="queued, scheduled, running"):
        read_state({"state": "DEAD"})


def test_sessions() -> None:
    assert [None, "s"] == [read_session({}), read_session({"session": "s"})]
    for wrong in ("", "x" * 256, "\udcff"):
        with pytest.raises(ProblemError, match=r"^session: "):
            read_session({"session": wrong})


def test_flags() -> None:
    given = [{}, {"force": "false"}, {"force": "true"}]
    assert [False, False, True] == [read_flag(query, "force") for query in given]
    with pytest.raises(ProblemError, match="true or false"):
        read_flag({"force": ""}, "force")


@given(st.sets(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.text(alphabet="abc"))), st.integers(1, 5))
def test_pages_put_together_are_the_whole_list(items: set[tuple[float, str]], limit: int) -> None:
    found: list[tuple[float, str]] = []
    after = None
    for _ in range(len(items) + 1):
        page, after = cut_page(items, lambda one: one, tuple[float, str], limit, after)
        assert len(page) <= limit
        found += page
        if after is None:
            break
    assert sorted(items) == found


def test_a_cursor_holds_where_its_item_is_gone() -> None:
    first, after = cut_page("abcd", lambda one: (one,), tuple[str], 2, None)
    assert (["a", "b"], ["c", "d"]) == (first, cut_page("acd", lambda one: (one,), tuple[str], 2, after)[0])


def test_cursors_are_of_one_kind() -> None:
    assert ("a", 1) == decode_cursor(encode_cursor(("a", 1)), tuple[str, int])
    for wrong in ("", "x", "é", "\udcff", encode_cursor((1, "a")), encode_cursor(("a",))):
        with pytest.raises(ProblemError, match=r"^after: "):
            decode_cursor(wrong, tuple[str, int])
