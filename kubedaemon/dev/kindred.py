"""Which of the processes that run came of a handler, and how they are ended: never one that merely has a used number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kubedaemon.dev.guard import start_of

PATIENCE_SECONDS = 5.0
"""How long the kernel has to end what was killed."""
_PROC = Path("/proc")


class Identity(NamedTuple):
    """One process for ever: its number, which is used again one day, and when it started."""

    pid: int
    start: str


class Seen(NamedTuple):
    """A process that runs. ``session`` is 0 where this machine does not tell."""

    start: str
    parent: int
    group: int
    session: int


Running = Mapping[int, Seen]


class Kin(NamedTuple):
    """Whom a record names."""

    guard: Identity
    handler: Identity


def look() -> dict[int, Seen]:
    """Everything that runs here now; what has ended and only waits for its parent does not."""
    if sys.platform != "linux":
        return _told_by_ps()
    found = {}
    for place in _PROC.iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_bytes().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields and fields[0] not in (b"Z", b"X"):
                found[int(place.name)] = Seen(fields[19].decode(), *(int(field) for field in fields[1:4]))
    return found


def _told_by_ps() -> dict[int, Seen]:
    words = ["ps", "-axo", "pid=,ppid=,pgid=,stat=,lstart="]
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    found = {}
    for line in subprocess.run(words, capture_output=True, text=True, check=False, env=environment).stdout.splitlines():
        pid, parent, group, state, *start = line.split()
        if not state.startswith("Z"):
            found[int(pid)] = Seen(" ".join(start), int(parent), int(group), 0)
    return found


def kindred(kin: Kin, running: Running) -> set[int]:
    """Guard and handler where they run still, their session and group, and whatever descends from any of these.

    The kernel gives a number to nobody else while it names a group or a session. So members may be ours although
    their leader has ended, but not where a stranger has its number.
    """
    guard, handler = kin
    starts = {who: running[who.pid].start if who.pid in running else None for who in kin}
    alive = {who for who in kin if starts[who] == who.start}
    if any(starts[who] not in (None, who.start) for who in kin):
        members = {pid for pid, seen in running.items() if handler in alive and seen.group == handler.pid}
    else:
        members = {
            pid
            for pid, seen in running.items()
            if (seen.session == guard.pid and (guard in alive or seen.group == handler.pid))
            or (seen.group == handler.pid and handler in alive)
        }
    return with_descendants({who.pid for who in alive} | members, running)


def with_descendants(pids: Iterable[int], running: Running) -> set[int]:
    """These, and all that came of them, as far as the parents in between still run."""
    found, more = set[int](), set(pids)
    while more:
        found |= more
        more = {pid for pid, seen in running.items() if seen.parent in more} - found
    return found


def end(find: Callable[[Running], set[int]], guards: set[Identity], grace_seconds: float) -> tuple[set[int], set[int]]:
    """Ends what ``find`` finds, and what it finds then: whom that hit, and who is left after all patience.

    Everyone is asked to end first, if there is grace. The ``guards`` go last: until then they adopt orphans, so that
    those are found.
    """
    began = time.monotonic()
    known: set[Identity] = set()
    asked: set[Identity] = set()
    while True:
        running = look()
        known |= {Identity(pid, running[pid].start) for pid in find(running)}
        left = {who for who in known if who.pid in running and running[who.pid].start == who.start}
        over = time.monotonic() - began
        if not left or over > grace_seconds + PATIENCE_SECONDS:
            return {who.pid for who in known}, {who.pid for who in left}
        others = left - guards
        if over < grace_seconds and others:
            send(signal.SIGTERM, others - asked)
            asked |= others
        else:
            send(signal.SIGKILL, others or left)
        time.sleep(0.005)


def send(number: signal.Signals, everyone: Iterable[Identity]) -> None:
    """Signals exactly these processes; one that has ended is passed over, whoever has its number now."""
    for who in everyone:
        try:
            _send(number, who)
        except (ProcessLookupError, PermissionError):
            pass


def _send(number: signal.Signals, who: Identity) -> None:
    if sys.platform == "linux":
        try:
            handle = os.pidfd_open(who.pid)
        except ProcessLookupError:
            raise
        except OSError:
            pass  # an old kernel, or a container that forbids it
        else:
            # The handle keeps meaning the same process, whatever happens between the look and the signal.
            try:
                if start_of(who.pid) == who.start:
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
            return
    if start_of(who.pid) == who.start:
        os.kill(who.pid, number)
