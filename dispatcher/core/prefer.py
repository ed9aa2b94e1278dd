"""``Prefer: wait=N`` (RFC 7240): how long a sender wants to wait for the end."""

from __future__ import annotations

import re
from collections.abc import Iterable

from contracts.api import MAX_WAIT_SECONDS
from contracts.problems import Problem, ProblemError

_PREFERENCE = re.compile(r'(?:[^,"]|"[^"]*"?)+')


def read_prefer(values: Iterable[str]) -> int | None:
    """The seconds, cut to the most that is served; None where no wait is preferred.

    Other preferences are passed over, as the RFC has it; of several waits the first holds. Raises ``ProblemError``
    400 for a wait that is no number, since who wrote it means to get a result.
    """
    for value in values:
        for preference in _PREFERENCE.findall(value):
            name, _, seconds = preference.partition(";")[0].partition("=")
            if name.strip().lower() == "wait":
                return _seconds(seconds.strip().strip('"'))
    return None


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ProblemError(
            Problem.MALFORMED_REQUEST,
            f"Prefer: write whole seconds, such as wait=30, got {text[:40]!a}",
            header="Prefer",
        )
    return MAX_WAIT_SECONDS if len(text) > 9 else min(int(text), MAX_WAIT_SECONDS)


def applied(seconds: int) -> str:
    """What ``Preference-Applied`` says."""
    return f"wait={seconds}"
