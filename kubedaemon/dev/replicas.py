"""Local replicas: a sidecar and a handler process each, kept at the number that the scaler wants."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from backends.ports import Attempts, Broker, Store
from contracts.tokens import Keys
from contracts.workqueue import WorkQueue
from kubedaemon.dev.guards import Guards
from kubedaemon.dev.processes import HandlerProcess, OnOutput
from sidecar.adapters.handler_client import HttpHandlerClient
from sidecar.runtime import Sidecar
from sidecar.telemetry import Telemetry

KILL_AFTER_SECONDS = 5.0
"""How long a handler has to end once it was asked to."""


class Backend:
    """The embedded broker and store, where sidecars count what they do, and the keys of this installation."""

    def __init__(self, broker: Broker, store: Store, telemetry: Telemetry, keys: Keys) -> None:
        self.broker = broker
        self.store = store
        self.telemetry = telemetry
        self.keys = keys


class Replica:
    """A sidecar with its handler: a process of its own, or one at an address that somebody else runs."""

    def __init__(self, name: str, workqueue: WorkQueue, backend: Backend) -> None:
        self.name = name
        self.stopping = False
        self._workqueue = workqueue
        self._process: HandlerProcess | None = None
        self.sidecar = Sidecar(
            workqueue,
            f"{name}#{secrets.token_hex(4)}",
            broker=backend.broker,
            store=backend.store,
            make_client=HttpHandlerClient,
            telemetry=backend.telemetry,
            keys=backend.keys,
        )

    def run(self, command: tuple[str, ...], guards: Guards, on_output: OnOutput) -> None:
        def up(port: int) -> None:
            self.sidecar.attach("127.0.0.1", port)

        def down(reason: str) -> None:
            on_output(self.name, f"-- the handler {reason}")
            self.sidecar.detach(f"the handler {reason}")

        self._process = HandlerProcess(
            command, name=self.name, guards=guards, on_output=on_output, on_up=up, on_down=down
        )
        self._process.start()

    async def stop(self, seconds: float) -> None:
        """Drains, then ends the handler. Calls that last longer than ``seconds`` are interrupted."""
        self.stopping = True
        try:
            await self.sidecar.drain(seconds)
        finally:
            if self._process is not None:
                await self._process.stop(KILL_AFTER_SECONDS)
            await self.sidecar.close()

    async def kill(self) -> None:
        self.stopping = True
        if self._process is not None:
            await self._process.stop(0.0)
        await self.sidecar.close()


class LocalWorkloads:
    """``scaler.ports.Workloads`` with local processes. Without a command nothing runs and messages wait."""

    def __init__(
        self,
        backend: Backend,
        guards: Guards,
        *,
        command: tuple[str, ...],
        address: tuple[str, int] | None,
        on_output: OnOutput,
    ) -> None:
        self._backend = backend
        self._guards = guards
        self._command = command
        self._address = address
        self._on_output = on_output
        self._replicas: dict[tuple[str, str], list[Replica]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def observed(self, namespace: str, queue: str) -> int:
        return len(self._replicas.get((namespace, queue), ()))

    async def scale(self, workqueue: WorkQueue, desired: int) -> None:
        replicas = self._replicas.setdefault((workqueue.namespace, workqueue.name), [])
        if self._address is not None:
            desired = 1
        elif not self._command:
            return
        going = [replica for replica in replicas if not replica.stopping]
        for _ in range(desired - len(going)):
            self._start(workqueue, replicas)
        for replica in going[::-1][: max(0, len(going) - desired)]:
            self._stop(replica, replicas, workqueue.spec.delivery.timeout_seconds)

    def remove(self, namespace: str, queue: str) -> None:
        """The queue was deleted: its replicas go, without waiting for their calls."""
        for replica in self._replicas.pop((namespace, queue), []):
            self._spawn(replica.kill())

    def attempts(self, namespace: str, queue: str) -> list[Attempts]:
        """What the replicas of a queue are at work on, each on its own."""
        replicas = self._replicas.get((namespace, queue), ())
        return [replica.sidecar.attempts for replica in replicas if not replica.sidecar.left.done()]

    def redefine(self, workqueue: WorkQueue) -> None:
        for replica in self._replicas.get((workqueue.namespace, workqueue.name), ()):
            replica.sidecar.redefine(workqueue)

    def _start(self, workqueue: WorkQueue, replicas: list[Replica]) -> None:
        taken = {replica.name for replica in replicas}
        name = next(n for n in (f"{workqueue.name}-{number}" for number in range(1, 1000)) if n not in taken)
        replica = Replica(name, workqueue, self._backend)
        replicas.append(replica)
        replica.sidecar.left.add_done_callback(self._ended(replica, replicas))
        if self._address is not None:
            replica.sidecar.attach(*self._address)
        else:
            replica.run(self._command, self._guards, self._on_output)

    def _ended(self, replica: Replica, replicas: list[Replica]) -> Callable[[asyncio.Future[None]], None]:
        """A sidecar that failed is taken away with its handler; the scaler starts another."""

        def ended(left: asyncio.Future[None]) -> None:
            if not left.cancelled() and left.exception() is not None and not replica.stopping:
                self._spawn(self._take_away(replica, replicas))

        return ended

    async def _take_away(self, replica: Replica, replicas: list[Replica]) -> None:
        await replica.kill()
        replicas.remove(replica)

    def _stop(self, replica: Replica, replicas: list[Replica], seconds: float) -> None:
        replica.stopping = True

        async def stop() -> None:
            try:
                await replica.stop(seconds)
            finally:
                if replica in replicas:
                    replicas.remove(replica)

        self._spawn(stop())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, seconds: float) -> None:
        """Drains every replica at once."""
        everyone = [replica for replicas in self._replicas.values() for replica in replicas]
        await asyncio.gather(*(replica.stop(seconds) for replica in everyone), return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def kill(self) -> None:
        everyone = [replica for replicas in self._replicas.values() for replica in replicas]
        await asyncio.gather(*(replica.kill() for replica in everyone), return_exceptions=True)
        await asyncio.gather(*self._tasks, return_exceptions=True)
