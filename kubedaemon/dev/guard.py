"""The parent that every local handler has: it ends the handler, and all that came of it, when ``dev`` is gone.

Run as a program of its own, with the path of a record (or ``""``) and the handler's command as arguments. Its standard
input is a pipe from ``dev``: a line ``stop SECONDS`` asks the handler to end within that time, and the pipe's end,
which comes however ``dev`` dies, ends it at once. It adopts orphaned descendants (``PR_SET_CHILD_SUBREAPER``), so that
what left the process group is found too; and should the guard itself be killed, the kernel kills the handler
(``PR_SET_PDEATHSIG``). The record says who the guard and the handler are for as long as they run: what is left of them
after two kills is found by it (``kubedaemon.dev.leftovers``). Its exit status is the handler's, 128 + N for signal N.
Standard library only, no site: it starts in about ten milliseconds.
"""

import ctypes
import os
import select
import signal
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ABANDONED_GRACE_SECONDS = 1.0
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE)
_RESET = (*_IGNORED, signal.SIGXFSZ)  # the last two are Python's doing


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """From now on, descendants of this process that lose their parent become its children."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def start_of(pid: int) -> str:
    """When this process started, as this machine tells it; nothing where it does not run.

    A process id is used again and again; together with this it means one process for ever.
    """
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - pathlib is not worth its start-up
                # The name before the last ")" may hold anything. The state, in front, is field 3; the start is field 22.
                return stat.read().rpartition(b")")[2].split()[19].decode()
        except (OSError, IndexError):
            return ""
    import subprocess

    told = ["ps", "-o", "lstart=", "-p", str(pid)]
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    return " ".join(subprocess.run(told, capture_output=True, text=True, check=False, env=environment).stdout.split())


def _write(record: str, handler: int) -> None:
    """Whole or not at all. A record that cannot be written is no reason not to run."""
    if not record:
        return
    lines = [f"{pid} {start_of(pid)}\n" for pid in (os.getpid(), handler)]
    try:
        with open(f"{record}~", "w") as file:  # noqa: PTH123
            file.writelines(lines)
        os.replace(f"{record}~", record)  # noqa: PTH105
    except OSError:
        pass


def _spawn(command: list[str], record: str) -> int:
    """Starts the handler, once the record is written. Its process id, which is that of its group too."""
    guard = os.getpid()
    recorded, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(recorded)
        try:
            os.setpgid(pid, pid)  # here as well, so that the group is there whoever comes first
            _write(record, pid)
            os.write(tell, b".")
        except OSError:
            pass  # killed already; its end will be seen
        os.close(tell)
        return pid
    try:
        os.close(tell)
        os.setpgid(0, 0)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard or not os.read(recorded, 1):
            os._exit(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
    os._exit(127)


def children() -> list[int]:
    """The children of this process, also those that have ended and were not waited for."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as listed:  # noqa: PTH123 - pathlib is not worth its start-up
            return [int(pid) for pid in listed.read().split()]
    except OSError:
        return []


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def _reap() -> dict[int, int]:
    """The children that have ended, by process id, with their wait status."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = status


def _end_descendants(handler: int) -> bool:
    """Kills what the handler left behind: its group, then every orphan adopted here. Whether none is left."""
    _signal(handler, signal.SIGKILL)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        _reap()
        left = children()
        if not left:
            return True
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.005)
    return False


class Watch:
    """What the guard waits for: words on its standard input, the handler's end, and the time to lose patience."""

    def __init__(self, handler: int, wake: int) -> None:
        self.handler = handler
        self.wake = wake
        self.words = b""
        self.listening = True
        self.kill_at = float("inf")

    def ask_to_end(self, seconds: float) -> None:
        if self.kill_at == float("inf"):
            _signal(self.handler, signal.SIGTERM)
        self.kill_at = min(self.kill_at, time.monotonic() + seconds)

    def listen(self) -> None:
        chunk = os.read(0, 4096)
        if not chunk:
            self.listening = False
            self.ask_to_end(ABANDONED_GRACE_SECONDS)
            return
        *lines, self.words = (self.words + chunk).split(b"\n")
        for line in lines:
            word, _, seconds = line.partition(b" ")
            if word == b"stop":
                self.ask_to_end(float(seconds))

    def until_end(self) -> int:
        """The wait status of the handler, once it has ended."""
        while True:
            status = _reap().get(self.handler)
            if status is not None:
                return status
            left = self.kill_at - time.monotonic()
            if left <= 0:
                _signal(self.handler, signal.SIGKILL)
                left = 1.0
            sources = [self.wake, 0] if self.listening else [self.wake]
            ready, _, _ = select.select(sources, [], [], None if left == float("inf") else left)
            if self.wake in ready:
                os.read(self.wake, 4096)
            if 0 in ready:
                self.listen()


def _nothing(number: int, frame: Any) -> None:
    """The signal only has to write to the wake-up pipe."""


def main(record: str, command: list[str]) -> int:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    adopt_orphans()
    wake, write = os.pipe()
    os.set_blocking(write, False)
    signal.signal(signal.SIGCHLD, _nothing)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    handler = _spawn(command, record)
    status = Watch(handler, wake).until_end()
    if _end_descendants(handler) and record:
        try:
            os.unlink(record)  # noqa: PTH108
        except OSError:
            pass
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    code = main(sys.argv[1], sys.argv[2:])
    sys.exit(code if code >= 0 else 128 - code)
