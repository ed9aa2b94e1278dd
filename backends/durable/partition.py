"""A partition whose messages are on disk: a page of its head in memory, and the channels in line for it."""

from __future__ import annotations

from collections import deque
from typing import Final

from backends.durable.journal import Journal
from backends.durable.schema import key_range
from backends.ports import OnHappenings
from contracts.deliveries import ChannelLost, Delivered, Happening, NothingFollows
from contracts.message import Message, decode_message

PAGE: Final = 256
"""How many ready messages of a partition are in memory at most."""
SMALL_BYTES: Final = 16_384
"""A message with a longer body is read again when its turn comes."""
_PAGE_BYTES: Final = PAGE * SMALL_BYTES

COUNT: Final = "SELECT count(*), max(key) FROM messages WHERE key BETWEEN ? AND ?"
SIZES: Final = "SELECT key, length(body) FROM messages WHERE key > ? AND key <= ? ORDER BY key LIMIT ?"
READ: Final = "SELECT key, body FROM messages WHERE key > ? AND key <= ? ORDER BY key"

Stored = tuple[int, Message]


class Mouth:
    """Where happenings leave: a turn of them together, and none of a channel that was closed."""

    def __init__(self, journal: Journal, on_happenings: OnHappenings) -> None:
        self._journal = journal
        self._on_happenings = on_happenings
        self._pending: list[Happening] = []

    def happen(self, happening: Happening) -> None:
        if not self._pending:
            self._journal.soon(self._flush)
        self._pending.append(happening)

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if pending:
            self._on_happenings(pending)

    def hush(self, channel: int) -> None:
        self._pending = [h for h in self._pending if h.channel != channel]


class Channel:
    """One channel of a consumer. ``unacked`` by tag."""

    __slots__ = ("lost", "mouth", "next_tag", "number", "partition", "told_end", "unacked", "window")

    def __init__(self, mouth: Mouth, number: int, partition: StoredPartition, window: int) -> None:
        self.mouth = mouth
        self.number = number
        self.partition = partition
        self.window = window
        self.unacked: dict[int, Stored] = {}
        self.next_tag = 1
        self.told_end = False
        self.lost = False

    def lose(self, reason: str) -> None:
        """It ends as if the connection had been cut: what was on its way is lost with it."""
        self.lost = True
        self.mouth.hush(self.number)
        self.mouth.happen(ChannelLost(self.number, reason))


class StoredPartition:
    """``waiting`` are ready, in memory or not; ``over``: nothing is added.

    All of its keys up to ``read_to`` are in memory or delivered; those up to ``held_to`` are confirmed.
    """

    __slots__ = ("held_to", "journal", "line", "number", "over", "read_to", "ready", "waiting")

    def __init__(self, journal: Journal, number: int) -> None:
        self.journal = journal
        self.number = number
        self.line: list[Channel] = []
        self.over = False
        self.ready: deque[Stored] = deque()
        first, last = key_range(number)
        ((self.waiting, newest),) = journal.read(COUNT, (first, last))
        self.read_to = first - 1
        self.held_to: int = first - 1 if newest is None else newest

    @property
    def empty(self) -> bool:
        return not self.waiting and not any(channel.unacked for channel in self.line)

    def add(self, key: int, message: Message) -> None:
        """The disk holds it now. In memory too where all that is before it is, and there is room."""
        ready = self.ready
        if len(ready) == self.waiting and len(ready) < PAGE and len(message.body) <= SMALL_BYTES:
            ready.append((key, message))
            self.read_to = key
        self.waiting += 1
        self.held_to = key

    def head(self) -> Message | None:
        """What is delivered next."""
        if not self.ready and self.waiting:
            self._page()
        return self.ready[0][1] if self.ready else None

    def _page(self) -> None:
        last, size = self.read_to, 0
        for key, length in self.journal.read(SIZES, (self.read_to, self.held_to, PAGE)):
            last, size = key, size + length
            if size > _PAGE_BYTES:
                break
        found = self.journal.read(READ, (self.read_to, last))
        self.ready.extend((key, decode_message(body)) for key, body in found)
        self.read_to = last

    def pump(self) -> None:
        if not self.line:
            return
        channel = self.line[0]
        unacked, happen = channel.unacked, channel.mouth.happen
        while self.waiting and len(unacked) < channel.window and self.head() is not None:
            stored = unacked[channel.next_tag] = self.ready.popleft()
            self.waiting -= 1
            happen(Delivered(channel.number, channel.next_tag, stored[1]))
            channel.next_tag += 1
        if self.over and not self.waiting and not channel.told_end:
            channel.told_end = True
            happen(NothingFollows(channel.number))

    def end(self, channel: Channel) -> None:
        self.line.remove(channel)
        self.ready.extendleft(reversed(channel.unacked.values()))
        self.waiting += len(channel.unacked)
        channel.unacked.clear()
        self.pump()
