"""The embedded broker: partitions with a single active consumer, confirms, dead letters and a doorbell, in memory.

Order is a quorum queue's: what a channel had not acked when it ended goes back to the head as it was, and the next
channel in line gets it. Nothing here waits or reads a clock; happenings leave through ``call_soon``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from zlib import crc32

from backends.embedded.partition import Channel, Consuming, EmbeddedPartition
from backends.ports import OnHappenings
from contracts.deliveries import ChannelLost, Depth, Happening, Proven
from contracts.errors import KubedaemonError, PermanentError, TransientError
from contracts.message import DeadLetter, Message
from contracts.topology import Partition
from contracts.workqueue import WorkQueue

CallSoon = Callable[[Callable[[], None]], object]
CallAt = Callable[[float, Callable[[], None]], object]

_LONGEST_TIMER_SECONDS = 3600.0
"""Far times are approached in steps, so that a change of the wall clock is followed, and no timer is too long."""


class _Queue:
    """``sets`` of partitions by their size, the newest last."""

    __slots__ = ("bell", "dead", "scheduled", "sets")

    def __init__(self, partitions: int) -> None:
        self.sets = {partitions: [EmbeddedPartition() for _ in range(partitions)]}
        self.dead: dict[tuple[str, int], DeadLetter] = {}
        self.scheduled = 0
        self.bell: Callable[[], None] | None = None

    def consumers(self) -> list[Consuming]:
        """Each of them once, and always in the same order."""
        return list(dict.fromkeys(channel.consumer for part in self.all() for channel in part.line))

    def all(self) -> list[EmbeddedPartition]:
        return [part for parts in self.sets.values() for part in parts]

    @property
    def newest(self) -> list[EmbeddedPartition]:
        return next(reversed(self.sets.values()))

    def partition_of(self, message: Message) -> EmbeddedPartition:
        key = message.id if message.session is None else message.session
        partitions = self.newest
        return partitions[crc32(key.encode()) % len(partitions)]


class EmbeddedConsumer:
    """One consumer; see ``backends.ports.Consumer``."""

    def __init__(self, queue: _Queue, on_happenings: OnHappenings, call_soon: CallSoon) -> None:
        self._queue = queue
        self._on_happenings = on_happenings
        self._call_soon = call_soon
        self._channels: dict[int, Channel] = {}
        self._pending: list[Happening] = []

    def happen(self, happening: Happening) -> None:
        if not self._pending:
            self._call_soon(self._flush)
        self._pending.append(happening)

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            self._on_happenings(pending)

    def open(self, channel: int, partition: Partition, window: int) -> None:
        parts = self._queue.sets.get(partition.of, [])
        if not 0 <= partition.number < len(parts):
            self.happen(ChannelLost(channel, f"there is no partition {partition}"))
            return
        place = parts[partition.number]
        self._channels[channel] = opened = Channel(self, channel, place, window)
        place.line.append(opened)
        place.pump()

    def widen(self, channel: int, window: int) -> None:
        found = self._channels.get(channel)
        if found is not None:
            found.window = window
            found.partition.pump()

    def ack(self, channel: int, tags: Sequence[int]) -> None:
        found = self._channels.get(channel)
        if found is None:
            return
        for tag in tags:
            found.unacked.pop(tag, None)
        self.happen(Proven(channel, list(tags)))
        found.partition.pump()

    def close(self, channel: int) -> None:
        found = self._channels.pop(channel, None)
        if found is not None:
            self._pending = [h for h in self._pending if h.channel != channel]
            found.partition.end(found)

    def stop(self) -> None:
        for channel in list(self._channels):
            self.close(channel)

    def drop(self, channel: int, reason: str) -> None:
        """The broker ends this channel alone."""
        found = self._channels.pop(channel)
        self._pending = [h for h in self._pending if h.channel != channel]
        self.happen(ChannelLost(channel, reason))
        found.partition.end(found)

    def lose(self, reason: str) -> None:
        """Every channel ends as if the connection had been cut: what was on its way is lost with it."""
        lost, self._channels = self._channels, {}
        self._pending = []
        for channel in lost.values():
            self.happen(ChannelLost(channel.number, reason))
        for channel in lost.values():
            channel.partition.end(channel)


class EmbeddedBroker:
    """A ``backends.ports.Broker`` in memory.

    ``call_soon`` defers happenings and ``call_at`` what comes due (Unix seconds); by default the running loop does.
    """

    def __init__(self, call_soon: CallSoon | None = None, call_at: CallAt | None = None) -> None:
        self._call_at = call_at or _call_at
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._call_soon = call_soon or (lambda callback: asyncio.get_running_loop().call_soon(callback))

    def _find(self, namespace: str, queue: str) -> _Queue:
        found = self._queues.get((namespace, queue))
        if found is None:
            raise PermanentError(f"there is no queue {queue!r} in namespace {namespace!r}")
        return found

    def consumer(self, namespace: str, queue: str, name: str, on_happenings: OnHappenings) -> EmbeddedConsumer:
        return EmbeddedConsumer(self._find(namespace, queue), on_happenings, self._call_soon)

    async def publish(self, messages: Sequence[Message]) -> list[KubedaemonError | None]:
        return [self._publish(message) for message in messages]

    def _publish(self, message: Message) -> KubedaemonError | None:
        queue = self._queues.get((message.namespace, message.queue))
        if queue is None:
            return PermanentError(f"there is no queue {message.queue!r} in namespace {message.namespace!r}")
        partition = queue.partition_of(message)
        partition.ready.append(message)
        partition.pump()
        if queue.bell is not None:
            ring, queue.bell = queue.bell, None
            self._call_soon(ring)
        return None

    async def bury(self, letters: Sequence[DeadLetter]) -> list[KubedaemonError | None]:
        outcomes: list[KubedaemonError | None] = []
        for letter in letters:
            message = letter.message
            queue = self._queues.get((message.namespace, letter.queue))
            if queue is None:
                outcomes.append(PermanentError(f"there is no queue {letter.queue!r} to bury in"))
            else:
                queue.dead.setdefault((message.id, message.generation), letter)
                outcomes.append(None)
        return outcomes

    async def delay(self, messages: Sequence[tuple[Message, float]]) -> list[KubedaemonError | None]:
        outcomes: list[KubedaemonError | None] = []
        for message, due_at in messages:
            queue = self._queues.get((message.namespace, message.queue))
            if queue is None:
                outcomes.append(PermanentError(f"there is no queue {message.queue!r} to come back to"))
                continue
            queue.scheduled += 1
            self._call_at(due_at, lambda message=message, queue=queue: self._due(message, queue))  # type: ignore[misc]
            outcomes.append(None)
        return outcomes

    def _due(self, message: Message, queue: _Queue) -> None:
        queue.scheduled -= 1
        if self._queues.get((message.namespace, message.queue)) is queue:
            self._publish(message)

    async def declare(self, workqueue: WorkQueue) -> tuple[int, ...]:
        key, wanted = (workqueue.namespace, workqueue.name), workqueue.spec.partitions
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue(wanted)
        newest = len(queue.newest)
        if wanted < newest:
            raise PermanentError(f"{workqueue.name} has {newest} partitions: they are only ever doubled")
        if wanted > newest:
            self._double(queue, wanted)
        return tuple(queue.sets)

    def _double(self, queue: _Queue, wanted: int) -> None:
        """From now on a new set takes what is published; the older ones hear that nothing follows."""
        older = queue.newest
        queue.sets[wanted] = [EmbeddedPartition() for _ in range(wanted)]
        for partition in older:
            partition.over = True
            partition.pump()

    async def retire(self, namespace: str, queue: str, partitions: int) -> None:
        found = self._find(namespace, queue)
        parts = found.sets.get(partitions, [])
        if parts is found.newest:
            raise PermanentError(f"the set of {partitions} partitions is the newest of {queue}, and in use")
        if not all(part.empty for part in parts):
            raise TransientError(f"the set of {partitions} partitions of {queue} holds messages still")
        for part in parts:
            for channel in list(part.line):
                channel.consumer.drop(channel.number, f"the set of {partitions} partitions is gone")
        found.sets.pop(partitions, None)

    async def delete(self, namespace: str, queue: str) -> None:
        gone = self._queues.pop((namespace, queue), None)
        if gone is not None:
            for consumer in gone.consumers():
                consumer.lose("the queue was deleted")

    async def depth(self, namespace: str, queue: str) -> Depth:
        found = self._find(namespace, queue)
        ready = [0] * len(found.newest)
        for parts in found.sets.values():
            for number, part in enumerate(parts):
                ready[number] += len(part.ready)
        heads = [part.ready[0].enqueued_at for part in found.all() if part.ready]
        return Depth(
            ready=tuple(ready),
            scheduled=found.scheduled,
            unacked=sum(len(channel.unacked) for part in found.all() for channel in part.line),
            dead=len(found.dead),
            oldest_enqueued_at=min(heads, default=None),
        )

    async def arm(self, namespace: str, queue: str, ring: Callable[[], None]) -> None:
        self._find(namespace, queue).bell = ring

    async def disarm(self, namespace: str, queue: str) -> None:
        found = self._queues.get((namespace, queue))
        if found is not None:
            found.bell = None

    async def browse(self, namespace: str, queue: str) -> list[DeadLetter]:
        return list(self._find(namespace, queue).dead.values())

    async def remove(self, namespace: str, queue: str, keys: Sequence[tuple[str, int]]) -> int:
        dead = self._find(namespace, queue).dead
        return sum(dead.pop(key, None) is not None for key in keys)


def _call_at(due_at: float, callback: Callable[[], None]) -> None:
    """Calls back at this time of the wall clock, never before."""
    left = due_at - time.time()
    if left <= 0:
        callback()
    else:
        loop = asyncio.get_running_loop()
        loop.call_later(min(left, _LONGEST_TIMER_SECONDS), _call_at, due_at, callback)
