"""The scaler's shell: observes each queue, decides, and has it so. Level-triggered: it looks at how things are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from backends.ports import Definitions, Depths, Doorbell, Topology, Views
from contracts.deliveries import Depth
from contracts.errors import KubedaemonError
from contracts.records import Scale
from contracts.topology import Partition
from contracts.workqueue import WorkQueue
from scaler.core.decision import Decision, Observation, Unknown, Wish, decide, remember, wish
from scaler.core.rates import Rates
from scaler.core.waking import Happening, Phase, Step, move
from scaler.ports import Workloads
from scaler.telemetry import Telemetry

LOOK_SECONDS = 0.25
"""How often an awake queue is looked at."""
POLL_SECONDS = 30.0
"""How often a sleeping queue is looked at, should a ring be lost."""

_log = structlog.get_logger("scaler")


class Broker(Topology, Depths, Doorbell, Protocol):
    """What the scaler asks of a broker."""


class Store(Views, Definitions, Protocol):
    """What the scaler asks of a store."""


class QueueScaler:
    """Keeps one queue at the size it should have. ``run`` goes on until it is cancelled."""

    def __init__(
        self,
        workqueue: WorkQueue,
        *,
        broker: Broker,
        store: Store,
        workloads: Workloads,
        telemetry: Telemetry,
        on_decision: Callable[[str, int, str], None] = lambda queue, desired, reason: None,
    ) -> None:
        self.workqueue = workqueue
        self._where = (workqueue.namespace, workqueue.name)
        self._broker = broker
        self._store = store
        self._workloads = workloads
        self._metrics = telemetry
        self._on_decision = on_decision
        self._rates = Rates()
        self._history: list[Wish] = []
        self._phase = Phase.AWAKE
        self._stirred = asyncio.Event()
        self._rang_at: float | None = None
        self._desired = 0
        self._log = _log.bind(queue=workqueue.name)

    def redefine(self, workqueue: WorkQueue) -> None:
        """The definition has changed: looked at anew, at once."""
        self.workqueue = workqueue
        self._happen(Happening.WANTED)
        self._stirred.set()

    async def run(self) -> None:
        while True:
            try:
                await self._look()
            except KubedaemonError as error:
                self._log.warning("the queue could not be looked at; nothing is changed", error=str(error))
            asleep = self._phase is Phase.ASLEEP
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), POLL_SECONDS if asleep else LOOK_SECONDS)
            self._stirred.clear()

    def _happen(self, happening: Happening) -> Step | None:
        self._phase, step = move(self._phase, happening)
        if step is Step.WAKE:
            self._metrics.wakes.labels(*self._where).inc()
        return step

    def _ring(self) -> None:
        self._rang_at = asyncio.get_running_loop().time()
        self._happen(Happening.RANG)
        self._stirred.set()

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        depth = await self._broker.depth(*self._where)
        if self._phase is Phase.ASLEEP:
            if not self._work(depth):
                return
            self._happen(Happening.FOUND_WORK)
        decision = await self._decide(depth, now)
        await self._apply(decision)
        await self._retire_what_is_empty()
        if not self._desired and not self._workloads.observed(*self._where):
            await self._fall_asleep()

    async def _retire_what_is_empty(self) -> None:
        """Takes older sets of partitions away once replicas have said that nothing is left in any of them."""
        if not self.workqueue.older:
            return
        emptied = await self._store.emptied(*self._where)
        for of in self.workqueue.older:
            if all(Partition(of, number) in emptied for number in range(of)):
                await self._broker.retire(*self._where, of)
                *older, _ = await self._broker.declare(self.workqueue)
                await self._store.put(msgspec.structs.replace(self.workqueue, older=tuple(older)))
                self._log.info("an older set of partitions is empty and was taken away", partitions=of)

    def _work(self, depth: Depth) -> bool:
        return bool(sum(depth.ready) + depth.unacked) and not self.workqueue.spec.paused

    async def _decide(self, depth: Depth, now: float) -> Decision | Unknown:
        spec = self.workqueue.spec
        replicas = await self._store.replicas(*self._where)
        observed = self._workloads.observed(*self._where)
        self._rates.observe(replicas, sum(depth.ready) + depth.unacked, now)
        self._metrics.backlog.labels(*self._where).set(sum(depth.ready) + depth.unacked)
        running = sum(replica.report.running for replica in replicas)
        ready, unacked = depth.ready, depth.unacked
        if spec.paused and not running and not observed:
            # Nothing may start, so nothing is woken for it.
            ready, unacked = (), 0
        reported = len(replicas) >= observed and all(replica.report.ready for replica in replicas)
        working = {partition for partition, count in enumerate(ready) if count}
        working.update(partition for replica in replicas for partition in replica.report.partitions)
        observation = Observation(
            ready=sum(ready),
            unacked=unacked,
            running=running,
            working=len(working) if reported or not unacked else None,
            lanes=sum(replica.report.lanes for replica in replicas) if reported and replicas else None,
            arrivals_per_second=self._rates.arrivals_per_second,
            handling_seconds=self._rates.handling_seconds,
        )
        decision = decide(observation, spec, self._history, now)
        latest = wish(observation, spec, now)
        if isinstance(latest, Wish):
            self._history = remember(self._history, latest, spec)
        return decision

    async def _apply(self, decision: Decision | Unknown) -> None:
        before = self._desired
        if isinstance(decision, Decision):
            self._desired = decision.desired
        if self._rang_at is not None:
            self._metrics.wake_seconds.labels(*self._where).observe(asyncio.get_running_loop().time() - self._rang_at)
            self._rang_at = None
        if self._desired != before:
            self._metrics.decisions.labels(*self._where).inc()
            self._on_decision(self.workqueue.name, self._desired, decision.reason)
        await self._workloads.scale(self.workqueue, self._desired)
        self._metrics.desired.labels(*self._where).set(self._desired)
        await self._tell(decision.reason)

    async def _tell(self, reason: str) -> None:
        observed = self._workloads.observed(*self._where)
        self._metrics.observed.labels(*self._where).set(observed)
        scale = Scale(
            observed=observed,
            desired=self._desired,
            reason=reason,
            arrivals_per_second=self._rates.arrivals_per_second,
            settled_per_second=self._rates.settled_per_second,
        )
        await self._store.put_scale(*self._where, scale)

    async def _fall_asleep(self) -> None:
        """Arms the doorbell, looks once more, and sleeps; or stays awake for what it found."""
        if self._happen(Happening.ALL_GONE) is not Step.ARM:
            return
        try:
            await self._broker.arm(*self._where, self._ring)
            if self._happen(Happening.ARMED) is not Step.LOOK:
                return
            found = self._work(await self._broker.depth(*self._where))
        except KubedaemonError:
            self._phase = Phase.AWAKE  # neither armed nor asleep for sure: all of it again
            raise
        if self._happen(Happening.FOUND_WORK if found else Happening.FOUND_NOTHING) is Step.SLEEP:
            self._rates.rest()
            await self._tell("asleep: nothing waits, the first message wakes it")
        else:
            await self._broker.disarm(*self._where)
            self._stirred.set()
