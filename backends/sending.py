"""Sending a message now: nothing counts as accepted before the broker holds it, and what has a key is sent once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from backends.ports import Publisher
from contracts.api import body_digest
from contracts.enqueue import Enqueue
from contracts.errors import KubedaemonError, PermanentError, TransientError
from contracts.identity import fresh_id, keyed_id
from contracts.message import Message
from contracts.problems import Problem, ProblemError, unavailable
from contracts.records import Record, State
from contracts.workqueue import WorkQueue

_log = structlog.get_logger("sending")

CheckRoom = Callable[[WorkQueue, Message], Awaitable[None]]
"""Raises ``ProblemError`` where the queue does not take this message too."""


class Admissions(Protocol):
    """What is asked of the store; as in ``backends.ports.Views``."""

    async def admit(self, message: Message, digest: bytes) -> Record | None: ...

    async def is_confirmed(self, namespace: str, queue: str, message_id: str) -> bool: ...

    async def confirm(self, messages: Sequence[Message]) -> None: ...


class Accepted(msgspec.Struct, frozen=True):
    """A message that is held, and where it is in its life. ``known``: since an earlier try."""

    message: Message
    state: State
    known: bool = False


class Sending:
    """Names, publishes and records messages. ``chance`` gives ten random bytes, ``secret`` names keyed messages."""

    def __init__(
        self,
        publisher: Publisher,
        admissions: Admissions,
        *,
        secret: bytes,
        wall: Callable[[], float],
        chance: Callable[[], bytes],
    ) -> None:
        self._publisher = publisher
        self._admissions = admissions
        self._secret = secret
        self._wall = wall
        self._chance = chance

    def compose(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Message:
        """The message, named: by its sender's key, or anew."""
        namespace, queue, now = workqueue.namespace, workqueue.name, self._wall()
        if asked.key is not None:
            message_id = keyed_id(self._secret, namespace, queue, asked.key)
        else:
            message_id = fresh_id(int(now * 1000), self._chance())
        return asked.message(namespace, queue, message_id, now, body)

    async def send(
        self, workqueue: WorkQueue, asked: Enqueue, body: bytes, check_room: CheckRoom | None = None
    ) -> Accepted:
        """Returns once the broker holds the message. Raises ``ProblemError`` where it is not known to."""
        message = self.compose(workqueue, asked, body)
        if asked.key is not None:
            return await self._once(workqueue, message, check_room)
        if check_room is not None:
            await check_room(workqueue, message)
        return await self._publish(message)

    async def send_many(
        self, workqueue: WorkQueue, wishes: Sequence[tuple[Enqueue, bytes]], check_room: CheckRoom | None = None
    ) -> list[Accepted | ProblemError]:
        """As ``send`` does, for each on its own and in their order; the broker and the store are asked once for all."""
        fresh: dict[str, Message] = {}
        answers = [await self._prepare(workqueue, asked, body, check_room, fresh) for asked, body in wishes]
        refused = dict(zip(fresh, await self._publish_all(list(fresh.values())), strict=True))
        return [one if isinstance(one, ProblemError) else refused.get(one.message.id) or one for one in answers]

    async def _prepare(
        self,
        workqueue: WorkQueue,
        asked: Enqueue,
        body: bytes,
        check_room: CheckRoom | None,
        fresh: dict[str, Message],
    ) -> Accepted | ProblemError:
        """The answer if all goes well. What is to be published for it is in ``fresh`` then, once for each key."""
        try:
            message = self.compose(workqueue, asked, body)
            twin = fresh.get(message.id)
            if twin is not None:
                if body_digest(twin) != body_digest(message):
                    raise _other(message.id)
                return msgspec.structs.replace(_accepted(twin), known=True)
            if asked.key is not None:
                admitted = await self._admitted(workqueue, message, check_room)
                if isinstance(admitted, Accepted):
                    return admitted
                message = admitted
            elif check_room is not None:
                await check_room(workqueue, message)
        except ProblemError as problem:
            return problem
        fresh[message.id] = message
        return _accepted(message)

    async def _once(self, workqueue: WorkQueue, message: Message, check_room: CheckRoom | None) -> Accepted:
        admitted = await self._admitted(workqueue, message, check_room)
        return admitted if isinstance(admitted, Accepted) else await self._publish(admitted)

    async def _admitted(
        self, workqueue: WorkQueue, message: Message, check_room: CheckRoom | None
    ) -> Accepted | Message:
        """With a key of its sender's: to be published only if no earlier try is known to have come through."""
        where = (message.namespace, message.queue, message.id)
        try:
            if check_room is not None and not await self._admissions.is_confirmed(*where):
                await check_room(workqueue, message)
            digest = body_digest(message)
            known = await self._admissions.admit(message, digest)
            if known is not None:
                if known.digest and known.digest != digest:
                    raise _other(known.id)
                if await self._admissions.is_confirmed(*where):
                    return Accepted(message, known.state, known=True)
                message = msgspec.structs.replace(message, enqueued_at=known.enqueued_at)
        except TransientError as error:
            raise unavailable(
                f"An Idempotency-Key needs the store: {error}. Nothing was accepted; send it again with the same key."
            ) from error
        return message

    async def _publish(self, message: Message) -> Accepted:
        (problem,) = await self._publish_all([message])
        if problem is not None:
            raise problem
        return _accepted(message)

    async def _publish_all(self, messages: Sequence[Message]) -> list[ProblemError | None]:
        """Why each is not accepted; None for those that are, which the store knows of then."""
        prompt = [message for message in messages if not message.deliver_at]
        later = [(message, message.deliver_at) for message in messages if message.deliver_at]
        found = iter(await _outcomes(self._publisher.publish(prompt), len(prompt)) if prompt else [])
        found_later = iter(await _outcomes(self._publisher.delay(later), len(later)) if later else [])
        problems = [_problem(next(found_later if message.deliver_at else found)) for message in messages]
        try:
            await self._admissions.confirm(
                [m for m, problem in zip(messages, problems, strict=True) if problem is None]
            )
        except TransientError as away:
            # The broker holds them, so they are accepted; readers learn of them from their first deliveries.
            _log.warning("the store does not know of accepted messages yet", error=str(away))
        return problems


def _accepted(message: Message) -> Accepted:
    return Accepted(message, State.SCHEDULED if message.deliver_at else State.QUEUED)


async def _outcomes(publishing: Awaitable[list[KubedaemonError | None]], count: int) -> list[KubedaemonError | None]:
    try:
        return await publishing
    except TransientError as away:
        return [away] * count


def _problem(error: KubedaemonError | None) -> ProblemError | None:
    if error is None:
        return None
    if isinstance(error, PermanentError):
        problem = ProblemError(Problem.UNKNOWN_QUEUE, "The queue was deleted just now; the message was not accepted.")
    else:
        problem = unavailable(
            f"The broker did not confirm: {error}. The message does not count as accepted; send it again, best "
            "with an Idempotency-Key, so that it is handled once."
        )
    problem.__cause__ = error
    return problem


def _other(message_id: str) -> ProblemError:
    return ProblemError(
        Problem.IDEMPOTENCY_CONFLICT,
        "This Idempotency-Key was used for a message with another body, content type or session. "
        "Use a new key for a new message.",
        id=message_id,
    )
