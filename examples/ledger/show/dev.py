"""``kubedaemon dev`` as a process of its own, with the ledger's handler."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp

from examples.ledger.show.errors import DemoError

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parents[1]
KUBEDAEMON = (sys.executable, "-m", "kubedaemon")
READY_SECONDS = 30.0
STOP_SECONDS = 20.0


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Dev:
    """The running process. ``url`` is where it listens, ``log`` what it says, ``database`` its handlers' ledger."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, log: Path, database: Path) -> None:
        self.url = url
        self.log = log
        self.database = database
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until it says that it is ready. Raises ``DemoError`` if it ends or does not get there."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await self._answers(http):
                    if self._process.returncode is not None:
                        raise DemoError(f"kubedaemon dev ended at once, with status {self._process.returncode}")
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise DemoError(f"kubedaemon dev was not ready after {READY_SECONDS:.0f} s") from error

    async def _answers(self, http: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get(f"{self.url}/readyz") as answer:
                return answer.ok
        return False

    async def stop(self) -> int:
        """Interrupt it as Ctrl-C does, and wait for its end: its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self._process.wait()
        except TimeoutError as error:
            raise DemoError(f"kubedaemon dev still ran {STOP_SECONDS:.0f} s after SIGINT") from error

    async def end(self) -> None:
        """Make sure that it has ended, whatever happened before."""
        if self._process.returncode is None:
            with contextlib.suppress(DemoError):
                await self.stop()
        if self._process.returncode is None:
            os.killpg(self.pid, signal.SIGKILL)
            await self._process.wait()


@contextlib.asynccontextmanager
async def running(directory: Path, kubedaemon: Sequence[str] = KUBEDAEMON) -> AsyncIterator[Dev]:
    """``kubedaemon dev`` with the ledger's queue and handler; log and database are in the directory."""
    port = free_port()
    log, database = directory / "dev.log", directory / "ledger.db"
    handler = shlex.join([sys.executable, str(HERE / "handler.py")])
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(*kubedaemon, "dev", "-f", str(HERE / "queue.yaml"), "--exec", handler, "--port", str(port)),
            cwd=ROOT,
            env={**os.environ, "LEDGER_DB": str(database)},
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the demonstration, which then ends it in order
        )
    dev = Dev(process, f"http://127.0.0.1:{port}", log, database)
    try:
        yield dev
    finally:
        await dev.end()
