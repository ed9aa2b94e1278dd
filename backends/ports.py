"""The narrow Protocols between the components and what they stand on. They speak in turns: many things a call.

A *broker* implements Consumers, Publisher, Topology, Depths, Doorbell and DeadLetters; a *store* implements Fence,
Pushes, Views, Orders, Events and Definitions. Whatever an adapter cannot do for now is a ``TransientError``; nothing
of the library below it comes through. ``tests/ports`` states what each must guarantee, for every adapter alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.deliveries import Depth, Happening
from contracts.errors import KubedaemonError
from contracts.events import Stretch
from contracts.fence import Operation
from contracts.message import DeadLetter, Message
from contracts.records import Held, Record, Replica, Scale, State
from contracts.replies import Push, Reply
from contracts.speech import Heard, Speaker, Words
from contracts.topology import Partition
from contracts.workqueue import WorkQueue

OnHappenings = Callable[[list[Happening]], None]
OnPush = Callable[[Push], None]
OnChange = Callable[[str, str, WorkQueue | None], None]


class Consumer(Protocol):
    """One consumer of one queue. Nothing here blocks; what comes of it arrives as happenings, turn by turn."""

    def open(self, channel: int, partition: Partition, window: int) -> None:
        """Subscribes to a partition on a new channel, whose number the consumer chooses and never uses twice.

        At most ``window`` messages are unacked on it. Of several channels on one partition one is served, the
        longest open; when it ends, what it had not acked goes to the next one, in order, from the head. Once a newer
        set takes what is published, ``NothingFollows`` comes behind the last delivery.
        """

    def widen(self, channel: int, window: int) -> None:
        """From now on at most ``window`` messages are unacked."""

    def ack(self, channel: int, tags: Sequence[int]) -> None:
        """The broker may forget these messages. ``Proven`` follows once it provably has."""

    def close(self, channel: int) -> None:
        """Ends the channel. Nothing happens on it any more, and no ``ChannelLost`` follows."""

    def stop(self) -> None:
        """Ends every channel."""


class Consumers(Protocol):
    def consumer(self, namespace: str, queue: str, name: str, on_happenings: OnHappenings) -> Consumer:
        """A consumer of the queue, named for people. ``on_happenings`` is never called from inside a method of it."""


class Publisher(Protocol):
    async def publish(self, messages: Sequence[Message]) -> list[KubedaemonError | None]:
        """Publishes to the front of each message's own queue, in order.

        None for each that a durable queue now holds; ``PermanentError`` where there is no such queue; a
        ``TransientError`` where it is not known to be held. One session's messages keep their order.
        """

    async def bury(self, letters: Sequence[DeadLetter]) -> list[KubedaemonError | None]:
        """As ``publish``, to the dead letters of the queue that each letter names."""

    async def delay(self, messages: Sequence[tuple[Message, float]]) -> list[KubedaemonError | None]:
        """As ``publish``, but each comes to the front when it is due (Unix seconds): never early, at most 1 s late."""


class Topology(Protocol):
    async def declare(self, workqueue: WorkQueue) -> tuple[int, ...]:
        """Makes the queue be there; harmless to repeat. Fewer partitions than there are: ``PermanentError``.

        Answers the sizes of the sets of partitions that are there, from the oldest; the last takes what is published
        from now on, and each message of an older one stays there until it is acked.
        """

    async def retire(self, namespace: str, queue: str, partitions: int) -> None:
        """Takes an older set of so many partitions away; one that is not there is no error.

        ``PermanentError`` where it is the newest, ``TransientError`` where it holds messages still.
        """

    async def delete(self, namespace: str, queue: str) -> None:
        """Takes the queue away with all that it holds; one that is not there is no error."""


class Depths(Protocol):
    async def depth(self, namespace: str, queue: str) -> Depth:
        """How much the queue holds now. ``PermanentError`` where there is no such queue."""


class Doorbell(Protocol):
    async def arm(self, namespace: str, queue: str, ring: Callable[[], None]) -> None:
        """The next publish to the queue calls ``ring`` once, at once, and disarms. Arming again replaces ``ring``."""

    async def disarm(self, namespace: str, queue: str) -> None:
        """No ring any more; harmless where none is armed."""


class DeadLetters(Protocol):
    async def browse(self, namespace: str, queue: str) -> list[DeadLetter]:
        """The queue's dead letters, oldest first; twins (same id and generation) once."""

    async def remove(self, namespace: str, queue: str, keys: Sequence[tuple[str, int]]) -> int:
        """Forgets those of (id, generation); how many there were."""


class Broker(Consumers, Publisher, Topology, Depths, Doorbell, DeadLetters, Protocol):
    """All that one broker is asked for."""


class Fence(Protocol):
    async def turn(self, namespace: str, queue: str, incarnation: str, operations: Sequence[Operation]) -> list[Reply]:
        """Applies the operations in order, all or none, and answers each; see ``contracts.fence``.

        ``TransientError``: it is not known whether they were applied; sending the same ones again is safe.
        """


class Pushes(Protocol):
    def subscribe(self, namespace: str, queue: str, incarnation: str, on_push: OnPush) -> Callable[[], None]:
        """Tells this replica what it waits for, at most late and never instead of asking; returns how to stop it."""


class Views(Protocol):
    """The store as readers see it. Lists may lag a second behind; newest first."""

    async def admit(self, message: Message, digest: bytes) -> Record | None:
        """Keeps a record with ``digest`` before a message with a key of its sender's is published.

        None: new, publish it. A record: the key was seen, with the digest in it; a state of ``queued`` without a
        confirmed publish is published again under the same id (``confirm`` says which were).
        """

    async def confirm(self, messages: Sequence[Message]) -> None:
        """The broker holds these. Keeps a record of each that has none yet."""

    async def is_confirmed(self, namespace: str, queue: str, message_id: str) -> bool:
        """Was a publish of it confirmed, or was it delivered?"""

    async def message(self, namespace: str, queue: str, message_id: str) -> Record | None:
        """What is known of a message, of its newest generation."""

    async def wait(self, namespace: str, queue: str, message_id: str, timeout_seconds: float) -> Record | None:
        """As ``message``, once its state is final or the time has passed. Unknown ids are waited for too."""

    async def messages(
        self, namespace: str, queue: str, *, state: State | None, session: str | None, limit: int, after: str | None
    ) -> tuple[list[Record], str | None]:
        """A page and the cursor of the next one, None at the end. ``PermanentError`` for a cursor it never gave."""

    async def held(self, namespace: str, queue: str) -> list[Held]:
        """What attempts hold now, the longest first."""

    async def replicas(self, namespace: str, queue: str) -> list[Replica]:
        """The live replicas and their last reports, by incarnation."""

    async def emptied(self, namespace: str, queue: str) -> set[Partition]:
        """The partitions of older sets of which the replicas have said that nothing is left."""

    async def put_scale(self, namespace: str, queue: str, scale: Scale) -> None:
        """What the scaler says of a queue."""

    async def scale(self, namespace: str, queue: str) -> Scale:
        """What the scaler said last; all zero before it said anything."""

    async def redriven(self, message: Message) -> None:
        """The record shows this newer generation from now on, queued, with its counters at the start."""

    async def forget(self, namespace: str, queue: str) -> None:
        """Drops all that is kept of a queue that was deleted."""


class Orders(Protocol):
    """What people may order. Each answers the record as it is then, None where there is nothing to order it of."""

    async def redrive_in_place(self, message: Message) -> bool:
        """Starts a message that blocks its session anew, as this newer generation, where it stands.

        False: it blocks nothing, and is to be published. Safe to repeat.
        """

    async def cancel(self, namespace: str, queue: str, message_id: str) -> Record | None:
        """Ends a message that no attempt holds; one that runs or has ended is answered as it is."""

    async def release(self, namespace: str, queue: str, session: str, retry_seconds: float) -> Record | None:
        """Ends the attempt that holds the session, as an interruption; its message is due again after so long."""

    async def skip(self, namespace: str, queue: str, session: str, reason: str) -> Record | None:
        """Ends the session's head as dead, whether it runs, waits for its retry or blocks; the session goes on."""


class Events(Protocol):
    """What happens to a queue's messages: a log of which at least the last 100,000 are kept. Its places are opaque."""

    async def tail(self, namespace: str, queue: str) -> str:
        """The place behind the newest event: what is read from there on is new."""

    async def events(
        self, namespace: str, queue: str, after: str, *, limit: int, until: str | None = None, wait_seconds: float = 0.0
    ) -> Stretch:
        """What follows this place, up to the place ``until``; where nothing does, waits so long for the first of it.

        From a place that the log does not have, it is what the log has, from its beginning, and says so. A queue that
        was forgotten has a new log.
        """


class Definitions(Protocol):
    """The queues themselves, as the components read and watch them."""

    async def put(self, workqueue: WorkQueue) -> None: ...

    async def get(self, namespace: str, queue: str) -> WorkQueue | None: ...

    async def list(self, namespace: str | None = None) -> list[WorkQueue]:
        """By namespace and name."""

    async def delete(self, namespace: str, queue: str) -> None: ...

    def watch(self, on_change: OnChange) -> Callable[[], None]:
        """Calls ``on_change(namespace, queue, workqueue or None)`` for each queue now and whenever one changes."""


class Store(Fence, Pushes, Views, Orders, Events, Definitions, Protocol):
    """All that one store is asked for."""


class Attempts(Protocol):
    """The attempts that run, wherever they do, as the callback API speaks to them."""

    async def speak(self, namespace: str, queue: str, speaker: Speaker, words: Words) -> Heard:
        """Says it for this attempt of a message of the queue. ``TransientError``: it is not known whether it counts."""
