"""Group commit: what is written in one turn of the loop, and while a commit is under way, goes to disk together.

Writing never waits. Whoever must not be believed before it is on disk asks ``on_disk`` or ``then``.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from backends.durable.schema import open_file
from contracts.errors import TransientError

Row = Sequence[Any]
Group = tuple[str, list[Row]]
Then = Callable[[], None]

_AWAY: Final = "the data directory cannot be written"


class Journal:
    """The one file. Once the disk refuses, ``on_failure`` is told in a sentence, and nothing is confirmed any more."""

    def __init__(self, path: Path) -> None:
        self._writer, self._reader = open_file(path)
        self._path = path
        self._groups: list[Group] = []
        self._sources: list[Callable[[], None]] = []
        self._next: list[Then] = []
        self._under_way: list[Then] | None = None
        self._changed = False
        self._flushing = False
        self._waiting: set[asyncio.Future[None]] = set()
        self._problem: str | None = None
        self.on_failure: Callable[[str], None] = lambda problem: None
        self._work: queue.SimpleQueue[tuple[list[Group], asyncio.AbstractEventLoop] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="committing", daemon=True)
        self._thread.start()

    def source(self, write: Callable[[], None]) -> None:
        """``write`` is called before each commit, to write the present state of what has changed since the last."""
        self._sources.append(write)

    def write(self, statement: str, row: Row) -> None:
        """Has the statement executed with this row in the next commit, after all that was written before."""
        groups = self._groups
        if groups and groups[-1][0] is statement:
            groups[-1][1].append(row)
        else:
            groups.append((statement, [row]))
        if not self._changed:
            self.change()

    def change(self) -> None:
        """There is something to commit."""
        self._changed = True
        if self._under_way is None and not self._flushing:
            self._flushing = True
            self.soon(self._flush)

    def read(self, statement: str, row: Row = ()) -> list[Any]:
        """What is committed. Rows of commits that were not reported yet may be among it."""
        try:
            return self._reader.execute(statement, row).fetchall()
        except sqlite3.Error as error:
            self.fail(str(error))
            raise TransientError(f"{_AWAY}: {error}") from error

    def soon(self, callback: Then) -> None:
        """Calls back in the loop's next turn."""
        asyncio.get_running_loop().call_soon(callback)

    def then(self, callback: Then) -> None:
        """Calls back once all that has been written until now is on disk; never from inside, and in order."""
        if self._changed:
            self._next.append(callback)
        elif self._under_way is not None:
            self._under_way.append(callback)
        else:
            self.soon(callback)

    async def on_disk(self) -> None:
        """Returns once all that has been written until now is on disk. ``TransientError``: that is not known."""
        if self._problem is not None:
            raise TransientError(f"{_AWAY}: {self._problem}")
        if not self._changed and self._under_way is None:
            return
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(reached)
        self.then(lambda: None if reached.done() else reached.set_result(None))
        try:
            await reached
        finally:
            self._waiting.discard(reached)

    def _flush(self) -> None:
        self._flushing = False
        if self._under_way is not None or not self._changed or self._problem is not None:
            return
        for source in self._sources:
            source()
        groups, self._groups = self._groups, []
        self._under_way, self._next = self._next, []
        self._changed = False
        self._work.put((groups, asyncio.get_running_loop()))

    def _committed(self, problem: str | None) -> None:
        done, self._under_way = self._under_way or [], None
        if problem is not None:
            self.fail(problem)
            return
        for callback in done:
            callback()
        if self._changed:
            # Not at once: whom these callbacks have woken may have something to add.
            self.change()

    def fail(self, problem: str) -> None:
        """Nothing is on disk any more from now on, and everybody is told."""
        if self._problem is not None:
            return
        self._problem = problem
        for reached in self._waiting:
            if not reached.done():
                reached.set_exception(TransientError(f"{_AWAY}: {problem}"))
        self.on_failure(f"{self._path} cannot be written: {problem}")

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            groups, loop = work
            problem = self._commit(groups)
            try:
                loop.call_soon_threadsafe(self._committed, problem)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits any more
                return

    def _commit(self, groups: list[Group]) -> str | None:
        """Why it could not be done; None once it is on disk."""
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            for statement, rows in groups:
                self._writer.executemany(statement, rows)
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            return str(error)
        return None

    async def close(self) -> None:
        """Commits what is left and lets go of the file."""
        try:
            await self.on_disk()
        except TransientError:
            pass  # it was said when it happened
        await asyncio.to_thread(self.abandon)

    def abandon(self) -> None:
        """Lets go of the file as it is."""
        self._work.put(None)
        self._thread.join()
        self._reader.close()
        self._writer.close()
