"""Sending dead letters back: where they stand, or to the end of their sessions."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from contracts.errors import KubedaemonError, PermanentError, TransientError
from contracts.message import DeadLetter, Message
from contracts.problems import Problem
from dispatcher.core.redrive import next_generation
from dispatcher.ports import Broker, Store

_log = structlog.get_logger("dispatcher")


class SentBack(msgspec.Struct, frozen=True):
    """What became of some letters: how many went back, how many may have, and why others never can as things are."""

    redriven: int
    unsure: int
    problems: list[dict[str, Any]]


async def send_back(
    broker: Broker, store: Store, namespace: str, queue: str, letters: list[DeadLetter], now: float
) -> SentBack:
    """Sends back letters that this queue holds. Each leaves it only once its next generation is held elsewhere.

    Where this is cut off in between, a later redrive sends a twin of the same generation, which is handled once.
    """
    messages = [next_generation(letter) for letter in letters]
    outcomes = await _outcomes(broker, store, messages, now)
    results = list(zip(messages, outcomes, strict=True))
    held = [message for message, outcome in results if outcome is None]
    await broker.remove(namespace, queue, [(message.id, message.generation - 1) for message in held])
    problems = [_homeless(message) for message, outcome in results if isinstance(outcome, PermanentError)]
    return SentBack(len(held), len(messages) - len(held) - len(problems), problems)


async def _outcomes(broker: Broker, store: Store, messages: list[Message], now: float) -> list[KubedaemonError | None]:
    """What blocks its session starts anew where it stands; all others are published."""
    try:
        in_place = [await store.redrive_in_place(message) for message in messages]
        sent = [message for message, done in zip(messages, in_place, strict=True) if not done]
        outcomes = await _publish(broker, sent, now)
    except TransientError as away:
        return [away] * len(messages)
    await _tell_readers(store, [one for one, outcome in zip(sent, outcomes, strict=True) if outcome is None])
    published = iter(outcomes)
    return [None if done else next(published) for done in in_place]


async def _publish(broker: Broker, messages: list[Message], now: float) -> list[KubedaemonError | None]:
    """Only what never came to its queue can still be before its time; that is kept until then."""
    later = [(message, message.deliver_at) for message in messages if message.deliver_at > now]
    delayed = iter(await broker.delay(later) if later else [])
    published = iter(await broker.publish([message for message in messages if message.deliver_at <= now]))
    return [next(delayed if message.deliver_at > now else published) for message in messages]


async def _tell_readers(store: Store, messages: list[Message]) -> None:
    try:
        for message in messages:
            await store.redriven(message)
    except TransientError as away:
        # They are on their way all the same, and the record follows at the first delivery.
        _log.warning("the store does not know of redriven messages yet", error=str(away))


def _homeless(message: Message) -> dict[str, Any]:
    detail = f"Queue {message.queue!r} is not there. The message stays a dead letter: make the queue, then redrive it."
    return Problem.UNKNOWN_QUEUE.body(detail, id=message.id)
