"""One queue with its scaler over embedded broker and store, and workloads that are there when they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry

from backends.embedded.broker import EmbeddedBroker
from backends.embedded.store import EmbeddedStore
from contracts.deliveries import Depth
from contracts.errors import TransientError
from contracts.fence import Renew
from contracts.message import Message
from contracts.records import Report, Scale
from contracts.topology import Partition
from contracts.workqueue import WorkQueue, parse_spec
from scaler.runtime import QueueScaler
from scaler.telemetry import Telemetry
from tests.system.sidecar_scene import WHERE, until

QUICK = {"idleSeconds": 0.1}
ASLEEP = "asleep: nothing waits, the first message wakes it"


class Broker(EmbeddedBroker):
    """Counts how often it is looked at, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.away = False
        self.refused_arms = 0

    def _check(self) -> None:
        if self.away:
            raise TransientError("the broker is away")

    async def depth(self, namespace: str, queue: str) -> Depth:
        self.looks += 1
        self._check()
        return await super().depth(namespace, queue)

    async def arm(self, namespace: str, queue: str, ring: Callable[[], None]) -> None:
        if self.refused_arms:
            self.refused_arms -= 1
            raise TransientError("the bell is away")
        await super().arm(namespace, queue, ring)


class Store(EmbeddedStore):
    """Keeps all that the scaler ever said, since what it says does not last."""

    def __init__(self) -> None:
        super().__init__()
        self.scales: list[Scale] = []

    async def put_scale(self, namespace: str, queue: str, scale: Scale) -> None:
        await super().put_scale(namespace, queue, scale)
        assert scale == await self.scale(namespace, queue)
        self.scales.append(scale)


class Replicas:
    """Workloads that are there the moment they are wanted; ``scaled`` are the numbers as they changed."""

    def __init__(self) -> None:
        self.count = 0
        self.scaled: list[int] = []

    def observed(self, namespace: str, queue: str) -> int:
        return self.count

    async def scale(self, workqueue: WorkQueue, desired: int) -> None:
        if desired != self.count:
            self.scaled.append(desired)
        self.count = desired


class Scene:
    """One queue with its scaler."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.broker = Broker()
        self.store = Store()
        self.replicas = Replicas()
        self.registry = CollectorRegistry()
        self.decisions: list[tuple[str, int, str]] = []
        self._spec = spec
        self._sent = 0
        self._heard = 0
        self.scaler = QueueScaler(
            self.workqueue(),
            broker=self.broker,
            store=self.store,
            workloads=self.replicas,
            telemetry=Telemetry(self.registry),
            on_decision=lambda *decision: self.decisions.append(decision),
        )

    def workqueue(self, **changes: Any) -> WorkQueue:
        return WorkQueue(name="orders", spec=parse_spec({**self._spec, **changes}))

    async def send(self, count: int = 1, session: str | None = None) -> None:
        """Without a session they spread over all partitions."""
        for _ in range(count):
            self._sent += 1
            message = Message(namespace="default", queue="orders", id=f"m{self._sent}", session=session)
            assert [None] == await self.broker.publish([message])

    def take(self) -> None:
        """All that waits is handled."""
        consumer = self.broker.consumer(*WHERE, "worker", lambda happenings: None)
        for partition in range(self.scaler.workqueue.spec.partitions):
            consumer.open(partition + 1, Partition(self.scaler.workqueue.spec.partitions, partition), 1000)
            consumer.ack(partition + 1, range(1, 1001))
        consumer.stop()

    async def report(self, replica: str, report: Report) -> None:
        await self.store.turn(*WHERE, replica, [Renew(60.0, report)])

    async def said(self, wanted: Callable[[Scale], bool]) -> Scale:
        """The first that is wanted of what it said, or will say, since what was last asked for here."""

        def place() -> int | None:
            return next((at for at in range(self._heard, len(scales)) if wanted(scales[at])), None)

        scales = self.store.scales
        found = await until(place, lambda at: at is not None)
        assert found is not None
        self._heard = found + 1
        return scales[found]

    async def asleep(self) -> None:
        await self.said(lambda scale: scale.reason == ASLEEP)

    def value(self, metric: str) -> float | None:
        return self.registry.get_sample_value(
            f"kubedaemon_scaler_{metric}", {"namespace": "default", "queue": "orders"}
        )


@asynccontextmanager
async def scene(*, waiting: int = 0, **spec: Any) -> AsyncIterator[Scene]:
    """A queue of eight partitions, with messages that wait in it, that goes to zero soon unless ``spec`` says not."""
    staged = Scene({"scaling": QUICK, **spec})
    await staged.broker.declare(staged.workqueue())
    await staged.send(waiting)
    running = asyncio.create_task(staged.scaler.run())
    try:
        yield staged
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
