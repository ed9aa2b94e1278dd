"""One partition of the embedded broker: its messages, and the channels in line for it."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from contracts.deliveries import Delivered, Happening, NothingFollows
from contracts.message import Message


class Consuming(Protocol):
    """Whose channel it is."""

    def happen(self, happening: Happening) -> None: ...

    def drop(self, channel: int, reason: str) -> None: ...

    def lose(self, reason: str) -> None: ...


class Channel:
    """A subscription: at most ``window`` messages of it are unacked, by tag. ``told_end``: it knows that nothing follows."""

    __slots__ = ("consumer", "next_tag", "number", "partition", "told_end", "unacked", "window")

    def __init__(self, consumer: Consuming, number: int, partition: EmbeddedPartition, window: int) -> None:
        self.consumer = consumer
        self.number = number
        self.partition = partition
        self.window = window
        self.unacked: dict[int, Message] = {}
        self.next_tag = 1
        self.told_end = False


class EmbeddedPartition:
    """A queue of messages and the channels in line for it; the first in line is served. ``over``: nothing is added."""

    __slots__ = ("line", "over", "ready")

    def __init__(self) -> None:
        self.ready: deque[Message] = deque()
        self.line: list[Channel] = []
        self.over = False

    @property
    def empty(self) -> bool:
        return not self.ready and not any(channel.unacked for channel in self.line)

    def pump(self) -> None:
        if not self.line or not (self.ready or self.over):
            return
        channel = self.line[0]
        ready, unacked, happen = self.ready, channel.unacked, channel.consumer.happen
        tag, number = channel.next_tag, channel.number
        for _ in range(min(channel.window - len(unacked), len(ready))):
            message = unacked[tag] = ready.popleft()
            happen(Delivered(number, tag, message))
            tag += 1
        channel.next_tag = tag
        if self.over and not ready and not channel.told_end:
            channel.told_end = True
            happen(NothingFollows(number))

    def end(self, channel: Channel) -> None:
        self.line.remove(channel)
        self.ready.extendleft(reversed(channel.unacked.values()))
        channel.unacked.clear()
        self.pump()
