"""The HTTP API over embedded broker and store, on a real port; and a worker that ends messages as a test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from backends.embedded.broker import EmbeddedBroker
from backends.embedded.store import EmbeddedStore
from contracts.deliveries import Delivered, Depth, Happening
from contracts.errors import KubedaemonError, TransientError
from contracts.events import Stretch
from contracts.fence import Claim, Commit, Fail, Renew
from contracts.message import DeadLetter, Message
from contracts.problems import BASE, MEDIA_TYPE
from contracts.records import Attempt, Ending, Record, Report, State
from contracts.replies import Claimed
from contracts.tokens import derive_keys
from contracts.topology import Partition
from dispatcher.ports import Tokens
from dispatcher.runtime import Dispatcher

REPLICA = "replica-0#1"
QUEUE = "/v1/namespaces/default/queues/orders"


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Returns once it holds; fails where it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to this in time"
        await asyncio.sleep(0.005)


class Broker(EmbeddedBroker):
    """Can be away, and counts what was published."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.published: list[Message] = []

    async def publish(self, messages: Sequence[Message]) -> list[KubedaemonError | None]:
        if self.away:
            return [TransientError("the broker is away")] * len(messages)
        outcomes = await super().publish(messages)
        self.published += [m for m, error in zip(messages, outcomes, strict=True) if error is None]
        return outcomes

    async def depth(self, namespace: str, queue: str) -> Depth:
        if self.away:
            raise TransientError("the broker is away")
        return await super().depth(namespace, queue)


class Store(EmbeddedStore):
    """Can be away, or broken in a way that nobody foresaw."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.defect: Exception | None = None
        self.waiting = asyncio.Event()

    def _check(self) -> None:
        if self.defect is not None:
            raise self.defect
        if self.away:
            raise TransientError("the store is away")

    async def admit(self, message: Message, digest: bytes) -> Record | None:
        self._check()
        return await super().admit(message, digest)

    async def confirm(self, messages: Sequence[Message]) -> None:
        self._check()
        await super().confirm(messages)

    async def message(self, namespace: str, queue: str, message_id: str) -> Record | None:
        self._check()
        return await super().message(namespace, queue, message_id)

    async def tail(self, namespace: str, queue: str) -> str:
        self._check()
        return await super().tail(namespace, queue)

    async def events(self, namespace: str, queue: str, after: str, **given: Any) -> Stretch:
        self._check()
        return await super().events(namespace, queue, after, **given)

    async def wait(self, namespace: str, queue: str, message_id: str, timeout_seconds: float) -> Record | None:
        self._check()
        self.waiting.set()
        return await super().wait(namespace, queue, message_id, timeout_seconds)


class Reply:
    """An answer, read to its end."""

    def __init__(self, status: int, headers: Any, body: bytes, value: Any) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.json = value

    @property
    def problem(self) -> str:
        """The slug of the problem; fails where the answer is none."""
        assert self.headers["Content-Type"] == MEDIA_TYPE
        assert self.json["status"] == self.status
        assert self.json["title"]
        assert self.json["detail"]
        return str(self.json["type"]).removeprefix(BASE)


class Api:
    """Calls the API. ``clock`` is what the dispatcher takes for now; without ``tokens`` it is open."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.broker = Broker()
        self.store = Store()
        self.clock = time.time()
        self.registry = CollectorRegistry()
        self.dispatcher = Dispatcher(
            broker=self.broker,
            store=self.store,
            keys=derive_keys([b"s" * 32]),
            registry=self.registry,
            tokens=tokens,
            wall=lambda: self.clock,
        )
        self.port = 0
        self.session: aiohttp.ClientSession

    async def call(self, method: str, path: str, **given: Any) -> Reply:
        """``path`` is below the queue ``orders``, unless it begins with a slash."""
        if not path.startswith("/"):
            path = f"{QUEUE}{'' if path[:1] in ('', '?') else '/'}{path}"
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, **given) as response:
            body = await response.read()
            value = (
                await response.json(content_type=None) if "json" in response.headers.get("Content-Type", "") else None
            )
            return Reply(response.status, response.headers, body, value)

    async def make(self, name: str = "orders", **spec: Any) -> None:
        reply = await self.call(
            "PUT", f"/v1/namespaces/default/queues/{name}", json={"spec": {"partitions": 1, **spec}}
        )
        assert reply.status in (200, 201), reply.json

    async def send(self, body: bytes = b"hello", **headers: str) -> str:
        """Enqueues; the id."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = await self.call("POST", "messages", data=body, headers=named)
        assert reply.status == 202, reply.json
        return str(reply.json["id"])

    async def raw(self, data: bytes) -> bytes:
        """What comes back for bytes that no client would send; everything until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def running(**spec: Any) -> AsyncIterator[Api]:
    """A dispatcher with the queue ``orders``."""
    api = Api()
    api.port = await api.dispatcher.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as api.session:
        await api.make(**spec)
        yield api
    await api.dispatcher.stop()


class Worker:
    """A replica of one queue, step by step."""

    def __init__(self, api: Api, queue: str = "orders", partitions: int = 1) -> None:
        self._api = api
        self._where = ("default", queue)
        self._delivered: asyncio.Queue[Delivered] = asyncio.Queue()
        self._consumer = api.broker.consumer(*self._where, REPLICA, self._happen)
        self._epochs: dict[str, Claimed] = {}
        self._nonce = 0
        for partition in range(partitions):
            self._consumer.open(partition + 1, Partition(partitions, partition), 1000)

    def _happen(self, happenings: list[Happening]) -> None:
        for happening in happenings:
            if isinstance(happening, Delivered):
                self._delivered.put_nowait(happening)

    def stop(self) -> None:
        self._consumer.stop()

    async def report(self, report: Report) -> None:
        await self._api.store.turn(*self._where, REPLICA, [Renew(60.0, report)])

    async def start(self) -> Delivered:
        """Takes the next message and claims it."""
        delivered = await asyncio.wait_for(self._delivered.get(), 10)
        self._nonce += 1
        claim = Claim(delivered.message, self._nonce, 100, self._api.clock)
        await self.report(Report(ready=True))
        (reply,) = await self._api.store.turn(*self._where, REPLICA, [claim])
        assert isinstance(reply, Claimed), reply
        self._epochs[delivered.message.id] = reply
        return delivered

    def _attempt(self, message: Message, status: int, outcome: str, body: bytes) -> tuple[int, Attempt]:
        claimed = self._epochs.pop(message.id)
        attempt = Attempt(
            attempt=claimed.attempt,
            replica="replica-0",
            started_at=self._api.clock,
            ended_at=self._api.clock,
            status=status,
            outcome=outcome,
            body=body.decode("utf-8", "replace"),
        )
        return claimed.epoch, attempt

    async def retry(self, delivered: Delivered, status: int = 500) -> None:
        epoch, attempt = self._attempt(delivered.message, status, "retry", b"not now")
        operation = Fail(delivered.message, epoch, attempt, False, self._api.clock)
        await self._api.store.turn(*self._where, REPLICA, [operation])

    async def end(
        self,
        delivered: Delivered,
        state: State = State.SUCCEEDED,
        *,
        status: int = 200,
        body: bytes = b"done",
        content_type: str | None = "text/plain",
        reason: str = "",
    ) -> None:
        """Commits the end and acks; a dead message is buried first."""
        message = delivered.message
        outcome = "ack" if state is State.SUCCEEDED else "dead-letter"
        epoch, attempt = self._attempt(message, status, outcome, body)
        ending = Ending(
            state=state, ended_at=self._api.clock, reason=reason, status=status, content_type=content_type, body=body
        )
        await self._api.store.turn(*self._where, REPLICA, [Commit(message, epoch, attempt, ending)])
        if state is State.DEAD:
            letter = DeadLetter(message=message, reason=reason, dead_at=self._api.clock, attempts=attempt.attempt)
            await self._api.broker.bury([letter])
        self._consumer.ack(delivered.channel, [delivered.tag])

    async def kill(self, count: int, reason: str = "the handler answered 422") -> list[str]:
        """Dead-letters the next messages, a second apart; their ids."""
        ids = []
        for _ in range(count):
            delivered = await self.start()
            await self.end(delivered, State.DEAD, status=422, body=b"no such account", reason=reason)
            ids.append(delivered.message.id)
            self._api.clock += 1
        return ids
