"""Lanes: the deliveries of one session, in order, with the state of the one at its head; and all of a replica's."""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from contracts.fence import Commit, Fail, Withdraw
from contracts.message import DeadLetter, Message
from contracts.records import Ending
from contracts.speech import Speaker
from contracts.topology import Partition
from sidecar.core.events import Now
from sidecar.core.outbox import Outbox
from sidecar.core.staging import Staged

GONE = 0
"""The channel number of a delivery whose channel has ended while its attempt goes on."""


class Phase(IntEnum):
    """What happens to the head of a lane."""

    READY = 0
    """It waits for a free place in the handler."""
    PARKED = 1
    """It waits for something outside: a session held elsewhere or blocked, room, its due time, an end of the pause."""
    ASKED = 2
    """The store was asked for it."""
    GATHERED = 3
    """It is claimed and waits for its batch to fill."""
    RUNNING = 4
    """The handler was called with it."""
    ACCEPTED = 5
    """The handler has taken it on and will finish it through the callback API."""
    ENDING = 6
    """The store was told how the attempt ended."""
    PUBLISHING = 7
    """What its end asks for is being published: emitted messages, a dead letter, itself for later."""
    MARKING = 8
    """The store is told that all of it is published."""
    EMPTY = 9
    """Its last delivery has left, and the lane with it."""


AT_WORK = frozenset({Phase.GATHERED, Phase.RUNNING, Phase.ACCEPTED})
"""Phases in which the attempt is with the handler, or about to be."""

HOLDING = AT_WORK | {Phase.ASKED, Phase.ENDING}
"""Phases in which the store may hold the session for this lane."""

ACTIVE = frozenset(
    {
        Phase.ASKED,
        Phase.GATHERED,
        Phase.RUNNING,
        Phase.ACCEPTED,
        Phase.ENDING,
        Phase.PUBLISHING,
        Phase.MARKING,
    }
)
"""Phases in which an attempt, or the end of one, outlives its channel."""


class Delivery:
    """A message as it was delivered; ``channel`` is ``GONE`` once there is nothing left to ack on."""

    __slots__ = ("channel", "message", "tag")

    def __init__(self, channel: int, tag: int, message: Message) -> None:
        self.channel = channel
        self.tag = tag
        self.message = message


class Lane:
    """One session's deliveries of one set of partitions, ``of`` being its size.

    All but ``key``, ``of``, ``waiting`` and ``phase`` describe the attempt at the head.

    ``message`` is the head's, of the generation that the store knows; ``tries`` rises whenever the head leaves
    ``PARKED``, so that a timer set for an earlier wait is known as stale; ``alone`` keeps it out of batches;
    ``asserting``: the store is just being told of the attempt again; ``unsaid`` is what to tell the store once it remembers the attempt again; ``unsent`` are the waves still to be
    published, ``sending`` how much of the present wave is not confirmed.
    """

    __slots__ = (
        "alone", "asserting", "attempt", "blocks", "call", "ending", "epoch", "failures", "interruptions", "key", "listeners",
        "message", "nonce", "of", "phase", "revoked", "sending", "silent_at", "speaker", "staged", "started_at", "started_monotonic",
        "tries", "unsaid", "unsent", "waiting",
    )  # fmt: skip

    def __init__(self, key: str, message: Message, of: int) -> None:
        self.key = key
        self.of = of
        self.waiting: deque[Delivery] = deque()
        self.message = message
        self.phase = Phase.READY
        self.tries = 0
        self.nonce = 0
        self.epoch = 0
        self.revoked = 0
        self.attempt = 0
        self.failures = 0
        self.interruptions = 0
        self.call = 0
        self.started_at = 0.0
        self.started_monotonic = 0.0
        self.silent_at = 0.0
        self.alone = False
        self.asserting = False
        self.blocks = False
        self.speaker: Speaker | None = None
        self.staged: Staged | None = None
        self.listeners: list[int] = []
        self.ending: Ending | None = None
        self.unsaid: Commit | Fail | Withdraw | None = None
        self.unsent: list[list[Message | DeadLetter]] = []
        self.sending = 0

    @property
    def head(self) -> Delivery:
        return self.waiting[0]


class Channel:
    """One subscription to one partition. ``acked`` are the acks that are not yet proven: tag -> (id, generation).

    ``behind`` is the partition's owner where this replica only stands by, should the owner's channel be cut;
    ``active_since`` is when it was first served all the same.
    """

    __slots__ = (
        "acked", "active_since", "behind", "bytes", "close_at", "number", "outstanding", "over", "partition", "told", "window",
    )  # fmt: skip

    def __init__(self, number: int, partition: Partition, window: int, behind: str | None = None) -> None:
        self.number = number
        self.partition = partition
        self.window = window
        self.behind = behind
        self.active_since: float | None = None
        self.outstanding = 0
        self.bytes = 0
        self.acked: dict[int, tuple[str, int] | None] = {}
        self.close_at: float | None = None
        self.over = False
        self.told: int | None = None


class Lanes:
    """All lanes of a replica, and which of them wait for what."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._sets: dict[int, dict[str, Lane]] = {}
        self.ready: deque[Lane] = deque()
        self.idle: set[Lane] = set()
        """Parked until something may be started."""
        self.full: set[Lane] = set()
        """Parked until the queue has room for another attempt."""

    def all(self) -> list[Lane]:
        return [lane for lanes in self._sets.values() for lane in lanes.values()]

    def named(self, key: str) -> list[Lane]:
        """The lanes of this session, one for each set of partitions by which messages of it came."""
        return [lanes[key] for lanes in self._sets.values() if key in lanes]

    def of_channel(self, channel: int) -> list[Lane]:
        """The lanes in which a delivery of this channel waits or leads."""
        return [lane for lane in self.all() if any(delivery.channel == channel for delivery in lane.waiting)]

    def add(self, delivery: Delivery, of: int) -> None:
        """A delivery joins its lane; one whose attempt outlived its channel finds it again.

        ``of``: the size of its set of partitions. Those of an older set go before those of a newer one, whatever comes
        again when, and so they have lanes apart.
        """
        message = delivery.message
        lanes = self._sets.get(of)
        if lanes is None:
            lanes = self._sets[of] = {}
        lane = lanes.get(message.lane)
        if lane is None:
            lane = lanes[message.lane] = Lane(message.lane, message, of)
            self.ready.append(lane)
        elif lane.head.channel == GONE and _same(lane.head.message, message):
            lane.head.channel, lane.head.tag = delivery.channel, delivery.tag
            return
        lane.waiting.append(delivery)

    def forget_unstarted(self, channel: int, *, gone: bool) -> None:
        """Drops what was not started; the broker gives it back in order. ``gone``: nothing can be acked any more."""
        for lane in self.of_channel(channel):
            head, keep_head = lane.head, lane.phase in ACTIVE
            if keep_head and head.channel == channel and gone:
                head.channel = GONE
            rest = list(lane.waiting)[1:] if keep_head else list(lane.waiting)
            lane.waiting = deque([head] if keep_head else [])
            lane.waiting.extend(d for d in rest if d.channel != channel)
            if not lane.waiting:
                self._drop(lane)
            elif not keep_head and lane.head is not head:
                self._lead(lane)

    def busy_on(self, channels: set[int]) -> set[int]:
        """Those of the channels on which an attempt still runs."""
        heads = (lane.head.channel for lane in self.all() if lane.phase in ACTIVE)
        return channels.intersection(heads)

    def is_live(self, lane: Lane) -> bool:
        """A lane that was dropped may still be named by a timer, an answer or a queue."""
        return self._sets[lane.of].get(lane.key) is lane

    def restart(self, lane: Lane) -> None:
        """The head may be tried now."""
        self.idle.discard(lane)
        self.full.discard(lane)
        lane.tries += 1
        lane.phase = Phase.READY
        self.ready.append(lane)

    def park(self, lane: Lane, seconds: float, now: Now) -> None:
        """The head waits so long, or until it is restarted for another reason."""
        lane.phase = Phase.PARKED
        tries = lane.tries

        def wake(_: Now) -> None:
            if lane.tries == tries:
                self.restart(lane)

        self._outbox.at(now.monotonic + seconds, wake)

    def again(self, lane: Lane) -> None:
        """The attempt is over and the message has not ended: tried again, here if it is still delivered here."""
        if lane.head.channel == GONE:
            self.go_on(lane)
        else:
            self.restart(lane)

    def go_on(self, lane: Lane) -> None:
        """The head has left: the next one leads."""
        lane.waiting.popleft()
        if lane.waiting:
            self._lead(lane)
        else:
            self._drop(lane)

    def _lead(self, lane: Lane) -> None:
        lane.message = lane.head.message
        lane.alone = False
        self.restart(lane)

    def _drop(self, lane: Lane) -> None:
        """The lane is empty. A stale reference in ``ready`` is passed over when its turn comes."""
        lane.phase = Phase.EMPTY
        self._sets[lane.of].pop(lane.key, None)
        self.idle.discard(lane)
        self.full.discard(lane)
        lane.tries += 1

    def wake(self, lanes: set[Lane]) -> None:
        """All of these may be tried now, in the order in which they were first asked for."""
        for lane in sorted(lanes, key=lambda lane: lane.nonce):
            self.restart(lane)


def _same(one: Message, other: Message) -> bool:
    return one.id == other.id and one.generation == other.generation
