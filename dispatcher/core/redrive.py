"""Which dead letters a redrive means, and what each is sent back as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from contracts.errors import PermanentError
from contracts.message import DeadLetter, Message
from contracts.problems import Problem, ProblemError
from contracts.timestamps import parse_time

_PARTS: Final = ("ids", "session", "reason", "before", "after")


class Wanted(msgspec.Struct, frozen=True):
    """A choice of dead letters: all that is not None must hold. ``reason`` is looked for inside the reason."""

    ids: frozenset[str] | None = None
    session: str | None = None
    reason: str | None = None
    before: float | None = None
    after: float | None = None

    def holds(self, letter: DeadLetter) -> bool:
        return (
            (self.ids is None or letter.message.id in self.ids)
            and (self.session is None or letter.message.session == self.session)
            and (self.reason is None or self.reason in letter.reason)
            and (self.before is None or letter.dead_at < self.before)
            and (self.after is None or letter.dead_at > self.after)
        )

    def choose(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        return [letter for letter in letters if self.holds(letter)]


def read_wanted(body: object) -> Wanted:
    """``{"all": true}`` or ``{"filter": {…}}``. Raises ``ProblemError`` 400 that names the field."""
    if not isinstance(body, dict) or set(body) not in ({"all"}, {"filter"}):
        raise _bad("the body", f'write {{"all": true}} or {{"filter": {{…}}}} with some of {", ".join(_PARTS)}')
    if "all" in body:
        if body["all"] is not True:
            raise _bad("all", "write true, or a filter instead")
        return Wanted()
    given = body["filter"]
    if not isinstance(given, dict) or not given:
        raise _bad("filter", f'write an object with some of {", ".join(_PARTS)}; for all of them {{"all": true}}')
    for name in given:
        if name not in _PARTS:
            raise _bad(f"filter.{ascii(name[:40])[1:-1]}", f"unknown; allowed: {', '.join(_PARTS)}")
    return Wanted(
        ids=_ids(given),
        session=_text(given, "session"),
        reason=_text(given, "reason"),
        before=_time(given, "before"),
        after=_time(given, "after"),
    )


def next_generation(letter: DeadLetter) -> Message:
    """The same message, its counters at the start. It is still of the time at which it was first accepted."""
    return msgspec.structs.replace(letter.message, generation=letter.message.generation + 1)


def _bad(field: str, problem: str) -> ProblemError:
    return ProblemError(Problem.MALFORMED_REQUEST, f"{field}: {problem}", field=field)


def _ids(given: dict[str, Any]) -> frozenset[str] | None:
    if "ids" not in given:
        return None
    ids = given["ids"]
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise _bad("filter.ids", "write a list of message ids")
    return frozenset(ids)


def _text(given: dict[str, Any], name: str) -> str | None:
    if name not in given:
        return None
    text = given[name]
    if not isinstance(text, str) or not text:
        raise _bad(f"filter.{name}", "write a string that is not empty")
    return text


def _time(given: dict[str, Any], name: str) -> float | None:
    text = _text(given, name)
    if text is None:
        return None
    try:
        return parse_time(text)
    except PermanentError as error:
        raise _bad(f"filter.{name}", str(error)) from error
