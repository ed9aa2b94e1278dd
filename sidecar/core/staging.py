"""What an attempt has said through the callback API, to take effect with its ack and not without."""

from __future__ import annotations

from contracts.message import Message
from contracts.records import SessionState
from contracts.speech import (
    HEARD,
    MAX_EMITTED,
    MAX_EMITTED_BYTES,
    MAX_RESULT_BYTES,
    MAX_STATE_BYTES,
    Complete,
    GiveUp,
    Heard,
    Refusal,
)


class Staged:
    """Emitted messages, the session's state to be, and how the handler says that it ended.

    ``wrote`` tells a deletion of the state from its never having been touched.
    """

    __slots__ = ("emitted", "emitted_bytes", "finish", "state", "wrote")

    def __init__(self) -> None:
        self.emitted: dict[tuple[str, str], Message] = {}
        self.emitted_bytes = 0
        self.state: SessionState | None = None
        self.wrote = False
        self.finish: Complete | GiveUp | None = None

    def emit(self, message: Message) -> Heard:
        """One more message to send. Limits are judged here, so that a commit can always be published."""
        size = len(message.body)
        if (message.queue, message.id) in self.emitted:
            return HEARD
        if len(self.emitted) >= MAX_EMITTED:
            return _too_large(f"a message emits at most {MAX_EMITTED} messages")
        if self.emitted_bytes + size > MAX_EMITTED_BYTES:
            return _too_large(f"a message emits at most {MAX_EMITTED_BYTES} bytes in all")
        self.emitted[message.queue, message.id] = message
        self.emitted_bytes += size
        return HEARD

    def write(self, state: SessionState | None) -> Heard:
        """What the session's state is to be; None deletes it."""
        if state is not None and len(state.body) > MAX_STATE_BYTES:
            return _too_large(f"a session's state has at most {MAX_STATE_BYTES} bytes")
        self.state, self.wrote = state, True
        return Heard(state=state)

    def end(self, finish: Complete | GiveUp) -> Heard:
        """How it ended; what was said first holds, and the same again is harmless."""
        if isinstance(finish, Complete) and len(finish.body) > MAX_RESULT_BYTES:
            return _too_large(f"a result has at most {MAX_RESULT_BYTES} bytes")
        if self.finish is None:
            self.finish = finish
        elif outcome_of(self.finish) != outcome_of(finish):
            return Heard(Refusal.OVER, detail=f"this attempt was already said to end as {outcome_of(self.finish)}")
        return HEARD


def outcome_of(finish: Complete | GiveUp) -> str:
    """The outcome that it asks for, as attempts name it."""
    return "ack" if isinstance(finish, Complete) else finish.outcome


def holds(state: SessionState | None, if_match: str | None, if_none_match: str | None) -> bool:
    """Do the conditions hold for what is there (RFC 9110, 13.1.1 and 13.1.2)?"""
    if if_match is not None and not _names(if_match, state):
        return False
    return if_none_match is None or not _names(if_none_match, state)


def _names(condition: str, state: SessionState | None) -> bool:
    if state is None:
        return False
    return condition.strip() == "*" or state.etag in (tag.strip() for tag in condition.split(","))


def _too_large(detail: str) -> Heard:
    return Heard(Refusal.TOO_LARGE, detail=detail)
