"""Query strings: what is not known is refused, since a filter that is passed over would show or purge too much."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contracts.api import DEFAULT_LIMIT, MAX_LIMIT, MAX_WAIT_SECONDS
from contracts.errors import PermanentError
from contracts.problems import Problem, ProblemError
from contracts.records import State
from contracts.text import check_session

Query = Mapping[str, str]


def malformed(name: str, problem: str) -> ProblemError:
    """A 400 for a part of the query or body."""
    return ProblemError(Problem.MALFORMED_REQUEST, f"{name}: {problem}", parameter=name)


def read_query(given: Iterable[tuple[str, str]], *allowed: str) -> Query:
    """The parameters by name. Raises ``ProblemError`` 400 for one that is not served here, or is given twice."""
    found: dict[str, str] = {}
    for name, value in given:
        if name not in allowed:
            known = f"known here: {', '.join(allowed)}" if allowed else "none is known here"
            raise malformed(ascii(name[:40]), f"an unknown query parameter; {known}")
        if name in found:
            raise malformed(name, "is given twice")
        found[name] = value
    return found


def read_limit(query: Query) -> int:
    """How many items a page has at most."""
    text = query.get("limit", str(DEFAULT_LIMIT))
    number = _whole(text)
    if number is None or not 1 <= number <= MAX_LIMIT:
        raise malformed("limit", f"write a whole number from 1 to {MAX_LIMIT}, got {text[:40]!a}")
    return number


def read_wait(query: Query) -> int:
    """The seconds of ``?wait=N``, cut to the most that is served; 0 where it is not asked for."""
    text = query.get("wait", "0")
    seconds = _whole(text)
    if seconds is None:
        raise malformed("wait", f"write whole seconds, such as wait=30, got {text[:40]!a}")
    return min(seconds, MAX_WAIT_SECONDS)


def read_state(query: Query) -> State | None:
    """The state to show messages of; None is all."""
    text = query.get("state")
    if text is None:
        return None
    try:
        return State(text)
    except ValueError:
        raise malformed("state", f"write one of {', '.join(State)}, got {text[:40]!a}") from None


def read_session(query: Query) -> str | None:
    """The session to show; None is all."""
    text = query.get("session")
    if text is None:
        return None
    try:
        return check_session(text, "session")
    except PermanentError as error:
        raise ProblemError(Problem.MALFORMED_REQUEST, str(error), parameter="session") from error


def read_flag(query: Query, name: str) -> bool:
    """``true`` or ``false``; false where it is not given."""
    text = query.get(name, "false")
    if text not in ("true", "false"):
        raise malformed(name, f"write true or false, got {text[:40]!a}")
    return text == "true"


def _whole(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    return int(text)
