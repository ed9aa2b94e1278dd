"""A handler as a real process on a free port, and what is asked of it over HTTP."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE_SECONDS = 20.0


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Return as soon as it holds. Raises ``AssertionError`` if that takes too long."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < give_up, f"waited {PATIENCE_SECONDS} s in vain: {what}"
        time.sleep(0.005)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    content_type: str | None
    body: bytes


@dataclass(frozen=True)
class Program:
    """A handler that runs."""

    process: subprocess.Popen[bytes]
    port: int

    def accepts(self) -> bool:
        """Whether somebody listens on its port."""
        assert self.process.poll() is None or self.process.returncode == 0, "the program failed"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return False
        return True

    @contextlib.contextmanager
    def connected(self) -> Iterator[HTTPConnection]:
        """A connection of one's own; ``auto_open`` is off, so that it is never opened anew behind one's back."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        connection.connect()
        connection.auto_open = 0
        try:
            yield connection
        finally:
            connection.close()

    def ask(self, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/message") -> Answer:
        """POST on a new connection."""
        with self.connected() as connection:
            return ask(connection, body, headers, path)

    def terminate(self) -> int:
        """Send SIGTERM and wait for the end: the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


def ask(
    connection: HTTPConnection, body: bytes, headers: Mapping[str, str] | None = None, path: str = "/message"
) -> Answer:
    """POST on this connection."""
    connection.request("POST", path, body, dict(headers or {}))
    response = connection.getresponse()
    return Answer(response.status, response.getheader("Content-Type"), response.read())


@contextlib.contextmanager
def running(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> Iterator[Program]:
    """The program, once it listens; killed at the end if it still runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(command, env={**os.environ, **(env or {}), "PORT": str(port)}) as process:
        program = Program(process, port)
        try:
            wait_until(program.accepts, f"nobody listens on port {port}")
            yield program
        finally:
            process.kill()
