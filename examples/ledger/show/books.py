"""Reads the ledger while handlers write in it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


class Books:
    """The ledger's database, from before it exists on."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def _first(self, query: str, *values: object) -> tuple[object, ...] | None:
        """The first row; None while no handler has opened the ledger yet."""
        if not self._database.exists():
            return None
        try:
            with contextlib.closing(sqlite3.connect(f"{self._database.as_uri()}?mode=ro", uri=True)) as books:
                row: tuple[object, ...] | None = books.execute(query, values).fetchone()
                return row
        except sqlite3.OperationalError:
            return None

    def handled(self) -> int:
        """How many transfers are in the books."""
        match self._first("SELECT max(rowid) FROM entries"):
            case (int(count),):
                return count
        return 0

    def latest_call(self) -> tuple[int, float] | None:
        """The process that was called last, and when."""
        match self._first("SELECT pid, at FROM calls ORDER BY rowid DESC LIMIT 1"):
            case (int(pid), float(at)):
                return pid, at
        return None

    def first_call_at(self) -> float | None:
        """When a handler was called for the first time."""
        return self._time("SELECT min(at) FROM calls")

    def newcomer_at(self, at: float) -> float | None:
        """When, after this moment, a process was called that had never been called before."""
        return self._time("SELECT min(at) FROM calls WHERE pid NOT IN (SELECT pid FROM calls WHERE at <= ?)", at)

    def _time(self, query: str, *values: object) -> float | None:
        match self._first(query, *values):
            case (float(at),):
                return at
        return None
