"""Accepting messages: nothing is answered as accepted before the broker has confirmed that it holds it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from backends.http.answers import RETRY_SECONDS, unavailable
from backends.ports import Depths, Publisher, Views
from contracts.api import body_digest
from contracts.errors import PermanentError, TransientError
from contracts.identity import fresh_id, keyed_id
from contracts.message import Message
from contracts.problems import Problem, ProblemError
from contracts.records import State
from contracts.workqueue import WorkQueue
from dispatcher.core.enqueue import Enqueue
from dispatcher.telemetry import Telemetry

_log = structlog.get_logger("dispatcher")


class Accepted(msgspec.Struct, frozen=True):
    """A message that is held, now or since an earlier try, and where it is in its life."""

    message: Message
    state: State


class Sender:
    """Names, publishes and records messages. ``chance`` gives ten random bytes, ``secret`` names keyed messages."""

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
        self._publisher = publisher
        self._depths = depths
        self._views = views
        self._telemetry = telemetry
        self._secret = secret
        self._wall = wall
        self._chance = chance

    async def send(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Accepted:
        """Returns once the broker holds the message. Raises ``ProblemError`` where it is not known to."""
        namespace, queue, now = workqueue.namespace, workqueue.name, self._wall()
        try:
            if asked.key is not None:
                message_id = keyed_id(self._secret, namespace, queue, asked.key)
                return await self._once(workqueue, asked.message(namespace, queue, message_id, now, body))
            await self._check_room(workqueue)
            message = asked.message(namespace, queue, fresh_id(int(now * 1000), self._chance()), now, body)
            await self._publish(message)
        except ProblemError as error:
            self._telemetry.refused(namespace, queue, error.problem.slug)
            raise
        return Accepted(message, State.QUEUED)

    async def _once(self, workqueue: WorkQueue, message: Message) -> Accepted:
        """With a key of its sender's: published again only if no earlier try is known to have come through."""
        where = (message.namespace, message.queue, message.id)
        try:
            if workqueue.spec.limits.max_length and not await self._views.is_confirmed(*where):
                await self._check_room(workqueue)
            digest = body_digest(message)
            known = await self._views.admit(message, digest)
            if known is not None:
                if known.digest and known.digest != digest:
                    raise _other(known.id)
                if await self._views.is_confirmed(*where):
                    return Accepted(message, known.state)
                message = msgspec.structs.replace(message, enqueued_at=known.enqueued_at)
        except TransientError as error:
            raise unavailable(
                f"An Idempotency-Key needs the store: {error}. Nothing was accepted; send it again with the same key."
            ) from error
        await self._publish(message)
        return Accepted(message, State.QUEUED)

    async def _check_room(self, workqueue: WorkQueue) -> None:
        most = workqueue.spec.limits.max_length
        if not most:
            return
        try:
            depth = await self._depths.depth(workqueue.namespace, workqueue.name)
        except TransientError as error:
            raise unavailable(f"How full the queue is cannot be told: {error}. Nothing was accepted.") from error
        held = sum(depth.ready) + depth.unacked
        if held >= most:
            full = ProblemError(
                Problem.QUEUE_FULL,
                f"The queue holds {held} messages, and spec.limits.maxLength is {most}. Send it again later.",
                limit=most,
            )
            full.headers["Retry-After"] = RETRY_SECONDS
            raise full

    async def _publish(self, message: Message) -> None:
        try:
            (error,) = await self._publisher.publish([message])
        except TransientError as away:
            error = away
        if isinstance(error, PermanentError):
            raise ProblemError(
                Problem.UNKNOWN_QUEUE, "The queue was deleted just now; the message was not accepted."
            ) from error
        if error is not None:
            raise unavailable(
                f"The broker did not confirm: {error}. The message does not count as accepted; send it again, best "
                "with an Idempotency-Key, so that it is handled once."
            ) from error
        self._telemetry.accepted(message.namespace, message.queue)
        try:
            await self._views.confirm([message])
        except TransientError as away:
            # The broker holds it, so it is accepted; readers learn of it from its first delivery.
            _log.warning("the store does not know of an accepted message yet", error=str(away))


def _other(message_id: str) -> ProblemError:
    return ProblemError(
        Problem.IDEMPOTENCY_CONFLICT,
        "This Idempotency-Key was used for a message with another body, content type or session. "
        "Use a new key for a new message.",
        id=message_id,
    )
