"""The guards of one ``dev``: started with a record each, and cleaned up after where one was killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubedaemon.dev.guard import adopt_orphans, children
from kubedaemon.dev.kindred import Running, end, kindred, with_descendants
from kubedaemon.dev.leftovers import Records, read_record

_GUARD = str(Path(__file__).with_name("guard.py"))


class Guarded:
    """A guard that was started, with its handler."""

    def __init__(self, process: Process, record: str) -> None:
        self.process = process
        self.record = record


class Guards:
    """Knows which children of this process are guards; any other child is an orphan of a guard that was killed."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._pids: set[int] = set()
        self._starting = asyncio.Lock()
        adopt_orphans()

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> Guarded:
        """Raises ``OSError`` where this machine starts no process any more."""
        record = self._records.another()
        async with self._starting:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-S", "-E", _GUARD, record, *command),
                stdin=PIPE,
                stdout=PIPE,
                stderr=STDOUT,
                env=environment,
                start_new_session=True,
            )
            self._pids.add(process.pid)
        return Guarded(process, record)

    async def clean_up(self, guarded: Guarded) -> None:
        """After its end: what it should have ended itself, and did not, is ended now."""
        # While one is being started, it could not be told from an orphan.
        async with self._starting:
            self._pids.discard(guarded.process.pid)
            if (guarded.process.returncode or 0) < 0 or (guarded.record and Path(guarded.record).exists()):
                await asyncio.to_thread(self._end_kindred, guarded)

    def _end_kindred(self, guarded: Guarded) -> None:
        kin = None
        with contextlib.suppress(OSError, ValueError):
            kin = read_record(Path(guarded.record))

        def find(running: Running) -> set[int]:
            orphans = set[int]()
            if sys.platform == "linux":  # only there are they adopted
                orphans = {pid for pid, seen in running.items() if seen.parent == os.getpid()} - self._pids
            return with_descendants(orphans, running) | (kindred(kin, running) if kin is not None else set())

        _, left = end(find, set(), 0.0)
        for pid in set(children()) - self._pids:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if not left and kin is not None:
            Path(guarded.record).unlink(missing_ok=True)
