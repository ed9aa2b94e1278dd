"""``kubedaemon dev`` as a real process, with a handler that does what each message says: its content is Python.

Run as a program, this module is that handler.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
KUBEDAEMON = (sys.executable, "-m", "kubedaemon")
HANDLER = shlex.join([sys.executable, "-m", "tests.system.dev_scene"])
PATIENCE_SECONDS = 20.0
"""The longest that anything may take to come about."""

T = TypeVar("T")


def until(read: Callable[[], T], wanted: Callable[[T], bool] = bool) -> T:
    """Reads again and again; the first that is wanted. Fails, with the last one read, where none comes in time."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not wanted(value := read()):
        assert time.monotonic() < give_up, f"it did not come to this in time, it stayed at {str(value)[-500:]}"
        time.sleep(0.01)
    return value


@dataclass(frozen=True)
class Reply:
    """What the API answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Stage:
    """A directory for one or more of ``dev``, one after another or side by side, and all that comes of them.

    Whatever is started here has ``token`` in its environment, and so has what comes of it: nothing gets lost.
    """

    directory: Path
    token: str = field(default_factory=secrets.token_hex)

    @property
    def records(self) -> Path:
        return self.directory / "run" / "kubedaemon"

    def environment(self, **more: str) -> dict[str, str]:
        run = self.directory / "run"
        run.mkdir(mode=0o700, exist_ok=True)
        given = {"XDG_RUNTIME_DIR": str(run), "STAGE": str(self.directory), "TOKEN": self.token, **more}
        return {name: value for name, value in (os.environ | given).items() if name != "KUBEDAEMON_URL"}

    def manifest(self, name: str = "work", **spec: Any) -> str:
        """The path of a manifest; of one partition and with quick retries, unless ``spec`` says otherwise."""
        spec = {"partitions": 1, **spec}
        spec["delivery"] = {"backoff": {"initialSeconds": 0.01}, **spec.get("delivery", {})}
        content = {
            "apiVersion": "kubedaemon.io/v1alpha1",
            "kind": "WorkQueue",
            "metadata": {"name": name},
            "spec": spec,
        }
        path = self.directory / f"{name}.yaml"
        path.write_text(json.dumps(content))
        return str(path)

    def refused(self, *words: str) -> tuple[int, str]:
        """A start that is impossible: its exit status, and what it said on standard error."""
        command = [*KUBEDAEMON, "dev", *words]
        ended = subprocess.run(
            command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        return ended.returncode, ended.stderr

    @contextlib.contextmanager
    def dev(self, *words: str, terminal: str | None = None, **more: Any) -> Iterator[Dev]:
        """``kubedaemon dev`` with these words; with a terminal it is alone there, as in a window of its own."""
        number = len(list(self.directory.glob("*.out")))
        out, err = (self.directory / f"dev{number}.{kind}" for kind in ("out", "err"))
        command = [*KUBEDAEMON, "dev", "--port", "0", *words]
        if terminal is not None:
            # The first one of a new session to open a terminal gets it.
            command = ["sh", "-c", 'exec "$@" <"$0"', terminal, *command]
            more["start_new_session"] = True
        with out.open("wb") as output, err.open("wb") as errors:
            given: dict[str, Any] = {
                "stdin": subprocess.DEVNULL,
                "stdout": output,
                "stderr": errors,
                "env": self.environment(),
            } | more
            process = subprocess.Popen(command, cwd=ROOT, **given)
        with process:
            dev = Dev(self, process, out, err)
            try:
                yield dev
            finally:
                process.kill()

    def journal(self, event: str) -> list[dict[str, Any]]:
        """What handlers noted under this name, oldest first."""
        try:
            lines = (self.directory / "journal").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]

    def noted(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """The same, once there are so many."""
        return until(lambda: self.journal(event), lambda found: len(found) >= count)

    def touch(self, name: str) -> None:
        """Lets go on whoever waits for this; see ``wait_for``."""
        (self.directory / name).touch()

    def alive(self) -> set[int]:
        """Everything that runs and came of this stage."""
        mark = f"TOKEN={self.token}".encode()
        found = set()
        for place in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if place.name.isdigit() and mark in (place / "environ").read_bytes().split(b"\0"):
                    found.add(int(place.name))
        return found

    def kill_everything(self) -> None:
        while alive := self.alive():
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def staged(directory: Path) -> Iterator[Stage]:
    stage = Stage(directory)
    try:
        yield stage
    finally:
        stage.kill_everything()


@dataclass
class Dev:
    """One that runs. ``out`` and ``err`` are the files that it writes to."""

    stage: Stage
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def said(self) -> str:
        return self.out.read_text()

    def says(self, text: str) -> str:
        """The first line with this text in it, once there is one."""

        def read() -> list[str]:
            ended = self.process.poll() is not None
            found = [line for line in self.said.splitlines() if text in line]
            assert found or not ended, f"it ended with {self.process.returncode}: {self.err.read_text()}"
            return found

        return until(read)[0]

    @property
    def url(self) -> str:
        return self.says("listens on").partition("listens on ")[2].split()[0]

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """``path`` is below the namespace's queues."""
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=PATIENCE_SECONDS)
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, f"/v1/namespaces/default/queues/{path}", body, named)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())

    def send(self, script: str = "", queue: str = "work", **headers: str) -> str:
        """Enqueues; the id."""
        reply = self.call("POST", f"{queue}/messages", script.encode(), **headers)
        assert reply.status == 202, reply
        return str(reply.json["id"])

    def handle(self, script: str = "", queue: str = "work", **headers: str) -> str:
        """Enqueues, and waits until it is handled: what the handler answered."""
        reply = self.call("POST", f"{queue}/messages", script.encode(), Prefer="wait=20", **headers)
        assert reply.status == 200, reply
        return reply.body.decode()

    def message(self, message_id: str, queue: str = "work") -> dict[str, Any]:
        return dict(self.call("GET", f"{queue}/messages/{message_id}").json)

    def ended(self, message_id: str, queue: str = "work") -> dict[str, Any]:
        """The message, once it has succeeded."""
        return until(lambda: self.message(message_id, queue), lambda found: found["state"] == "succeeded")

    def status(self, queue: str = "work") -> dict[str, Any]:
        return dict(self.call("GET", queue).json["status"])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(PATIENCE_SECONDS)

    def handlers(self) -> set[int]:
        """Guards, handlers and all that came of them."""
        return self.stage.alive() - {self.process.pid}


# The handler


def note(event: str, **more: Any) -> None:
    """Keeps something for the test to read."""
    entry = {"event": event, "pid": os.getpid(), "parent": os.getppid(), **more}
    handle = os.open(Path(os.environ["STAGE"], "journal"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(handle, (json.dumps(entry) + "\n").encode())
    os.close(handle)


def wait_for(name: str) -> None:
    """Until the test touches this."""
    until(Path(os.environ["STAGE"], name).exists)


def leave_behind(event: str = "left behind") -> None:
    """A process that belongs to no group, session or parent of the handler's, and ends by force alone."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            note(event)
            while True:
                signal.pause()
        os._exit(0)
    os.wait()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        script = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        names: dict[str, Any] = {**globals(), "headers": self.headers, "answer": ""}
        if self.path == "/message":
            exec(script, names)
        answer = str(names["answer"]).encode()
        self.wfile.write(b"HTTP/1.1 %d So\r\nContent-Length: %d\r\n\r\n%b" % (200, len(answer), answer))

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: output is what a message asks for."""


def serve() -> None:
    note("start", port=int(os.environ["PORT"]))
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), _Handler).serve_forever()


if __name__ == "__main__":
    serve()
