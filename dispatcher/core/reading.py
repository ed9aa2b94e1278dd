"""From records to answers: how a message's end is told over HTTP, and how lists are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.api import DEFAULT_LIMIT, MAX_LIMIT
from contracts.errors import PermanentError
from contracts.message import DeadLetter
from contracts.problems import Problem, ProblemError
from contracts.records import Record, State
from contracts.timestamps import parse_time

_ENDS = {
    State.DEAD: Problem.MESSAGE_DEAD,
    State.EXPIRED: Problem.MESSAGE_EXPIRED,
    State.CANCELLED: Problem.MESSAGE_CANCELLED,
}


def ended_badly(record: Record) -> ProblemError | None:
    """The problem that a message without a result is answered with; None for one that succeeded or goes on."""
    problem = _ENDS.get(record.state)
    if problem is None:
        return None
    ending, last = record.ending, record.attempts[-1] if record.attempts else None
    extra: dict[str, Any] = {"id": record.id, "attempt": record.attempt}
    if last is not None and last.status is not None:
        extra |= {"handler_status": last.status, "handler_body": last.body}
    return ProblemError(problem, (ending and ending.reason) or f"The message ended as {record.state}.", **extra)


def read_page(query: Mapping[str, str]) -> tuple[int, str | None]:
    """``limit`` and ``after`` of a list."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MAX_LIMIT:
        raise ProblemError(Problem.MALFORMED_REQUEST, f"limit: write a number from 1 to {MAX_LIMIT}, got {text[:40]!r}")
    return int(text), query.get("after")


def read_state(query: Mapping[str, str]) -> State | None:
    text = query.get("state")
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        allowed = ", ".join(State)
        raise ProblemError(Problem.MALFORMED_REQUEST, f"state: one of {allowed}, got {text[:40]!r}") from None


def select(body: object, letters: list[DeadLetter]) -> list[DeadLetter]:
    """The dead letters that a redrive names: ``{"all": true}`` or ``{"filter": {…}}``, whose parts must all hold."""
    if not isinstance(body, dict) or set(body) not in ({"all"}, {"filter"}):
        raise _bad('the body: write {"all": true} or {"filter": {"ids": […], "session", "reason", "before", "after"}}')
    if "all" in body:
        if body["all"] is not True:
            raise _bad("all: write true, or a filter instead")
        return letters
    wanted = body["filter"]
    if not isinstance(wanted, dict) or not wanted:
        raise _bad("filter: write an object with at least one of ids, session, reason, before, after")
    unknown = set(wanted) - {"ids", "session", "reason", "before", "after"}
    if unknown:
        raise _bad(f"filter.{min(unknown)}: unknown; allowed: ids, session, reason, before, after")
    ids = wanted.get("ids")
    if ids is not None and not (isinstance(ids, list) and all(isinstance(one, str) for one in ids)):
        raise _bad("filter.ids: write a list of message ids")
    for name in ("session", "reason"):
        if name in wanted and not isinstance(wanted[name], str):
            raise _bad(f"filter.{name}: write a string")
    before, after = _time(wanted, "before"), _time(wanted, "after")
    return [
        letter
        for letter in letters
        if (ids is None or letter.message.id in ids)
        and ("session" not in wanted or letter.message.session == wanted["session"])
        and ("reason" not in wanted or wanted["reason"] in letter.reason)
        and (before is None or letter.dead_at < before)
        and (after is None or letter.dead_at > after)
    ]


def _time(wanted: dict[str, Any], name: str) -> float | None:
    if name not in wanted:
        return None
    try:
        return parse_time(str(wanted[name]))
    except PermanentError as error:
        raise _bad(f"filter.{name}: {error}") from error


def _bad(detail: str) -> ProblemError:
    return ProblemError(Problem.MALFORMED_REQUEST, detail)


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: members of ``patch`` replace those of ``target``, null takes one away."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
