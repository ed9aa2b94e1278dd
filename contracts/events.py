"""What happens to messages, as the log of a queue keeps it and its readers are given it."""

from __future__ import annotations

import msgspec

from contracts.records import State


class Event(msgspec.Struct, frozen=True, gc=False):
    """A message came to be in this state, at ``at`` (Unix seconds), when so many attempts had been started."""

    id: str
    session: str | None
    state: State
    attempt: int
    at: float


class Stretch(msgspec.Struct, frozen=True):
    """A part of a log, oldest first, each event with its id; ``end`` is where the next stretch begins.

    ``gap``: what was asked for begins earlier than the log does, or at a place that it never had.
    """

    entries: list[tuple[str, Event]]
    end: str
    gap: bool = False
