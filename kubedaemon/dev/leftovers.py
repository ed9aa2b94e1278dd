"""Handlers die with ``dev``, however it dies; and what outlived it all the same is ended when the next one starts.

Every ``dev`` has a directory of its own, in which each guard keeps a record of itself and its handler for as long as
they run. The directory is locked while its ``dev`` lives: the kernel takes the lock away however that ends. So a
directory without a lock is a dead one's, and a record in it names what was left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kubedaemon.dev.guard import ABANDONED_GRACE_SECONDS
from kubedaemon.dev.kindred import Identity, Kin, Running, end, kindred

Say = Callable[[str], None]


class Records:
    """Where the guards of one ``dev`` keep their records. Without a directory none are kept."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)

    def another(self) -> str:
        """The path of a record that does not exist yet; nothing where none are kept."""
        return "" if self._directory is None else str(self._directory / str(next(self._numbers)))


@contextlib.contextmanager
def keeping_records(say: Say) -> Iterator[Records]:
    """Ends what earlier ones left behind, and keeps records for as long as this lasts."""
    try:
        home = _home()
        end_leftovers(home, say)
        directory, lock = _claim(home)
    except OSError as error:
        why = f"{error.filename}: {error.strerror}" if error.strerror else error
        say(f"should this be killed, handlers that outlive it would not be found again: {why}")
        directory, lock = None, None
    try:
        yield Records(directory)
    finally:
        if directory is not None and lock is not None:
            # What could not be ended is on record still; the next one tries again.
            if not read_records(directory):
                shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)


def _home() -> Path:
    """The user's own directory for all of them. Raises ``OSError`` where it is not safe to trust what is in it."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and _belongs_to_us(Path(runtime)):
        home = Path(runtime) / "kubedaemon"
    else:
        home = Path(tempfile.gettempdir()) / f"kubedaemon-{os.geteuid()}"
    home.mkdir(mode=0o700, exist_ok=True)
    if not _belongs_to_us(home):
        raise OSError(f"{home} does not belong to this user; remove it")
    if stat.S_IMODE(home.lstat().st_mode) & 0o077:
        raise OSError(f"{home} is open to others; run chmod 700 {home}")
    return home


def _belongs_to_us(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _here() -> str:
    """This boot and this container: process ids and starts mean nothing in another one."""
    parts = []
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.blake2b(" ".join(parts).encode(), digest_size=4).hexdigest()


def _lock(directory: Path) -> int | None:
    """Holds the directory until the file descriptor is closed; None where another does, or it is gone."""
    handle = None
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        if handle is not None:
            os.close(handle)
        return None
    return handle


def _claim(home: Path) -> tuple[Path, int]:
    """A directory of one's own, locked before it has a name under which others look."""
    unnamed = Path(tempfile.mkdtemp(prefix=".", dir=home))
    lock = _lock(unnamed)
    if lock is None:
        unnamed.rmdir()
        raise OSError(f"{unnamed} cannot be locked")
    return unnamed.rename(home / f"dev-{os.getpid()}-{_here()}{unnamed.name}"), lock


def end_leftovers(home: Path, say: Say) -> None:
    """Ends what runs still of every ``dev`` that is dead, says so, and removes its directory."""
    for directory in sorted(home.glob("dev-*")):
        lock = _lock(directory)
        if lock is None:
            continue
        try:
            here = directory.name.partition(".")[0].endswith(f"-{_here()}")
            if not here or _end(read_records(directory), say):
                shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(lock)


def read_records(directory: Path) -> list[Kin]:
    """What the records say. One that is none, or was cut off, says nothing."""
    found = []
    for path in directory.glob("*"):
        with contextlib.suppress(OSError, ValueError):
            found.append(read_record(path))
    return found


def read_record(path: Path) -> Kin:
    """Raises ``OSError`` where there is no record, ``ValueError`` where it is none."""
    guard, handler = (line.split(" ", 1) for line in path.read_text("ascii").splitlines())
    return Kin(*(Identity(int(pid), start) for pid, start in (guard, handler)))


def _end(everyone: Sequence[Kin], say: Say) -> bool:
    """Whether none is left."""

    def find(running: Running) -> set[int]:
        families = [kindred(kin, running) for kin in everyone]
        # Should this very process be one of a family, that family is not dead, whatever its record says.
        return set[int]().union(*(family for family in families if os.getpid() not in family))

    ended, left = end(find, {kin.guard for kin in everyone}, ABANDONED_GRACE_SECONDS)
    if left:
        say(f"an earlier `kubedaemon dev` left processes behind that cannot be ended: {_listed(left)}")
    elif ended:
        say(f"ended what an earlier `kubedaemon dev` left behind: {_listed(ended)}")
    return not left


def _listed(pids: set[int]) -> str:
    return f"{'process' if len(pids) == 1 else 'processes'} {', '.join(map(str, sorted(pids)))}"
