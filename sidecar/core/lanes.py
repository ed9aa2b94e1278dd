"""Lanes: the deliveries of one session, in order, with the state of the one at its head."""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from contracts.message import Message
from contracts.records import Ending

GONE = 0
"""The channel number of a delivery whose channel has ended while its attempt goes on."""


class Phase(IntEnum):
    """What happens to the head of a lane."""

    READY = 0
    """It waits for a free place in the handler."""
    PARKED = 1
    """It waits for something outside: a session held elsewhere, room, its due time, an end of the pause."""
    ASKED = 2
    """The store was asked for it."""
    RUNNING = 3
    """The handler was called with it."""
    ENDING = 4
    """The store was told how the attempt ended."""
    BURYING = 5
    """Its dead letter is being published."""


ACTIVE = frozenset({Phase.ASKED, Phase.RUNNING, Phase.ENDING, Phase.BURYING})
"""Phases in which an attempt, or the end of one, outlives its channel."""


class Delivery:
    """A message as it was delivered; ``channel`` is ``GONE`` once there is nothing left to ack on."""

    __slots__ = ("channel", "message", "tag")

    def __init__(self, channel: int, tag: int, message: Message) -> None:
        self.channel = channel
        self.tag = tag
        self.message = message

    def is_same(self, message: Message) -> bool:
        return self.message.id == message.id and self.message.generation == message.generation


class Lane:
    """One session's deliveries. All but ``key``, ``waiting`` and ``phase`` describe the attempt at the head.

    ``tries`` rises whenever the head leaves ``PARKED``, so that a timer set for an earlier wait is known as stale.
    """

    __slots__ = (
        "attempt", "call", "ending", "epoch", "failures", "interruptions", "key", "nonce", "phase", "started_at",
        "started_monotonic", "tries", "waiting",
    )  # fmt: skip

    def __init__(self, key: str) -> None:
        self.key = key
        self.waiting: deque[Delivery] = deque()
        self.phase = Phase.READY
        self.tries = 0
        self.nonce = 0
        self.epoch = 0
        self.attempt = 0
        self.failures = 0
        self.interruptions = 0
        self.call = 0
        self.started_at = 0.0
        self.started_monotonic = 0.0
        self.ending: Ending | None = None

    @property
    def head(self) -> Delivery:
        return self.waiting[0]


class Channel:
    """One subscription to one partition. ``acked`` are the acks that are not yet proven: tag -> (id, generation)."""

    __slots__ = ("acked", "bytes", "close_at", "number", "outstanding", "partition", "window")

    def __init__(self, number: int, partition: int, window: int) -> None:
        self.number = number
        self.partition = partition
        self.window = window
        self.outstanding = 0
        self.bytes = 0
        self.acked: dict[int, tuple[str, int]] = {}
        self.close_at: float | None = None
