"""What the core wants published: done in one call each, and told what became of every part of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from backends.ports import Publisher
from backends.sending import Admissions
from contracts.errors import KubedaemonError, PermanentError, TransientError
from contracts.message import Message
from sidecar.core.effects import Bury, Delay, Publish
from sidecar.core.events import Event, Fate, Sent

_log = structlog.get_logger("sidecar")

T = TypeVar("T")
M = TypeVar("M", Message, tuple[Message, float])
Outcomes = list[KubedaemonError | None]


class Publishing:
    """Performs ``Publish``, ``Bury`` and ``Delay``; what became of them goes to ``happen``."""

    def __init__(
        self,
        publisher: Publisher,
        admissions: Admissions,
        *,
        queue: str,
        happen: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, object]], object],
    ) -> None:
        self._publisher = publisher
        self._admissions = admissions
        self._queue = queue
        self._happen = happen
        self._spawn = spawn

    def publish(self, effect: Publish) -> None:
        self._spawn(self._emit(effect.ref, effect.messages, self._publisher.publish))

    def bury(self, effect: Bury) -> None:
        for letter in effect.letters:
            _log.warning("dead-lettered", queue=self._queue, message=letter.message.id, reason=letter.reason)
        self._spawn(self._tell(effect.ref, effect.letters, self._publisher.bury))

    def delay(self, effect: Delay) -> None:
        self._spawn(self._emit(effect.ref, effect.messages, self._publisher.delay))

    async def _tell(self, ref: int, things: list[T], send: Callable[[list[T]], Awaitable[Outcomes]]) -> list[T]:
        """What the broker holds of it."""
        try:
            fates = [_fate(outcome) for outcome in await send(things)]
        except TransientError:
            fates = [Fate.UNKNOWN] * len(things)
        self._happen(Sent(ref, fates))
        return [thing for thing, fate in zip(things, fates, strict=True) if fate is Fate.HELD]

    async def _emit(self, ref: int, things: list[M], send: Callable[[list[M]], Awaitable[Outcomes]]) -> None:
        """What a handler has emitted. Its records are for readers, so they do not hold up the ack."""
        held = await self._tell(ref, things, send)
        messages = [thing if isinstance(thing, Message) else thing[0] for thing in held]
        try:
            await self._admissions.confirm(messages)
        except TransientError as away:
            _log.warning("the store does not know of emitted messages yet", queue=self._queue, error=str(away))


def _fate(outcome: KubedaemonError | None) -> Fate:
    if outcome is None:
        return Fate.HELD
    return Fate.NO_QUEUE if isinstance(outcome, PermanentError) else Fate.UNKNOWN
