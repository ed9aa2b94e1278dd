"""Everything on one machine in one process: broker, store, dispatcher, scaler, and the replicas that it runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from urllib.parse import urlsplit

import uvloop
from prometheus_client import CollectorRegistry

from backends.process.logging import set_up_logging
from contracts.errors import ConfigurationError, KubedaemonError
from contracts.text import MAX_QUEUE_NAME, is_label
from contracts.workqueue import WorkQueue, parse_spec
from dispatcher.adapters.auth import JwtTokens
from dispatcher.auth_settings import AuthSettings, read_auth
from dispatcher.runtime import Dispatcher
from kubedaemon.dev.attempts import LocalAttempts
from kubedaemon.dev.console import Console
from kubedaemon.dev.guards import Guards
from kubedaemon.dev.keeping import Keeping, define, keeping
from kubedaemon.dev.leftovers import Records, keeping_records
from kubedaemon.dev.manifest import read_manifests
from kubedaemon.dev.options import DevOptions
from kubedaemon.dev.processes import find_command
from kubedaemon.dev.replicas import Backend, LocalWorkloads
from scaler.runtime import QueueScaler
from scaler.telemetry import Telemetry as ScalerTelemetry
from sidecar.telemetry import Telemetry as SidecarTelemetry

HOST = "127.0.0.1"
STOP_SECONDS = 10.0
"""How long calls that run may take once Ctrl-C was pressed; a second one does not wait."""


def queues_of(options: DevOptions) -> tuple[list[WorkQueue], list[WorkQueue]]:
    """The queues of the manifests, and those that are made with all defaults unless they are there already.

    Those are the one of ``--queue``, or ``default`` where nothing was asked for. Raises ``ConfigurationError``.
    """
    queues, plain = read_manifests(options.files), []
    if options.queue is not None:
        if not is_label(options.queue, MAX_QUEUE_NAME):
            raise ConfigurationError(
                f"--queue {options.queue!r}: use lower-case letters, digits and inner '-', at most {MAX_QUEUE_NAME}"
            )
        if all(queue.name != options.queue for queue in queues):
            plain.append(WorkQueue(name=options.queue, spec=parse_spec(None)))
    elif not queues:
        plain.append(WorkQueue(name="default", spec=parse_spec(None)))
    return queues, plain


def handler_address(url: str | None) -> tuple[str, int] | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = 80 if parts.port is None else parts.port
    except ValueError:
        parts, port = urlsplit(""), 0
    more = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme != "http" or not parts.hostname or not port or more:
        raise ConfigurationError(f"--handler {url!r}: write http://HOST:PORT, without a path")
    return parts.hostname, port


class Dev:
    """The running whole."""

    def __init__(
        self, options: DevOptions, keeping: Keeping, console: Console, records: Records, auth: AuthSettings | None
    ) -> None:
        self._options = options
        self._console = console
        self._broker, self._store, keys = keeping.broker, keeping.store, keeping.keys
        registry = CollectorRegistry()
        self._scaler_telemetry = ScalerTelemetry(registry)
        backend = Backend(self._broker, self._store, SidecarTelemetry(registry), keys)
        self._workloads = LocalWorkloads(
            backend,
            Guards(records),
            command=options.command,
            address=handler_address(options.handler_url),
            on_output=console.output,
        )
        self._dispatcher = Dispatcher(
            broker=self._broker,
            store=self._store,
            keys=keys,
            registry=registry,
            attempts=LocalAttempts(self._workloads.attempts, self._store),
            tokens=None if auth is None else JwtTokens(auth),
        )
        self._scalers: dict[tuple[str, str], tuple[QueueScaler, asyncio.Task[None]]] = {}

    async def start(self) -> int:
        port = await self._dispatcher.start(HOST, self._options.port)
        self._store.watch(self._changed)
        return port

    def _changed(self, namespace: str, queue: str, workqueue: WorkQueue | None) -> None:
        known = self._scalers.get((namespace, queue))
        if workqueue is None:
            if known is not None:
                known[1].cancel()
                del self._scalers[namespace, queue]
                self._workloads.remove(namespace, queue)
        elif known is not None:
            known[0].redefine(workqueue)
            self._workloads.redefine(workqueue)
        else:
            scaler = QueueScaler(
                workqueue,
                broker=self._broker,
                store=self._store,
                workloads=self._workloads,
                telemetry=self._scaler_telemetry,
                on_decision=self._decided,
            )
            self._scalers[namespace, queue] = (scaler, asyncio.create_task(scaler.run()))

    def _decided(self, queue: str, desired: int, reason: str) -> None:
        if self._options.command:  # else nothing comes of it
            self._console.decision(queue, desired, reason)

    async def stop(self) -> None:
        """In this order: nothing is scaled any more, replicas drain, and only then the door closes."""
        tasks = [task for _, task in self._scalers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._workloads.stop(STOP_SECONDS)
        await self._dispatcher.stop()

    async def kill(self) -> None:
        await self._workloads.kill()
        await self._dispatcher.stop()


async def _serve(
    options: DevOptions,
    manifests: list[WorkQueue],
    plain: list[WorkQueue],
    console: Console,
    records: Records,
    auth: AuthSettings | None,
) -> int:
    loop = asyncio.get_running_loop()
    ends: asyncio.Queue[str] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ends.put_nowait, "")
    async with keeping(options.data, ends.put_nowait) as kept:
        queues = await define(kept, manifests, plain)
        dev = Dev(options, kept, console, records, auth)
        port = await dev.start()
        console.welcome(f"http://{HOST}:{port}", queues, options, tokens=auth is not None)
        problem = await ends.get()
        if problem:
            await dev.kill()
            raise KubedaemonError(f"{problem}. Nothing was accepted since; see to the disk, and start again")
        return await _stop(dev, console, ends)


async def _stop(dev: Dev, console: Console, ends: asyncio.Queue[str]) -> int:
    console.say("stopping: what runs may end; press Ctrl-C again to stop at once")
    stopping = asyncio.create_task(dev.stop())
    again = asyncio.create_task(ends.get())
    await asyncio.wait([stopping, again], return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        console.say("stopping at once")
        await dev.kill()  # before the other is cancelled, which would wait for the handlers as long as they may take
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        return 130
    again.cancel()
    await stopping
    console.say("stopped")
    return 0


def run(options: DevOptions) -> int:
    """Runs until it is told to stop; the exit status. A start that is impossible says why and ends with 2."""
    set_up_logging(options.log_format)
    try:
        manifests, plain = queues_of(options)
        auth = read_auth(os.environ)
        handler_address(options.handler_url)
        if options.command:
            find_command(options.command)
        with (
            contextlib.suppress(KeyboardInterrupt),
            contextlib.closing(Console(sys.stdout)) as console,
            keeping_records(console.say) as records,
        ):
            return uvloop.run(_serve(options, manifests, plain, console, records, auth))
        return 130
    except ConfigurationError as error:
        print(f"kubedaemon: {error}", file=sys.stderr)
        return 2
    except KubedaemonError as error:
        print(f"kubedaemon: {error}", file=sys.stderr)
        return 1
