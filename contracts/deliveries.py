"""The words between a broker and who consumes from it: one channel a partition, numbered by the consumer."""

from __future__ import annotations

import msgspec

from contracts.message import Message


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """A message, unsettled until its tag is acked on this channel. Tags rise within a channel."""

    channel: int
    tag: int
    message: Message


class ChannelLost(msgspec.Struct, frozen=True, gc=False):
    """The channel has ended, whoever ended it: what was not acked on it goes back to the queue's head, in order."""

    channel: int
    reason: str


class Proven(msgspec.Struct, frozen=True, gc=False):
    """The broker has provably taken these acks."""

    channel: int
    tags: list[int]


class NothingFollows(msgspec.Struct, frozen=True, gc=False):
    """All that the partition will ever hold was delivered on this channel: the queue has a newer set of partitions.

    Said again on each channel that is served with the partition, behind what it is given.
    """

    channel: int


Happening = Delivered | ChannelLost | Proven | NothingFollows


class Depth(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How many messages a queue holds. ``unacked`` over all; ``dead`` its dead letters.

    ``ready`` is per partition of the newest set; what older sets hold is counted to the partition of the same number.
    ``scheduled`` are those that come back when they are due.
    """

    ready: tuple[int, ...]
    unacked: int
    dead: int
    scheduled: int = 0
    oldest_enqueued_at: float | None = None
