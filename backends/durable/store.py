"""The durable store: the embedded one, whose answers and pushes leave only once what they follow from is on disk."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import msgspec

from backends.durable.journal import Journal
from backends.durable.schema import key_range
from backends.durable.state import KeptState
from backends.embedded.store import Clock, EmbeddedStore
from contracts.events import Stretch
from contracts.fence import Mark, Operation, Settle
from contracts.message import Message
from contracts.records import Record, State
from contracts.replies import Claimed, Done, Push, Reply
from contracts.workqueue import WorkQueue

BEGIN: Final = "INSERT INTO states VALUES (?, ?, ?, ?)"
DEFINE: Final = "INSERT OR REPLACE INTO definitions VALUES (?, ?, ?)"
UNDEFINE: Final = "DELETE FROM definitions WHERE namespace = ? AND name = ?"

_encode = msgspec.msgpack.Encoder().encode
_decode_definition = msgspec.msgpack.Decoder(WorkQueue).decode


class DurableStore(EmbeddedStore):
    """A ``backends.ports.Store`` in a journal's file. Each start is a new life: whatever ran then is interrupted."""

    _queues: dict[tuple[str, str], KeptState]  # type: ignore[assignment]  # these and no others are made here

    def __init__(self, journal: Journal, monotonic: Clock = time.monotonic, wall: Clock = time.time) -> None:
        super().__init__(monotonic, wall)
        self._journal = journal
        ((life,),) = journal.read("SELECT life FROM lives")
        self._life: int = life + 1
        journal.write("UPDATE lives SET life = ?", (self._life,))
        for number, namespace, name, log_name in journal.read("SELECT * FROM states"):
            self._make(namespace, name, number, log_name).load(wall())
        for (body,) in journal.read("SELECT body FROM definitions"):
            workqueue = _decode_definition(body)
            self._definitions[workqueue.namespace, workqueue.name] = workqueue
        journal.source(self._save)

    def _save(self) -> None:
        for state in self._queues.values():
            state.save()

    def _state(self, namespace: str, queue: str) -> KeptState:
        state = self._queues.get((namespace, queue))
        if state is None:
            number = max((other.number for other in self._queues.values()), default=0) + 1
            state = self._make(namespace, queue, number, None)
            self._journal.write(BEGIN, (number, namespace, queue, state.log.name))
        return state

    def _make(self, namespace: str, queue: str, number: int, log_name: str | None) -> KeptState:
        def push(incarnation: str, what: Push) -> None:
            sink = self._sinks.get((namespace, queue, incarnation))
            if sink is not None:
                self._journal.then(lambda: sink(what))

        def ended(message_id: str) -> None:
            self._journal.then(lambda: self._wake(namespace, queue, message_id))

        state = self._queues[namespace, queue] = KeptState(
            self._journal,
            number,
            push,
            ended,
            life=self._life,
            ahead=lambda: self._wall() - self._monotonic(),
            log_name=log_name,
        )
        return state

    def _wake(self, namespace: str, queue: str, message_id: str) -> None:
        for event in self._waits.pop((namespace, queue, message_id), ()):
            event.set()

    def _change(self, message: Message) -> None:
        self._state(message.namespace, message.queue).change(message.id)

    # The fence

    async def turn(self, namespace: str, queue: str, incarnation: str, operations: Sequence[Operation]) -> list[Reply]:
        self._journal.change()  # first, so that pushes wait for the commit that they follow from
        state = self._state(namespace, queue)
        replies = self.apply(namespace, queue, incarnation, operations)
        for operation, reply in zip(operations, replies, strict=True):
            _note(state, operation, reply)
        await self._journal.on_disk()
        return replies

    # What senders and readers see

    async def admit(self, message: Message, digest: bytes) -> Record | None:
        known = await super().admit(message, digest)
        if known is None:
            self._change(message)
        await self._journal.on_disk()
        return known

    async def confirm(self, messages: Sequence[Message]) -> None:
        await super().confirm(messages)
        for message in messages:
            self._change(message)
        await self._journal.on_disk()

    async def redriven(self, message: Message) -> None:
        await super().redriven(message)
        self._change(message)
        await self._journal.on_disk()

    async def message(self, namespace: str, queue: str, message_id: str) -> Record | None:
        record = await super().message(namespace, queue, message_id)
        await self._journal.on_disk()
        return record

    async def messages(
        self, namespace: str, queue: str, *, state: State | None, session: str | None, limit: int, after: str | None
    ) -> tuple[list[Record], str | None]:
        page = await super().messages(namespace, queue, state=state, session=session, limit=limit, after=after)
        await self._journal.on_disk()
        return page

    async def tail(self, namespace: str, queue: str) -> str:
        place = await super().tail(namespace, queue)
        await self._journal.on_disk()
        return place

    async def events(
        self, namespace: str, queue: str, after: str, *, limit: int, until: str | None = None, wait_seconds: float = 0.0
    ) -> Stretch:
        found = await super().events(namespace, queue, after, limit=limit, until=until, wait_seconds=wait_seconds)
        await self._journal.on_disk()
        return found

    async def forget(self, namespace: str, queue: str) -> None:
        state = self._queues.pop((namespace, queue), None)
        if state is not None:
            for table in ("records", "events"):
                self._journal.write(f"DELETE FROM {table} WHERE key BETWEEN ? AND ?", key_range(state.number))
            self._journal.write("DELETE FROM sessions WHERE queue = ?", (state.number,))
            self._journal.write("DELETE FROM states WHERE id = ?", (state.number,))
        await self._journal.on_disk()

    # Orders

    async def redrive_in_place(self, message: Message) -> bool:
        self._journal.change()
        done = await super().redrive_in_place(message)
        if done:
            self._change(message)
        await self._journal.on_disk()
        return done

    async def cancel(self, namespace: str, queue: str, message_id: str) -> Record | None:
        self._journal.change()
        return await self._ordered(namespace, queue, await super().cancel(namespace, queue, message_id))

    async def release(self, namespace: str, queue: str, session: str, retry_seconds: float) -> Record | None:
        self._journal.change()
        return await self._ordered(namespace, queue, await super().release(namespace, queue, session, retry_seconds))

    async def skip(self, namespace: str, queue: str, session: str, reason: str) -> Record | None:
        self._journal.change()
        return await self._ordered(namespace, queue, await super().skip(namespace, queue, session, reason))

    async def _ordered(self, namespace: str, queue: str, record: Record | None) -> Record | None:
        if record is not None:
            self._state(namespace, queue).change(record.id)
        await self._journal.on_disk()
        return record

    # Definitions

    async def put(self, workqueue: WorkQueue) -> None:
        self._journal.write(DEFINE, (workqueue.namespace, workqueue.name, _encode(workqueue)))
        await self._journal.on_disk()
        await super().put(workqueue)

    async def delete(self, namespace: str, queue: str) -> None:
        self._journal.write(UNDEFINE, (namespace, queue))
        await self._journal.on_disk()
        await super().delete(namespace, queue)


def _note(state: KeptState, operation: Operation, reply: Reply) -> None:
    """What an answer stands on is to be on disk. What was not allowed has changed nothing that lasts."""
    if not isinstance(reply, Claimed | Done):
        return
    if isinstance(operation, Settle):
        state.settle(len(operation.ids))
    elif isinstance(operation, Mark):
        state.change(operation.id)
    elif (message := getattr(operation, "message", None)) is not None:
        state.change(message.id)
