"""A queue, messages for it, and a consumer whose happenings a test can wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from backends.ports import Broker, Consumer
from contracts.deliveries import Delivered, Happening
from contracts.message import Message
from contracts.topology import Partition
from contracts.workqueue import WorkQueue, parse_spec

WHERE = ("default", "q")
ONLY = Partition(1, 0)


def queue(partitions: int = 1) -> WorkQueue:
    return WorkQueue(name="q", spec=parse_spec({"partitions": partitions}))


def message(number: int, session: str | None = "s") -> Message:
    return Message(namespace="default", queue="q", id=f"m{number}", session=session, body=b"%d" % number)


class Listener:
    """A consumer that keeps what happened, in order, and lets a test wait for it."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.happened: list[Happening] = []
        self._stirred = asyncio.Event()
        self.consumer: Consumer = broker.consumer(*WHERE, name, self._on)

    def _on(self, happenings: list[Happening]) -> None:
        self.happened += happenings
        self._stirred.set()

    def delivered(self, channel: int) -> list[str]:
        return [h.message.id for h in self.happened if isinstance(h, Delivered) and h.channel == channel]

    def tags(self, channel: int) -> list[int]:
        return [h.tag for h in self.happened if isinstance(h, Delivered) and h.channel == channel]

    def saw(self, kind: type) -> bool:
        return any(isinstance(h, kind) for h in self.happened)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._stirred.clear()
                await self._stirred.wait()


async def publish(broker: Broker, *messages: Message) -> None:
    assert [None] * len(messages) == await broker.publish(messages)
