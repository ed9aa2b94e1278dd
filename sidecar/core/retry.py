"""What an answer means for the message: the end, or another attempt and when."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from zlib import crc32

import msgspec

from contracts.answers import Answer, NoAnswer, Settle, Verdict, judge
from contracts.message import Message
from contracts.records import BODY_CUT_BYTES, Ending, State
from contracts.speech import Complete, GiveUp
from contracts.workqueue import Backoff, DeliveryPolicy

JITTER = 0.2


class Again(msgspec.Struct, frozen=True, gc=False):
    """Another attempt at ``due_at`` (Unix seconds)."""

    due_at: float
    interrupted: bool


class Undone(msgspec.Struct, frozen=True, gc=False):
    """No attempt was made at all."""


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The handler finishes it later."""


Decision = Ending | Again | Undone | Accepted
UNDONE = Undone()
ACCEPTED = Accepted()


def backoff_seconds(backoff: Backoff, failures: int, message_id: str) -> float:
    """How long to wait after the n-th failure: exponential, within ±20 %, the same for the same message and n."""
    power = min(failures - 1, 64) * math.log(backoff.multiplier) + math.log(backoff.initial_seconds)
    seconds = backoff.max_seconds if power > math.log(backoff.max_seconds) else math.exp(power)
    spread = crc32(f"{failures}:{message_id}".encode()) / 0xFFFFFFFF * 2 - 1
    return seconds * (1 + JITTER * spread)


def retry_after_seconds(value: str | None, wall: float) -> float | None:
    """What ``Retry-After`` asks for, in seconds from now; None where it is absent or says nothing (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), 1e9)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - wall)


def cut(body: bytes) -> str:
    """The beginning of a body, as text for people."""
    return body[:BODY_CUT_BYTES].decode("utf-8", "replace")


def shown(answer: Answer) -> str:
    """What an attempt keeps of an answer, for people: the body, and an outcome that nobody knows."""
    said = cut(answer.body)
    if answer.outcome is None:
        return said
    reason = judge(answer).reason
    if not reason.startswith("unknown "):
        return said
    return f"{reason}: {said}" if said else reason


class Past(msgspec.Struct, frozen=True, gc=False):
    """The message's earlier attempts: how many ended as failures, and how many as interruptions."""

    message_id: str
    failures: int
    interruptions: int


def decide(
    answer: Answer | NoAnswer, policy: DeliveryPolicy, past: Past, wall: float, *, asynchronous: bool = False
) -> Decision:
    """What follows from the handler's answer."""
    return settle(judge(answer, asynchronous=asynchronous), answer, policy, past, wall)


def decide_finish(finish: Complete | GiveUp, policy: DeliveryPolicy, past: Past, wall: float) -> Decision:
    """What follows from how the handler said, through the callback API, that the attempt has ended."""
    if isinstance(finish, Complete):
        return Ending(state=State.SUCCEEDED, ended_at=wall, content_type=finish.content_type, body=finish.body)
    verdict = Verdict(Settle(finish.outcome), f"the handler gave up ({finish.outcome})")
    return settle(verdict, Answer(0, retry_after=finish.retry_after, body=finish.body), policy, past, wall)


def settle(verdict: Verdict, answer: Answer | NoAnswer, policy: DeliveryPolicy, past: Past, wall: float) -> Decision:
    """The end of the message, another attempt and when, or neither."""
    if verdict.settle is Settle.ACCEPTED:
        return ACCEPTED
    if verdict.settle is Settle.NOT_ATTEMPTED:
        return UNDONE
    status, content_type, body = None, None, b""
    if isinstance(answer, Answer):
        status, content_type, body = answer.status or None, answer.content_type, answer.body
    if verdict.settle is Settle.ACK:
        return Ending(state=State.SUCCEEDED, ended_at=wall, status=status, content_type=content_type, body=body)
    said = f": {cut(body)}" if body else ""
    dead = Ending(
        state=State.DEAD, ended_at=wall, reason=verdict.reason + said, status=status, content_type=content_type
    )
    if verdict.settle is Settle.DEAD_LETTER:
        return dead
    if verdict.settle is Settle.INTERRUPTED:
        if past.interruptions + 1 > policy.max_interruptions:
            return too_many_interruptions(policy, wall)
        return Again(wall + policy.backoff.initial_seconds, interrupted=True)
    if past.failures + 1 >= policy.max_attempts:
        return msgspec.structs.replace(dead, reason=f"failed {policy.max_attempts} times, the last: {dead.reason}")
    asked = retry_after_seconds(answer.retry_after if isinstance(answer, Answer) else None, wall)
    if asked is None:
        seconds = backoff_seconds(policy.backoff, past.failures + 1, past.message_id)
        return Again(wall + seconds, interrupted=False)
    return Again(wall + min(asked, policy.backoff.max_seconds), interrupted=False)


def expired(message: Message, wall: float) -> Ending | None:
    """The end of a message whose time to live is over; None while it is not."""
    if not message.expires_at or wall < message.expires_at:
        return None
    return Ending(state=State.EXPIRED, ended_at=wall, reason="its time to live was over")


def too_many_interruptions(policy: DeliveryPolicy, wall: float) -> Ending:
    """The end of a message whose attempts keep being cut off, by whatever it does to its handler."""
    times = policy.max_interruptions + 1
    return Ending(state=State.DEAD, ended_at=wall, reason=f"interrupted {times} times: its handler dies or is cut off")
