"""What a handler may answer to a call, and what each answer settles as: the contract's answer table."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

OUTCOME_HEADER = "Kubedaemon-Outcome"


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An HTTP response of the handler, as far as it decides anything.

    ``outcome`` and ``retry_after`` are the raw values of ``Kubedaemon-Outcome`` and ``Retry-After``.
    """

    status: int
    outcome: str | None = None
    retry_after: str | None = None
    content_type: str | None = None
    body: bytes = b""


class NoAnswer(msgspec.Struct, frozen=True, gc=False):
    """A call that ended without a usable HTTP response.

    ``refused``: no connection, or it was lost before anything was sent; no attempt was made.
    ``lost``: the connection ended after something was sent; the handler may have worked.
    ``timeout``: no complete answer within the queue's ``timeoutSeconds``.
    ``garbage``: what came back is not HTTP.
    ``too-large``: the result is longer than a result may be.
    ``silent``: it was accepted, and no heartbeat came within the queue's ``heartbeatTimeoutSeconds``.
    """

    kind: Literal["refused", "lost", "timeout", "garbage", "too-large", "silent"]
    detail: str = ""


class Settle(StrEnum):
    """What becomes of the message after an attempt."""

    ACK = "ack"
    RETRY = "retry"
    DEAD_LETTER = "dead-letter"
    ACCEPTED = "accepted"
    INTERRUPTED = "interrupted"
    NOT_ATTEMPTED = "not-attempted"


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """How one call is to be settled. ``reason`` says why in words, for people; empty for an ack."""

    settle: Settle
    reason: str = ""


_ACK = Verdict(Settle.ACK)
_ACCEPTED = Verdict(Settle.ACCEPTED)

_RETRIED = frozenset({404, 405, 408, 409, 423, 425, 429})

_BY_OUTCOME = {
    "ack": Settle.ACK,
    "retry": Settle.RETRY,
    "dead-letter": Settle.DEAD_LETTER,
}

_BY_FAILURE = {
    "refused": Settle.NOT_ATTEMPTED,
    "lost": Settle.INTERRUPTED,
    "timeout": Settle.RETRY,
    "garbage": Settle.RETRY,
    "silent": Settle.RETRY,
    "too-large": Settle.DEAD_LETTER,
}


def _by_status(status: int) -> Settle:
    if 200 <= status < 300:
        return Settle.ACK
    if status >= 500 or status in _RETRIED:
        return Settle.RETRY
    return Settle.DEAD_LETTER


def judge(answer: Answer | NoAnswer, *, asynchronous: bool = False) -> Verdict:
    """The answer table of the public contract, section 1, as one function.

    A status of 5xx or one that asks for patience is retried, any other 3xx or 4xx is final, and
    ``Kubedaemon-Outcome`` overrules the status; an outcome nobody knows is a failed attempt that says so.
    ``asynchronous``: the handler's answer to /init said that its 202 means accepted, to be finished later.
    """
    if isinstance(answer, NoAnswer):
        detail = f": {answer.detail}" if answer.detail else ""
        name = "result-too-large" if answer.kind == "too-large" else answer.kind
        return Verdict(_BY_FAILURE[answer.kind], f"{name}{detail}")
    if answer.outcome is None:
        if asynchronous and answer.status == 202:
            return _ACCEPTED
        settle = _by_status(answer.status)
        return _ACK if settle is Settle.ACK else Verdict(settle, f"the handler answered {answer.status}")
    outcome = answer.outcome.strip().lower()
    if outcome == "accepted":
        if 200 <= answer.status < 300:
            return _ACCEPTED
        return Verdict(
            Settle.RETRY, f"{OUTCOME_HEADER}: accepted goes with a 2xx, the handler answered {answer.status}"
        )
    named = _BY_OUTCOME.get(outcome)
    if named is None:
        return Verdict(Settle.RETRY, f"unknown {OUTCOME_HEADER}: {answer.outcome[:80]!r}")
    if named is Settle.ACK:
        return _ACK
    return Verdict(named, f"the handler answered {answer.status} with {OUTCOME_HEADER}: {named}")
