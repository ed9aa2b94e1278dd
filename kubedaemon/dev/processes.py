"""Handlers as local processes: started on a free port, supervised, stopped, and never left behind.

Every handler runs under a guard (``kubedaemon.dev.guard``), its parent in between: when ``dev`` dies, however it
dies, the guard sees its pipe close and ends the handler with all of its descendants.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.errors import ConfigurationError
from kubedaemon.dev.guards import Guards

_LINE_BYTES = 8192
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 10.0
_WELL_AFTER_SECONDS = 10.0
_GUARD_SECONDS = 3.0
"""How long a guard has to end what a handler left behind."""
_LAST_WORDS_SECONDS = 1.0
"""How long output is waited for after the end, should somebody hold the pipe who could not be found."""

OnOutput = Callable[[str, str], None]


def find_command(command: Sequence[str]) -> None:
    """Raises ``ConfigurationError`` with a sentence where the command cannot be started."""
    if not command or not command[0]:
        raise ConfigurationError("the handler command is empty; give one, such as --exec 'python3 handler.py'")
    program = command[0]
    if shutil.which(program) is not None:
        return
    path = Path(program)
    if path.is_dir():
        raise ConfigurationError(f"the handler command {program!r} is a directory; name a program in it")
    if path.is_file() and os.access(path, os.X_OK):
        raise ConfigurationError(f"the handler command {program!r} is here, but not on PATH; write './{program}'")
    if path.is_file():
        raise ConfigurationError(
            f"the handler command {program!r} is not executable; run chmod +x on it, or put its interpreter before it"
        )
    where = "at that path" if "/" in program else "on PATH"
    raise ConfigurationError(f"the handler command {program!r} was not found {where}; check its spelling")


def _environment(port: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KUBEDAEMON_")}
    return {"PYTHONUNBUFFERED": "1", **inherited, "PORT": str(port)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ending(code: int) -> str:
    if code < 0 or code > 128:
        number = -code if code < 0 else code - 128
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(number).name}"
    return f"exited with status {code}"


class HandlerProcess:
    """One supervised handler: started again with backoff whenever it ends, until ``stop``.

    ``on_up(port)`` follows each start, ``on_down(reason)`` each end; ``on_output(name, line)`` each line.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        guards: Guards,
        on_output: OnOutput,
        on_up: Callable[[int], None],
        on_down: Callable[[str], None],
    ) -> None:
        self._command = command
        self._name = name
        self._guards = guards
        self._on_output = on_output
        self._on_up = on_up
        self._on_down = on_down
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._grace_seconds = float("inf")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._supervise())

    async def stop(self, grace_seconds: float) -> None:
        """Asks it to end, and ends it with all its descendants after so long. Harmless to repeat, also with less."""
        self._grace_seconds = min(self._grace_seconds, grace_seconds)
        self._stopping.set()
        self._ask_to_end()
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=self._grace_seconds + _GUARD_SECONDS)
            if late and self._process is not None:
                self._process.kill()  # the guard itself stands still; what it leaves behind is cleaned up after it
                await asyncio.wait([self._task])

    def _ask_to_end(self) -> None:
        stdin = self._process.stdin if self._process is not None else None
        if stdin is not None and not stdin.is_closing():
            stdin.write(f"stop {self._grace_seconds}\n".encode())

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        wait = _FIRST_WAIT_SECONDS
        while not self._stopping.is_set():
            started = loop.time()
            reason = await self._run()
            if self._stopping.is_set():
                return
            if loop.time() - started > _WELL_AFTER_SECONDS:
                wait = _FIRST_WAIT_SECONDS
            self._on_down(f"{reason}; starting it again in {wait:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)

    async def _run(self) -> str:
        """One life of it; how it ended, in words."""
        port = _free_port()
        try:
            guarded = await self._guards.start(self._command, _environment(port))
        except OSError as error:
            return f"could not be started: {error.strerror or error}"
        process = self._process = guarded.process
        if self._stopping.is_set():
            self._ask_to_end()  # ``stop`` came before there was anybody to ask
        else:
            self._on_up(port)
        assert process.stdout is not None
        reading = asyncio.create_task(self._read(process.stdout))
        # Its end, not that of its output: whoever outlives a killed guard holds on to that.
        code = await process.wait()
        self._process = None
        if process.stdin is not None:
            process.stdin.close()
        await self._guards.clean_up(guarded)
        await asyncio.wait([reading], timeout=_LAST_WORDS_SECONDS)
        if not reading.done():
            reading.cancel()
            process._transport.close()  # type: ignore[attr-defined]  # there is no other way to let go of the pipe
        return _ending(code)

    async def _read(self, output: asyncio.StreamReader) -> None:
        """Hands on the output line by line; what is longer than a line may be is cut into pieces."""
        rest = b""
        while chunk := await output.read(_LINE_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._line(line)
            if len(rest) >= _LINE_BYTES:
                self._line(rest)
                rest = b""
            await asyncio.sleep(0)
        if rest:
            self._line(rest)

    def _line(self, line: bytes) -> None:
        self._on_output(self._name, line.rstrip(b"\r").decode("utf-8", "replace"))
