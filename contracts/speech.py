"""What a handler may say while it works, through the callback API, and what it is answered: the words of the core.

A speech names the attempt that it speaks for; once that attempt is over, nothing that it says counts.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from contracts.message import Message
from contracts.records import Progress, SessionState

MAX_EMITTED = 1000
MAX_EMITTED_BYTES = 16 * 1024 * 1024
MAX_STATE_BYTES = 1024 * 1024
MAX_RESULT_BYTES = 16 * 1024 * 1024


class Speaker(msgspec.Struct, frozen=True, gc=False):
    """The attempt that a token stands for."""

    id: str
    generation: int
    attempt: int
    epoch: int


class Beat(msgspec.Struct, frozen=True, gc=False):
    """Still at work; how far, if it says so."""

    progress: Progress


class Complete(msgspec.Struct, frozen=True, gc=False):
    """The message is done, with this result."""

    content_type: str | None = None
    body: bytes = b""


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """The attempt has failed: ``retry``, after ``retry_after`` if it is given (a raw header), or ``dead-letter``."""

    outcome: str = "retry"
    retry_after: str | None = None
    body: bytes = b""


class Emit(msgspec.Struct, frozen=True, gc=False):
    """Send this message if and only if the one at work is acked, once."""

    message: Message


class ReadSession(msgspec.Struct, frozen=True, gc=False):
    """The session's state, with what this attempt has written to it."""


class WriteSession(msgspec.Struct, frozen=True, gc=False):
    """Write (or with None delete) the session's state if and only if the message is acked.

    ``if_match`` and ``if_none_match`` are raw headers (RFC 9110, 13.1).
    """

    state: SessionState | None
    if_match: str | None = None
    if_none_match: str | None = None


Words = Beat | Complete | GiveUp | Emit | ReadSession | WriteSession


class Refusal(StrEnum):
    """Why a speech changed nothing."""

    OVER = "over"
    """The attempt has ended, or is not known: 409."""
    TOO_LARGE = "too-large"
    """More than a message may emit, keep or answer: 413."""
    NO_SESSION = "no-session"
    """The message has no session, so there is no state: 409."""
    MISMATCH = "mismatch"
    """The condition of ``If-Match`` or ``If-None-Match`` does not hold: 412."""


class Heard(msgspec.Struct, frozen=True, gc=False):
    """The answer: it counts (``refusal`` None), with the state where that was asked for; or why it does not."""

    refusal: Refusal | None = None
    state: SessionState | None = None
    detail: str = ""


HEARD = Heard()
