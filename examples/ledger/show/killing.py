"""Kills a handler while it works: no warning, no last words."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from examples.ledger.show.books import Books
from examples.ledger.show.errors import DemoError
from examples.ledger.show.watch import Sample, Watch

BUSY_SECONDS = 0.5
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Kill:
    """Whom it hit, when, and what was going on."""

    pid: int
    at: float
    last_called_seconds: float
    sample: Sample

    @property
    def under_load(self) -> bool:
        """Whether the victim was at work, with more work waiting."""
        return self.last_called_seconds < BUSY_SECONDS and self.sample.backlog > 0


def descends(pid: int, ancestor: int) -> bool:
    """Whether a running process was started by another, or by one that it started."""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])  # the name before it may hold anything, also ")"
    return False


async def kill(watch: Watch, books: Books, dev_pid: int) -> Kill:
    """Kill the handler that was called last, made sure that it is one of dev's. Raises ``DemoError`` if none is."""
    give_up = watch.seconds + PATIENCE_SECONDS
    while watch.seconds < give_up:
        sample = await watch.look()
        match books.latest_call():
            case (pid, called_at) if pid != dev_pid and descends(pid, dev_pid):
                os.kill(pid, signal.SIGKILL)
                done = Kill(pid, time.time(), time.time() - called_at, sample)
                watch.note(
                    f"killed handler {pid} under load: {sample.in_flight} calls in flight, {sample.waiting} wait"
                )
                return done
        await asyncio.sleep(0.02)
    raise DemoError("no handler of dev's was found that could be killed")
