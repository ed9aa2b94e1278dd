"""Messages that come to the front when they are due: rows on disk, and one timer for the next of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from backends.durable.journal import Journal
from contracts.message import Message, decode_message, encode

ADD: Final = "INSERT INTO delayed VALUES (?, ?, ?, ?)"
TAKE: Final = "DELETE FROM delayed WHERE number = ?"
NEXT: Final = "SELECT min(due_at) FROM delayed"
DUE: Final = "SELECT number, queue, body FROM delayed WHERE due_at <= ? ORDER BY due_at, number LIMIT 64"

_LONGEST_TIMER_SECONDS = 3600.0
"""Far times are approached in steps, so that a change of the wall clock is followed."""

OnDue = Callable[[int, Message], None]


class Timetable:
    """``on_due(queue, message)`` publishes, in the transaction in which the row here is taken away."""

    def __init__(self, journal: Journal, on_due: OnDue) -> None:
        self._journal = journal
        self._on_due = on_due
        self._timer: asyncio.TimerHandle | None = None
        self._moving = False
        ((newest,),) = journal.read("SELECT coalesce(max(number), 0) FROM delayed")
        self._number: int = newest

    def add(self, queue: int, message: Message, due_at: float) -> None:
        self._number += 1
        self._journal.write(ADD, (self._number, queue, due_at, encode(message)))

    def wind(self) -> None:
        """Sets the timer for what is on disk; called after each change of it."""
        if self._moving:
            return
        self.stop()
        ((due_at,),) = self._journal.read(NEXT)
        if due_at is not None:
            left = min(max(0.0, due_at - time.time()), _LONGEST_TIMER_SECONDS)
            self._timer = asyncio.get_running_loop().call_later(left, self._ring)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        """Moves what is due. Until that is on disk it is still to be read here, so that nothing else is moved."""
        self._timer = None
        for number, queue, body in self._journal.read(DUE, (time.time(),)):
            self._moving = True
            self._journal.write(TAKE, (number,))
            self._on_due(queue, decode_message(body))
        self._journal.then(self._moved)

    def _moved(self) -> None:
        self._moving = False
        self.wind()
