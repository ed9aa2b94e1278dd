"""How a message's end is told over HTTP."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contracts.message import DEFAULT_CONTENT_TYPE
from contracts.problems import Problem, ProblemError
from contracts.records import BODY_CUT_BYTES, Ending, Record, State

STATUS_HEADER: Final = "Kubedaemon-Status"

_PROBLEMS: Final = {
    State.DEAD: (Problem.MESSAGE_DEAD, "Look at its attempts; once the cause is gone, redrive it."),
    State.EXPIRED: (Problem.MESSAGE_EXPIRED, "Send it again with more time to live."),
    State.CANCELLED: (Problem.MESSAGE_CANCELLED, "Send it again if it is wanted after all."),
}
_SANDBOX: Final = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


class Result(msgspec.Struct, frozen=True):
    """A handler's own answer, ready to be sent on."""

    body: bytes
    headers: dict[str, str]


def tell_ending(record: Record) -> Result:
    """The result of a message that succeeded. Raises ``ProblemError`` with what became of any other."""
    ending = record.ending
    if record.state is State.SUCCEEDED and ending is not None:
        content_type = _content_type(ending.content_type)
        return Result(ending.body, {"Content-Type": content_type, STATUS_HEADER: State.SUCCEEDED.value, **_SANDBOX})
    if record.state in _PROBLEMS:
        raise _ended_badly(record, *_PROBLEMS[record.state])
    if record.state is State.SUCCEEDED:
        raise result_gone(record)
    detail = f"The message is {record.state.value}. Ask again later, or wait for the end with ?wait=30."
    raise ProblemError(Problem.NOT_ENDED, detail, id=record.id, state=record.state.value)


def check_kept(record: Record, retention_seconds: float, now: float) -> None:
    """Raises ``ProblemError`` 410 where the result has been kept for as long as the queue says."""
    ending = record.ending
    if record.state is State.SUCCEEDED and ending is not None and now >= ending.ended_at + retention_seconds:
        raise result_gone(record)


def result_gone(record: Record) -> ProblemError:
    return ProblemError(
        Problem.RESULT_GONE,
        "The message succeeded, but its result is no longer kept; spec.results.retentionSeconds says for how long.",
        id=record.id,
    )


def not_cancellable(record: Record) -> ProblemError:
    """Why this message cannot be cancelled (any more), and what can be done instead."""
    state = record.state
    if state is State.DEAD:
        advice = "It will not be tried again, unless it is redriven; if it blocks its session, skip it there."
    elif state.final:
        advice = "It has ended, so there is nothing left to cancel."
    elif record.session is None:
        advice = "It can be cancelled between two attempts; wait for this one to end."
    else:
        advice = "Wait for the attempt to end, or skip the message in its session, or release that and cancel it then."
    detail = f"The message is {state.value}, and only what no attempt has taken up can be cancelled. {advice}"
    return ProblemError(Problem.CONFLICT, detail, id=record.id, state=state.value)


def _ended_badly(record: Record, problem: Problem, advice: str) -> ProblemError:
    ending = record.ending
    reason = ending.reason if ending is not None and ending.reason else ""
    told = reason.strip().rstrip(".")
    said = f"{told}. {advice}" if told not in ("", record.state.value) else advice
    extra: dict[str, Any] = {"id": record.id, "state": record.state.value, "attempt": record.attempt, "reason": reason}
    error = ProblemError(problem, said, **extra, **_words_of_handler(record, ending))
    error.headers[STATUS_HEADER] = record.state.value
    return error


def _words_of_handler(record: Record, ending: Ending | None) -> dict[str, Any]:
    """What the handler said last: its status and the beginning of its body."""
    last = record.attempts[-1] if record.attempts else None
    status = ending.status if ending is not None and ending.status is not None else last and last.status
    if status is None:
        return {}
    body = ending.body[:BODY_CUT_BYTES].decode("utf-8", "replace") if ending is not None and ending.body else ""
    return {"handler_status": status, "handler_body": body or (last.body if last else "")}


def _content_type(stored: str | None) -> str:
    """A handler chose it: what no header may hold is not sent on."""
    if not stored or any(not 0x20 <= ord(character) <= 0x7E for character in stored):
        return DEFAULT_CONTENT_TYPE
    return stored
