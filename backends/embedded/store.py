"""The embedded store: fence, read model, pushes and definitions in memory, with two clocks handed in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from backends.embedded import orders
from backends.embedded.broker import CallSoon
from backends.embedded.fence import apply
from backends.embedded.state import Kept, Now, QueueState
from backends.ports import OnChange, OnPush
from contracts.errors import PermanentError
from contracts.events import Stretch
from contracts.fence import Operation
from contracts.message import Message
from contracts.records import Attempt, Held, Record, Replica, Scale, State, replica_name
from contracts.replies import Push, Reply
from contracts.topology import Partition
from contracts.workqueue import WorkQueue

Clock = Callable[[], float]


class EmbeddedStore:
    """A ``backends.ports.Store`` in memory. What has expired is dropped as turns and readers come by."""

    def __init__(
        self, monotonic: Clock = time.monotonic, wall: Clock = time.time, call_soon: CallSoon | None = None
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._call_soon = call_soon or (lambda callback: asyncio.get_running_loop().call_soon(callback))
        self._queues: dict[tuple[str, str], QueueState] = {}
        self._sinks: dict[tuple[str, str, str], OnPush] = {}
        self._waits: dict[tuple[str, str, str], set[asyncio.Event]] = {}
        self._definitions: dict[tuple[str, str], WorkQueue] = {}
        self._watchers: list[OnChange] = []

    def _state(self, namespace: str, queue: str) -> QueueState:
        key = (namespace, queue)
        state = self._queues.get(key)
        if state is None:

            def push(incarnation: str, what: Push) -> None:
                sink = self._sinks.get((namespace, queue, incarnation))
                if sink is not None:
                    self._call_soon(lambda: sink(what))

            def ended(message_id: str) -> None:
                for event in self._waits.pop((namespace, queue, message_id), ()):
                    event.set()

            state = self._queues[key] = QueueState(push, ended)
        return state

    # The fence

    async def turn(self, namespace: str, queue: str, incarnation: str, operations: Sequence[Operation]) -> list[Reply]:
        return self.apply(namespace, queue, incarnation, operations)

    def apply(self, namespace: str, queue: str, incarnation: str, operations: Sequence[Operation]) -> list[Reply]:
        """``turn``, for those who are not in an event loop."""
        now = Now(self._monotonic(), self._wall())
        return apply(self._state(namespace, queue), incarnation, list(operations), now)

    def subscribe(self, namespace: str, queue: str, incarnation: str, on_push: OnPush) -> Callable[[], None]:
        key = (namespace, queue, incarnation)
        self._sinks[key] = on_push
        return lambda: self._sinks.pop(key, None) and None

    # What senders and readers see

    async def admit(self, message: Message, digest: bytes) -> Record | None:
        state = self._state(message.namespace, message.queue)
        state.expire(self._monotonic())
        known = state.records.get(message.id)
        if known is not None:
            return _shown(known, self._wall())
        state.record_of(message).digest = digest
        return None

    async def confirm(self, messages: Sequence[Message]) -> None:
        at = self._wall()
        for message in messages:
            state = self._state(message.namespace, message.queue)
            record = state.record_of(message)
            if not record.confirmed and record.state in (State.QUEUED, State.SCHEDULED):
                state.log.note(record, at)
            record.confirmed = True

    async def is_confirmed(self, namespace: str, queue: str, message_id: str) -> bool:
        record = self._state(namespace, queue).records.get(message_id)
        return record is not None and (record.confirmed or record.attempt > 0 or record.ending is not None)

    async def message(self, namespace: str, queue: str, message_id: str) -> Record | None:
        state = self._state(namespace, queue)
        state.expire(self._monotonic())
        record = state.records.get(message_id)
        return None if record is None else _shown(record, self._wall())

    async def wait(self, namespace: str, queue: str, message_id: str, timeout_seconds: float) -> Record | None:
        record = await self.message(namespace, queue, message_id)
        if timeout_seconds <= 0 or (record is not None and record.state.final):
            return record
        key, event = (namespace, queue, message_id), asyncio.Event()
        self._waits.setdefault(key, set()).add(event)
        try:
            await asyncio.wait_for(event.wait(), timeout_seconds)
        except TimeoutError:
            pass
        finally:
            waiting = self._waits.get(key)
            if waiting is not None:
                waiting.discard(event)
                if not waiting:
                    del self._waits[key]
        return await self.message(namespace, queue, message_id)

    async def messages(
        self, namespace: str, queue: str, *, state: State | None, session: str | None, limit: int, after: str | None
    ) -> tuple[list[Record], str | None]:
        kept = self._state(namespace, queue)
        kept.expire(self._monotonic())
        start = kept.serial + 1 if after is None else _cursor(after)
        found: list[Record] = []
        oldest, now = next(iter(kept.by_serial), 0), self._wall()
        for serial in range(start - 1, oldest - 1, -1):
            record = kept.records.get(kept.by_serial.get(serial, ""))
            if record is None or (session is not None and record.session != session):
                continue
            shown = _shown(record, now)
            if state and shown.state is not state:
                continue
            if len(found) == limit:
                return found, str(serial + 1)
            found.append(shown)
        return found, None

    async def held(self, namespace: str, queue: str) -> list[Held]:
        locks = sorted(self._state(namespace, queue).locks.values(), key=lambda lock: lock.epoch)
        return [
            Held(
                session=lock.session,
                message_id=lock.message_id,
                replica=replica_name(lock.owner),
                since=lock.since,
                epoch=lock.epoch,
            )
            for lock in locks
        ]

    async def replicas(self, namespace: str, queue: str) -> list[Replica]:
        state = self._state(namespace, queue)
        return [
            Replica(incarnation=name, report=state.members[name].report) for name in state.living(self._monotonic())
        ]

    async def put_scale(self, namespace: str, queue: str, scale: Scale) -> None:
        self._state(namespace, queue).scale = scale

    async def scale(self, namespace: str, queue: str) -> Scale:
        return self._state(namespace, queue).scale

    async def redriven(self, message: Message) -> None:
        state = self._state(message.namespace, message.queue)
        record = state.record_of(message)
        record.confirmed = True
        if record.state is State.QUEUED:
            state.log.note(record, self._wall())

    # What happened

    async def tail(self, namespace: str, queue: str) -> str:
        return self._state(namespace, queue).log.tail()

    async def events(
        self, namespace: str, queue: str, after: str, *, limit: int, until: str | None = None, wait_seconds: float = 0.0
    ) -> Stretch:
        if wait_seconds > 0:
            await self._state(namespace, queue).log.wait(after, wait_seconds)
        return self._state(namespace, queue).log.read(after, until, limit)

    # Orders

    async def redrive_in_place(self, message: Message) -> bool:
        state = self._state(message.namespace, message.queue)
        done = orders.redrive_in_place(state, message)
        if done and state.records[message.id].state is State.QUEUED:
            state.log.note(state.records[message.id], self._wall())
        return done

    async def cancel(self, namespace: str, queue: str, message_id: str) -> Record | None:
        wall = self._wall()
        return _maybe_shown(orders.cancel(self._state(namespace, queue), message_id, wall), wall)

    async def release(self, namespace: str, queue: str, session: str, retry_seconds: float) -> Record | None:
        wall = self._wall()
        return _maybe_shown(orders.release(self._state(namespace, queue), session, wall + retry_seconds, wall), wall)

    async def skip(self, namespace: str, queue: str, session: str, reason: str) -> Record | None:
        wall = self._wall()
        return _maybe_shown(orders.skip(self._state(namespace, queue), session, reason, wall), wall)

    async def emptied(self, namespace: str, queue: str) -> set[Partition]:
        return {one for one, lanes in self._state(namespace, queue).emptied.items() if not lanes}

    async def forget(self, namespace: str, queue: str) -> None:
        self._queues.pop((namespace, queue), None)

    # Definitions

    async def put(self, workqueue: WorkQueue) -> None:
        self._definitions[workqueue.namespace, workqueue.name] = workqueue
        self._tell(workqueue.namespace, workqueue.name, workqueue)

    async def get(self, namespace: str, queue: str) -> WorkQueue | None:
        return self._definitions.get((namespace, queue))

    async def list(self, namespace: str | None = None) -> list[WorkQueue]:
        return [found for (where, _), found in sorted(self._definitions.items()) if namespace in (None, where)]

    async def delete(self, namespace: str, queue: str) -> None:
        if self._definitions.pop((namespace, queue), None) is not None:
            self._tell(namespace, queue, None)

    def _tell(self, namespace: str, queue: str, workqueue: WorkQueue | None) -> None:
        for watcher in list(self._watchers):
            watcher(namespace, queue, workqueue)

    def watch(self, on_change: OnChange) -> Callable[[], None]:
        self._watchers.append(on_change)
        for workqueue in self._definitions.values():
            on_change(workqueue.namespace, workqueue.name, workqueue)
        return lambda: self._watchers.remove(on_change)


def _cursor(after: str) -> int:
    if not after.isascii() or not after.isdigit() or len(after) > 18:
        raise PermanentError(f"after: {after[:40]!r} is not a cursor that a list gave")
    return int(after)


def _maybe_shown(kept: Kept | None, wall: float) -> Record | None:
    return None if kept is None else _shown(kept, wall)


def _shown(kept: Kept, wall: float) -> Record:
    """A copy for readers; an attempt that runs is shown without an end, what is not due yet as scheduled."""
    record = msgspec.structs.replace(kept, attempts=list(kept.attempts))
    if kept.state is State.QUEUED and kept.deliver_at > wall:
        record.state = State.SCHEDULED
    if kept.open_by is not None:
        running = Attempt(
            attempt=kept.attempt,
            replica=replica_name(kept.open_by),
            started_at=kept.opened_at,
            outcome="accepted" if kept.accepted else None,
        )
        record.attempts.append(running)
    return record
