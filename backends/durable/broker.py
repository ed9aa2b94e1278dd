"""The durable broker: what was confirmed is on disk, and no more than the head of each partition is in memory.

It behaves as the embedded one does; a publish is confirmed, and delivered, once its commit is. What had not been acked
when the process ended is simply there at the next start, where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

import msgspec

from backends.durable.consumer import StoredConsumer
from backends.durable.journal import Journal
from backends.durable.partition import StoredPartition
from backends.durable.schema import SHIFT, key_range
from backends.durable.timetable import Timetable
from backends.ports import OnHappenings
from contracts.deliveries import Depth
from contracts.errors import KubedaemonError, PermanentError, TransientError
from contracts.message import DeadLetter, Message, decode_dead_letter, encode
from contracts.workqueue import WorkQueue

PUBLISH: Final = "INSERT INTO messages VALUES (?, ?)"
BURY: Final = "INSERT OR IGNORE INTO dead VALUES (?, ?, ?, ?, ?)"
EXHUME: Final = "DELETE FROM dead WHERE queue = ? AND id = ? AND generation = ?"
KEEP: Final = "INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?)"
EMPTY: Final = "DELETE FROM messages WHERE key BETWEEN ? AND ?"
_NUMBERS: Final = (1 << SHIFT) - 1

Sets = list[tuple[int, int]]
"""The size of each set of partitions and the number of its first one, the newest set last."""


class _Queue:
    """``sets`` of partitions by their size, the newest last; ``dead`` the keys of its dead letters."""

    def __init__(self, journal: Journal, number: int, sets: Sets) -> None:
        self.number = number
        self.sets = {
            size: [StoredPartition(journal, first + n) for n in range(size)] for size, first in sets
        }  # fmt: skip
        self.dead: set[tuple[str, int]] = set()
        self.scheduled = 0
        self.bell: Callable[[], None] | None = None
        self.gone = False

    def all(self) -> list[StoredPartition]:
        return [part for parts in self.sets.values() for part in parts]

    @property
    def newest(self) -> list[StoredPartition]:
        return next(reversed(self.sets.values()))

    def partition_of(self, message: Message) -> StoredPartition:
        key = message.id if message.session is None else message.session
        partitions = self.newest
        return partitions[crc32(key.encode()) % len(partitions)]

    def kept_sets(self) -> bytes:
        return msgspec.msgpack.encode([(size, parts[0].number) for size, parts in self.sets.items()])


class DurableBroker:
    """A ``backends.ports.Broker`` in a journal's file."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._queues: dict[tuple[str, str], _Queue] = {}
        self._by_number: dict[int, _Queue] = {}
        for number, namespace, name, sets in journal.read("SELECT * FROM queues"):
            queue = _Queue(journal, number, msgspec.msgpack.decode(sets, type=Sets))
            for older in list(queue.sets.values())[:-1]:
                for part in older:
                    part.over = True
            self._queues[namespace, name] = self._by_number[number] = queue
        for number, message_id, generation in journal.read("SELECT queue, id, generation FROM dead"):
            self._by_number[number].dead.add((message_id, generation))
        for number, count in journal.read("SELECT queue, count(*) FROM delayed GROUP BY queue"):
            self._by_number[number].scheduled = count
        parts = [part for queue in self._queues.values() for part in queue.all()]
        self._serial = max((part.held_to & _NUMBERS for part in parts if part.waiting), default=0)
        self._next_partition = max((part.number for part in parts), default=0) + 1
        self._next_queue = max(self._by_number, default=0) + 1
        ((self._dead_serial,),) = journal.read("SELECT coalesce(max(number), 0) FROM dead")
        self._timetable = Timetable(journal, self._due)
        self._timetable.wind()

    def close(self) -> None:
        """Nothing comes due any more."""
        self._timetable.stop()

    def _find(self, namespace: str, queue: str) -> _Queue:
        found = self._queues.get((namespace, queue))
        if found is None:
            raise PermanentError(f"there is no queue {queue!r} in namespace {namespace!r}")
        return found

    def consumer(self, namespace: str, queue: str, name: str, on_happenings: OnHappenings) -> StoredConsumer:
        return StoredConsumer(self._journal, self._find(namespace, queue).sets, on_happenings)

    # Publishing

    async def publish(self, messages: Sequence[Message]) -> list[KubedaemonError | None]:
        outcomes: list[KubedaemonError | None] = []
        for message in messages:
            queue = self._queues.get((message.namespace, message.queue))
            outcomes.append(_no_queue(message) if queue is None else None)
            if queue is not None:
                self._publish(queue, message)
        await self._journal.on_disk()
        return outcomes

    def _publish(self, queue: _Queue, message: Message) -> None:
        partition = queue.partition_of(message)
        self._serial += 1
        key = partition.number << SHIFT | self._serial
        self._journal.write(PUBLISH, (key, encode(message)))
        self._journal.then(lambda: self._published(queue, partition, key, message))

    def _published(self, queue: _Queue, partition: StoredPartition, key: int, message: Message) -> None:
        if queue.gone:
            return
        partition.add(key, message)
        partition.pump()
        if queue.bell is not None:
            ring, queue.bell = queue.bell, None
            self._journal.soon(ring)

    async def bury(self, letters: Sequence[DeadLetter]) -> list[KubedaemonError | None]:
        outcomes: list[KubedaemonError | None] = []
        for letter in letters:
            message = letter.message
            queue = self._queues.get((message.namespace, letter.queue))
            outcomes.append(None if queue else PermanentError(f"there is no queue {letter.queue!r} to bury in"))
            if queue is not None and (message.id, message.generation) not in queue.dead:
                queue.dead.add((message.id, message.generation))
                self._dead_serial += 1
                row = (queue.number, message.id, message.generation, self._dead_serial, encode(letter))
                self._journal.write(BURY, row)
        await self._journal.on_disk()
        return outcomes

    async def delay(self, messages: Sequence[tuple[Message, float]]) -> list[KubedaemonError | None]:
        outcomes: list[KubedaemonError | None] = []
        for message, due_at in messages:
            queue = self._queues.get((message.namespace, message.queue))
            outcomes.append(_no_queue(message) if queue is None else None)
            if queue is not None:
                queue.scheduled += 1
                self._timetable.add(queue.number, message, due_at)
        self._journal.then(self._timetable.wind)
        await self._journal.on_disk()
        return outcomes

    def _due(self, number: int, message: Message) -> None:
        queue = self._by_number.get(number)
        if queue is not None:
            queue.scheduled -= 1
            self._publish(queue, message)

    # Topology

    async def declare(self, workqueue: WorkQueue) -> tuple[int, ...]:
        key, wanted = (workqueue.namespace, workqueue.name), workqueue.spec.partitions
        queue = self._queues.get(key)
        newest = len(queue.newest) if queue is not None else 0
        if wanted < newest:
            raise PermanentError(f"{workqueue.name} has {newest} partitions: they are only ever doubled")
        if queue is None:
            number, self._next_queue = self._next_queue, self._next_queue + 1
            queue = _Queue(self._journal, number, [(wanted, self._numbers(wanted))])
            self._queues[key] = self._by_number[number] = queue
            self._keep(key, queue)
        elif wanted > newest:
            self._double(key, queue, wanted)
        await self._journal.on_disk()
        return tuple(queue.sets)

    def _numbers(self, count: int) -> int:
        """The first of so many numbers that no partition has had in this life of the process."""
        first = self._next_partition
        self._next_partition += count
        return first

    def _keep(self, key: tuple[str, str], queue: _Queue) -> None:
        self._journal.write(KEEP, (queue.number, *key, queue.kept_sets()))

    def _double(self, key: tuple[str, str], queue: _Queue, wanted: int) -> None:
        """From now on a new set takes what is published; the older ones hear that nothing follows.

        They hear it once this is on disk, and with it all that was published to them.
        """
        older, first = queue.newest, self._numbers(wanted)
        queue.sets[wanted] = [StoredPartition(self._journal, first + n) for n in range(wanted)]
        self._keep(key, queue)

        def end() -> None:
            for partition in older:
                partition.over = True
                partition.pump()

        self._journal.then(end)

    async def retire(self, namespace: str, queue: str, partitions: int) -> None:
        await self._journal.on_disk()  # what was published before the set was older may be on its way
        found = self._find(namespace, queue)
        parts = found.sets.get(partitions, [])
        if parts is found.newest:
            raise PermanentError(f"the set of {partitions} partitions is the newest of {queue}, and in use")
        if not all(part.empty for part in parts):
            raise TransientError(f"the set of {partitions} partitions of {queue} holds messages still")
        if found.sets.pop(partitions, None) is not None:
            self._end(parts, f"the set of {partitions} partitions is gone")
            self._keep((namespace, queue), found)
        await self._journal.on_disk()

    def _end(self, parts: Sequence[StoredPartition], reason: str) -> None:
        for part in parts:
            for channel in part.line:
                channel.lose(reason)
            part.line.clear()

    async def delete(self, namespace: str, queue: str) -> None:
        gone = self._queues.pop((namespace, queue), None)
        if gone is not None:
            gone.gone = True
            del self._by_number[gone.number]
            self._end(gone.all(), "the queue was deleted")
            for part in gone.all():
                self._journal.write(EMPTY, key_range(part.number))
            for table, column in (("delayed", "queue"), ("dead", "queue"), ("queues", "id")):
                self._journal.write(f"DELETE FROM {table} WHERE {column} = ?", (gone.number,))
            self._journal.then(self._timetable.wind)
        await self._journal.on_disk()

    # What is there

    async def depth(self, namespace: str, queue: str) -> Depth:
        found = self._find(namespace, queue)
        ready = [0] * len(found.newest)
        for parts in found.sets.values():
            for number, part in enumerate(parts):
                ready[number] += part.waiting
        heads = [head.enqueued_at for part in found.all() if (head := part.head()) is not None]
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
        found = self._find(namespace, queue)
        await self._journal.on_disk()
        rows = self._journal.read("SELECT body FROM dead WHERE queue = ? ORDER BY number", (found.number,))
        return [decode_dead_letter(body) for (body,) in rows]

    async def remove(self, namespace: str, queue: str, keys: Sequence[tuple[str, int]]) -> int:
        found = self._find(namespace, queue)
        known = found.dead & set(keys)
        for key in known:
            self._journal.write(EXHUME, (found.number, *key))
        found.dead -= known
        await self._journal.on_disk()
        return len(known)


def _no_queue(message: Message) -> PermanentError:
    return PermanentError(f"there is no queue {message.queue!r} in namespace {message.namespace!r}")
