"""A queue at zero: the real scaler over the embedded broker, in virtual time, with replicas that come, take and die.

Nothing is ever looked at without being told: the slow poll is off. So a message that comes while the queue falls asleep is
handled only if the bell was armed before the queue was looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import selectors
from collections.abc import Callable
from random import Random
from typing import Any
from unittest import mock

from prometheus_client import CollectorRegistry

from backends.embedded.broker import EmbeddedBroker, EmbeddedConsumer
from backends.embedded.store import EmbeddedStore
from contracts.deliveries import Delivered, Depth, Happening
from contracts.errors import TransientError
from contracts.message import Message
from contracts.topology import Partition
from contracts.workqueue import WorkQueue, parse_spec
from scaler.runtime import QueueScaler
from scaler.telemetry import Telemetry
from tests.simulation.checker import Broken

WHERE = ("default", "q")
PARTITIONS = 2
FAULTS_STOP_AT = 60.0
PATIENCE_SECONDS = 300.0


class _NoWaiting(selectors.DefaultSelector):
    """Nothing comes from outside, so that there is nothing to wait for."""

    def select(self, timeout: float | None = None) -> list[Any]:
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing else can happen, and then up to the next timer at once."""

    def __init__(self) -> None:
        super().__init__(_NoWaiting())
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        ready, scheduled = getattr(self, "_ready"), getattr(self, "_scheduled")  # noqa: B009 - no part of its interface
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False
        if not ready and scheduled:
            self._now = max(self._now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


class Broker(EmbeddedBroker):
    """One that takes its time, and sometimes does not answer."""

    def __init__(self, random: Random, away: Callable[[], bool]) -> None:
        super().__init__(call_at=lambda due_at, callback: None)
        self._random = random
        self._away = away

    async def _wait(self) -> None:
        await asyncio.sleep(self._random.choice([0.0, 0.001, 0.1, 1.0, 1.0]))
        if self._away() and self._random.random() < 0.2:
            raise TransientError("the broker is away")

    async def depth(self, namespace: str, queue: str) -> Depth:
        found = await super().depth(namespace, queue)
        await self._wait()
        return found

    async def arm(self, namespace: str, queue: str, ring: Callable[[], None]) -> None:
        await self._wait()
        await super().arm(namespace, queue, ring)
        await self._wait()


class Replicas:
    """Workloads: each needs a while to start, and dies with what it was given when it is not wanted any more."""

    def __init__(self, broker: Broker, random: Random, handled: Callable[[str], None]) -> None:
        self._broker = broker
        self._random = random
        self._handled = handled
        self._consumers: list[EmbeddedConsumer] = []
        self._stopping: list[EmbeddedConsumer] = []

    def observed(self, namespace: str, queue: str) -> int:
        return len(self._consumers) + len(self._stopping)

    async def scale(self, workqueue: WorkQueue, desired: int) -> None:
        while len(self._consumers) > desired:
            self._stopping.append(self._consumers.pop())
            asyncio.get_running_loop().call_later(self._random.choice([0.0, 0.5, 3.0]), self._stop, self._stopping[-1])
        while len(self._consumers) < desired:
            self._consumers.append(self._start())

    def _stop(self, consumer: EmbeddedConsumer) -> None:
        self._stopping.remove(consumer)
        consumer.stop()

    def _start(self) -> EmbeddedConsumer:
        def handle(one: Delivered) -> None:
            if consumer in self._consumers:
                self._handled(one.message.id)
                consumer.ack(one.channel, [one.tag])

        def take(happenings: list[Happening]) -> None:
            for one in happenings:
                if isinstance(one, Delivered):
                    seconds = self._random.choice([0.0, 0.0, 0.0, 0.01, 3.0])
                    asyncio.get_running_loop().call_later(seconds, handle, one)

        consumer = self._broker.consumer(*WHERE, "replica", take)
        for number in range(PARTITIONS):
            consumer.open(number + 1, Partition(PARTITIONS, number), 4)
        return consumer


async def _live(random: Random) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    broker = Broker(random, lambda: loop.time() - begun < FAULTS_STOP_AT)
    store = EmbeddedStore(loop.time, loop.time)
    workqueue = WorkQueue(
        name="q", spec=parse_spec({"partitions": PARTITIONS, "scaling": {"idleSeconds": 0, "maxReplicas": PARTITIONS}})
    )
    await broker.declare(workqueue)
    sent, handled = 0, set[str]()
    replicas = Replicas(broker, random, handled.add)
    scaler = QueueScaler(
        workqueue, broker=broker, store=store, workloads=replicas, telemetry=Telemetry(CollectorRegistry())
    )
    running = asyncio.create_task(scaler.run())
    while loop.time() - begun < FAULTS_STOP_AT:
        await asyncio.sleep(random.choice([0.01, 0.3, 1.0, 3.0, 5.0]))
        sent += 1
        await broker.publish([Message(namespace="default", queue="q", id=f"m{sent}", session=None)])
    await asyncio.sleep(PATIENCE_SECONDS)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    if len(handled) < sent:
        raise Broken(f"waking: {sent - len(handled)} of {sent} messages wait for ever, and nobody is there")


def play(seed: int) -> tuple[int, str | None]:
    """The seed, and what went wrong with it if anything did."""
    with (
        mock.patch("scaler.runtime.POLL_SECONDS", 1e6),
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        try:
            runner.run(_live(Random(seed)))
        except Broken as error:
            return seed, str(error)
    return seed, None
