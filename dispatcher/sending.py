"""Accepting messages from outside: as many as a queue takes, and each counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from backends.ports import Depths, Publisher, Views
from backends.sending import Accepted, Sending
from contracts.enqueue import Enqueue
from contracts.errors import TransientError
from contracts.message import Message
from contracts.problems import RETRY_SECONDS, Problem, ProblemError, unavailable
from contracts.workqueue import WorkQueue
from dispatcher.core.entry import Wish
from dispatcher.telemetry import Telemetry


class Sender:
    """``backends.sending`` behind the limit of each queue. ``secret`` names keyed messages, ``chance`` all others."""

    def __init__(
        self,
        publisher: Publisher,
        depths: Depths,
        views: Views,
        *,
        telemetry: Telemetry,
        secret: bytes,
        wall: Callable[[], float],
        chance: Callable[[], bytes],
    ) -> None:
        self._sending = Sending(publisher, views, secret=secret, wall=wall, chance=chance)
        self._depths = depths
        self._telemetry = telemetry

    def compose(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Message:
        """The message, named, as it is to be sent later."""
        return self._sending.compose(workqueue, asked, body)

    async def send(self, workqueue: WorkQueue, asked: Enqueue, body: bytes, *, bounded: bool = True) -> Accepted:
        """Returns once the broker holds the message. Raises ``ProblemError`` where it is not known to.

        ``bounded``: a queue that is full refuses it; what a handler sends is never refused for that.
        """
        where = (workqueue.namespace, workqueue.name)
        room = self._check_room if bounded and workqueue.spec.limits.max_length else None
        try:
            accepted = await self._sending.send(workqueue, asked, body, room)
        except ProblemError as error:
            self._telemetry.refused(*where, error.problem.slug)
            raise
        if not accepted.known:
            self._telemetry.accepted(*where)
        return accepted

    async def send_many(self, workqueue: WorkQueue, wishes: Sequence[Wish]) -> list[Accepted | ProblemError]:
        """As ``send`` does, each on its own, in their order, in one turn of the broker."""
        where = (workqueue.namespace, workqueue.name)
        room = _Filling(self._held) if workqueue.spec.limits.max_length else None
        answers = await self._sending.send_many(workqueue, [(one.asked, one.body) for one in wishes], room)
        for answer in answers:
            if isinstance(answer, ProblemError):
                self._telemetry.refused(*where, answer.problem.slug)
            elif not answer.known:
                self._telemetry.accepted(*where)
        return answers

    async def _check_room(self, workqueue: WorkQueue, message: Message) -> None:
        _check(workqueue, await self._held(workqueue))

    async def _held(self, workqueue: WorkQueue) -> int:
        """How many it holds. What is scheduled is accepted when it comes due."""
        try:
            depth = await self._depths.depth(workqueue.namespace, workqueue.name)
        except TransientError as error:
            raise unavailable(f"How full the queue is cannot be told: {error}. Nothing was accepted.") from error
        return sum(depth.ready) + depth.unacked


class _Filling:
    """The room in a queue while a batch is on its way there: asked for once, and less with each message."""

    def __init__(self, ask: Callable[[WorkQueue], Awaitable[int]]) -> None:
        self._ask = ask
        self._held: int | None = None

    async def __call__(self, workqueue: WorkQueue, message: Message) -> None:
        if self._held is None:
            self._held = await self._ask(workqueue)
        _check(workqueue, self._held)
        self._held += not message.deliver_at


def _check(workqueue: WorkQueue, held: int) -> None:
    most = workqueue.spec.limits.max_length
    if held >= most:
        full = ProblemError(
            Problem.QUEUE_FULL,
            f"The queue holds {held} messages, and spec.limits.maxLength is {most}. Send it again later.",
            limit=most,
        )
        full.headers["Retry-After"] = RETRY_SECONDS
        raise full
