"""Sidecars over embedded broker and store, and what has become of the messages that a test sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from backends.embedded.broker import EmbeddedBroker, EmbeddedConsumer
from backends.embedded.store import EmbeddedStore
from backends.ports import OnHappenings
from contracts.errors import KubedaemonError, TransientError
from contracts.fence import Claim, Operation, Propose
from contracts.message import DeadLetter, Message
from contracts.records import Plan, Record, Report, State, replica_name
from contracts.replies import Planned, Reply
from contracts.tokens import derive_keys
from contracts.workqueue import WorkQueue, parse_spec
from sidecar.adapters.handler_client import HttpHandlerClient
from sidecar.runtime import Sidecar
from sidecar.telemetry import Telemetry
from tests.system.test_sidecar_handler_scene import Handler, Script, answering, reply

WHERE = ("default", "orders")
KEYS = derive_keys([b"s" * 32])
SECONDS = 10.0
"""The longest that anything may take to come about."""

T = TypeVar("T")


async def until(look: Callable[[], T], wanted: Callable[[T], object] = bool) -> T:
    """Looks again and again; the first that is wanted. Fails, with the last one seen, where none comes in time."""

    async def read() -> T:
        return look()

    return await until_read(read, wanted)


async def until_read(read: Callable[[], Awaitable[T]], wanted: Callable[[T], object] = bool) -> T:
    """As ``until``, for what has to be awaited."""
    deadline = time.monotonic() + SECONDS
    while not wanted(value := await read()):
        assert time.monotonic() < deadline, f"it did not come to this in time, it stayed at {value!r}"
        await asyncio.sleep(0.005)
    return value


class Broker(EmbeddedBroker):
    """Takes dead letters only while ``buries`` is set, and can cut a replica off."""

    def __init__(self) -> None:
        super().__init__()
        self.buries = True
        self.refused_burials = 0
        self._consumers: dict[str, EmbeddedConsumer] = {}

    def consumer(self, namespace: str, queue: str, name: str, on_happenings: OnHappenings) -> EmbeddedConsumer:
        made = self._consumers[replica_name(name)] = super().consumer(namespace, queue, name, on_happenings)
        return made

    def cut_off(self, replica: str) -> None:
        self._consumers[replica].lose("the connection was cut")

    async def bury(self, letters: Sequence[DeadLetter]) -> list[KubedaemonError | None]:
        if not self.buries:
            self.refused_burials += 1
            return [TransientError("not now")] * len(letters)
        return await super().bury(letters)


class Store(EmbeddedStore):
    """Its time can be moved on, it is away for some replicas or broken, and it keeps what it answered to whom."""

    def __init__(self) -> None:
        super().__init__(monotonic=lambda: time.monotonic() + self.ahead_seconds)
        self.ahead_seconds = 0.0
        self.away_for: set[str] = set()
        self.defect: Exception | None = None
        self.answered: list[tuple[str, Operation, Reply]] = []

    async def turn(self, namespace: str, queue: str, incarnation: str, operations: Sequence[Operation]) -> list[Reply]:
        replica = replica_name(incarnation)
        if self.defect is not None:
            raise self.defect
        if replica in self.away_for:
            raise TransientError("the store is away")
        replies = await super().turn(namespace, queue, incarnation, operations)
        self.answered += [(replica, *pair) for pair in zip(operations, replies, strict=True)]
        return replies

    def asked(self, kind: type[Operation]) -> list[Operation]:
        """All that was asked of this kind."""
        return [operation for _, operation, _ in self.answered if isinstance(operation, kind)]

    def claims(self, answer: type[Reply]) -> set[str]:
        """The messages whose claims were answered so."""
        return {op.message.id for _, op, reply in self.answered if isinstance(op, Claim) and isinstance(reply, answer)}


class Scene:
    """One queue, and whatever sidecars and handlers a test starts for it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.broker = Broker()
        self.store = Store()
        self.registry = CollectorRegistry()
        self.sidecars: list[Sidecar] = []
        self._telemetry = Telemetry(self.registry)
        self._spec = spec
        self._handlers: list[Handler] = []

    def workqueue(self, **changes: Any) -> WorkQueue:
        return WorkQueue(name="orders", spec=parse_spec({**self._spec, **changes}))

    async def handler(self, *answers: bytes, script: Script | None = None) -> Handler:
        """A handler that listens; see ``answering``. Without answers it is content with everything."""
        handler = Handler(script or answering(*(answers or (reply(),))))
        self._handlers.append(handler)
        await handler.up()
        return handler

    def start(self, handler: Handler | None, name: str = "orders-1") -> Sidecar:
        sidecar = Sidecar(
            self.workqueue(),
            f"{name}#{len(self.sidecars)}",
            broker=self.broker,
            store=self.store,
            make_client=lambda *where: HttpHandlerClient(*where, idle_seconds=1000),
            telemetry=self._telemetry,
            keys=KEYS,
        )
        self.sidecars.append(sidecar)
        if handler is not None:
            sidecar.attach("127.0.0.1", handler.port)
        return sidecar

    async def send(self, *ids: str, session: str | None = None, body: bytes = b"hello") -> None:
        messages = [
            Message(namespace="default", queue="orders", id=id, session=session, body=body, enqueued_at=time.time())
            for id in ids
        ]
        assert [None] * len(messages) == await self.broker.publish(messages)

    async def record(self, message_id: str) -> Record | None:
        return await self.store.message(*WHERE, message_id)

    async def known(self, message_id: str, wanted: Callable[[Record], bool] = lambda record: True) -> Record:
        """The record, once there is one that is wanted."""
        found = await until_read(lambda: self.record(message_id), lambda record: record is not None and wanted(record))
        assert found is not None
        return found

    async def ended(self, message_id: str) -> Record:
        """The record, once the message has ended."""
        return await self.known(message_id, lambda record: record.state.final)

    async def failed(self, message_id: str, attempts: int = 1) -> Record:
        """The record, once so many attempts have ended and another is to come."""
        return await self.known(
            message_id, lambda record: record.state is State.RETRYING and attempts == len(record.attempts)
        )

    async def ready(self) -> int:
        return sum((await self.broker.depth(*WHERE)).ready)

    async def unacked(self) -> int:
        return (await self.broker.depth(*WHERE)).unacked

    async def settled(self) -> None:
        """Returns once the broker holds nothing to be handled any more."""

        async def left() -> int:
            return await self.ready() + await self.unacked()

        await until_read(left, lambda count: count == 0)

    async def dead(self) -> list[DeadLetter]:
        """The dead letters, once there are any."""
        return await until_read(lambda: self.broker.browse(*WHERE), lambda letters: bool(letters))

    async def report(self, wanted: Callable[[Report], bool]) -> Report:
        """The report of the only replica, once it is wanted."""

        async def read() -> list[Report]:
            replicas = await self.store.replicas(*WHERE)
            return [replica.report for replica in replicas if wanted(replica.report)]

        (report,) = await until_read(read)
        return report

    async def owners(self, *replicas: str) -> list[str]:
        """Which replica owns each partition, once all of them and no others own any."""

        async def read() -> list[str]:
            # A plan that does not follow is answered with the one that holds.
            (planned,) = await self.store.turn(*WHERE, "reader", [Propose(Plan())])
            assert isinstance(planned, Planned)
            return [replica_name(owner or "") for owner in planned.plan.owners]

        return await until_read(read, lambda owners: set(replicas) == set(owners))

    def value(self, metric: str, **labels: str) -> float | None:
        where = {"namespace": "default", "queue": "orders", **labels}
        return self.registry.get_sample_value(f"kubedaemon_sidecar_{metric}", where)

    async def end(self) -> None:
        for sidecar in self.sidecars:
            await sidecar.close()
        for handler in self._handlers:
            await handler.end()


@asynccontextmanager
async def scene(**spec: Any) -> AsyncIterator[Scene]:
    """A queue of one partition that retries almost at once, unless ``spec`` says otherwise."""
    delivery: dict[str, Any] = {"backoff": {"initialSeconds": 0.01, "maxSeconds": 300, "multiplier": 1}}
    spec = {"partitions": 1, **spec, "delivery": {**delivery, **spec.get("delivery", {})}}
    staged = Scene(spec)
    await staged.broker.declare(staged.workqueue())
    try:
        yield staged
    finally:
        await staged.end()
    await until(lambda: asyncio.all_tasks() - {asyncio.current_task()}, lambda left: not left)
