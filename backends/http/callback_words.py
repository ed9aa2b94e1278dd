"""What a call of the callback API says for its attempt: from head and body to words, and from what was heard back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta

from contracts.message import DEFAULT_CONTENT_TYPE
from contracts.problems import MEDIA_TYPE, Problem, ProblemError
from contracts.records import Progress, SessionState
from contracts.speech import (
    MAX_RESULT_BYTES,
    MAX_STATE_BYTES,
    Beat,
    Complete,
    GiveUp,
    Heard,
    ReadSession,
    Refusal,
    Words,
    WriteSession,
)

A_LITTLE: Final = (16 * 1024, "what this call takes")
"""The longest body, and what says so, where a body says little or nothing at all."""

_OUTCOMES: Final = ("retry", "dead-letter")


class Head(NamedTuple):
    """The head of a request. ``path`` is below the prefix of the API; ``query`` is what is known, decoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """The value of a header, in lower case here; of several they are joined."""
        values = [value for given, value in self.headers if given.lower() == name]
        return ", ".join(values) if values else None


class Reply(NamedTuple):
    """An answer. Headers beside the length are all named here."""

    status: int
    body: bytes
    headers: dict[str, str]


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    named = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
    return Reply(status, msgspec.json.encode(value), named | headers)


def problem_reply(error: ProblemError) -> Reply:
    headers = {"Content-Type": MEDIA_TYPE, "X-Content-Type-Options": "nosniff", **error.headers}
    return Reply(error.problem.status, msgspec.json.encode(error.problem.body(error.detail, **error.extra)), headers)


class Saying(NamedTuple):
    """One call: how long its body may be and what says so, which parameters it knows, what is said and answered."""

    limit_bytes: int
    limited_by: str
    parameters: tuple[str, ...]
    read: Callable[[Head, bytes], Words]
    tell: Callable[[Words, Heard], Reply]


class _Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    note: Annotated[str, Meta(max_length=1000)] | None = None


_progress = msgspec.json.Decoder(_Progress)


def _beat(head: Head, body: bytes) -> Words:
    if not body.strip():
        return Beat(Progress())
    try:
        said = _progress.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ProblemError(
            Problem.MALFORMED_REQUEST,
            f'The body is no progress: {error}. Send {{"percent": 0 to 100, "note": "some text"}}, one of them, or '
            "nothing at all.",
        ) from error
    return Beat(Progress(said.percent, said.note or ""))


def _complete(head: Head, body: bytes) -> Words:
    return Complete(_content_type(head), body)


def _give_up(head: Head, body: bytes) -> Words:
    outcome = head.query.get("outcome", _OUTCOMES[0])
    if outcome not in _OUTCOMES:
        detail = f"outcome: write {' or '.join(_OUTCOMES)}, got {outcome[:40]!a}"
        raise ProblemError(Problem.MALFORMED_REQUEST, detail, parameter="outcome")
    return GiveUp(outcome, head.header("retry-after"), body)


def _read(head: Head, body: bytes) -> Words:
    return ReadSession()


def _write(head: Head, body: bytes) -> Words:
    state = SessionState(body, _content_type(head) or DEFAULT_CONTENT_TYPE)
    return WriteSession(state, head.header("if-match"), head.header("if-none-match"))


def _delete(head: Head, body: bytes) -> Words:
    return WriteSession(None, head.header("if-match"), head.header("if-none-match"))


def _content_type(head: Head) -> str | None:
    """It is given back as a header one day, so it must be fit for one."""
    named = head.header("content-type")
    if named is not None and not (named and named.isascii() and named.isprintable()):
        detail = "Content-Type: is empty, or holds bytes outside printable ASCII"
        raise ProblemError(Problem.MALFORMED_REQUEST, detail, header="Content-Type")
    return named


def _told_progress(words: Words, heard: Heard) -> Reply:
    assert isinstance(words, Beat)
    return json_reply(words.progress)


def _told_outcome(words: Words, heard: Heard) -> Reply:
    return json_reply({"outcome": words.outcome if isinstance(words, GiveUp) else "ack"})


def _told_state(words: Words, heard: Heard) -> Reply:
    state = heard.state
    if state is None:
        raise ProblemError(Problem.UNKNOWN_STATE, "The session has no state. The first PUT makes it.")
    headers = {"Content-Type": state.content_type, "ETag": state.etag, "X-Content-Type-Options": "nosniff"}
    return Reply(200, state.body, headers)


def _told_write(words: Words, heard: Heard) -> Reply:
    return Reply(204, b"", {} if heard.state is None else {"ETag": heard.state.etag})


_A_RESULT = (MAX_RESULT_BYTES, "what a result may have")
_A_STATE = (MAX_STATE_BYTES, "what a session's state may have")

SAYINGS: Final[dict[str, dict[str, Saying]]] = {
    "/message/progress": {"PUT": Saying(*A_LITTLE, (), _beat, _told_progress)},
    "/message/complete": {"POST": Saying(*_A_RESULT, (), _complete, _told_outcome)},
    "/message/fail": {"POST": Saying(*_A_RESULT, ("outcome",), _give_up, _told_outcome)},
    "/session/state": {
        "GET": Saying(*A_LITTLE, (), _read, _told_state),
        "PUT": Saying(*_A_STATE, (), _write, _told_write),
        "DELETE": Saying(*A_LITTLE, (), _delete, _told_write),
    },
}
"""What speaks for an attempt, by path and method."""

_PROBLEMS: Final = {
    Refusal.OVER: Problem.ATTEMPT_OVER,
    Refusal.TOO_LARGE: Problem.PAYLOAD_TOO_LARGE,
    Refusal.NO_SESSION: Problem.NO_SESSION,
    Refusal.MISMATCH: Problem.PRECONDITION_FAILED,
}


def check(heard: Heard) -> Heard:
    """What was heard. Raises ``ProblemError`` where it does not count."""
    if heard.refusal is not None:
        raise ProblemError(_PROBLEMS[heard.refusal], f"{heard.detail[:1].upper()}{heard.detail[1:]}.")
    return heard
