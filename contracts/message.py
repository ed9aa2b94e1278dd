"""A message: content plus metadata, as it travels from the sender to the handler."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from contracts.errors import PermanentError

WIRE_VERSION: Final = 1

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One message of one queue.

    Identity is (namespace, queue, id, generation): redriving raises the generation. Times are Unix seconds.
    ``meta`` is the sender's own, names in lower case; ``headers`` are trace and CloudEvents headers to pass on.
    From ``expires_at`` on no new attempt starts; ``deliver_at`` is when a scheduled one comes due; 0 is never and now.
    """

    namespace: str
    queue: str
    id: str
    body: bytes = b""
    session: str | None = None
    generation: int = 1
    content_type: str = DEFAULT_CONTENT_TYPE
    enqueued_at: float = 0.0
    meta: dict[str, str] = {}
    headers: dict[str, str] = {}
    expires_at: float = 0.0
    deliver_at: float = 0.0
    result_url: str = ""
    result_format: str = ""

    @property
    def lane(self) -> str:
        """The key under which deliveries take turns: the session, or the message itself when it has none."""
        return f"s:{self.session}" if self.session is not None else f"m:{self.id}"

    def of_generation(self, generation: int) -> Message:
        """The same message as another generation."""
        return msgspec.structs.replace(self, generation=generation)


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message that ended dead, with the reason in words, as the dead-letter queue holds it.

    ``kept_by`` names the queue whose dead letters hold it where that is not the message's own: an emitted message
    whose queue is gone is kept by the queue of the message that emitted it.
    """

    message: Message
    reason: str
    dead_at: float
    attempts: int = 0
    kept_by: str = ""

    @property
    def queue(self) -> str:
        """The queue whose dead letters hold it."""
        return self.kept_by or self.message.queue


_T = TypeVar("_T")

_encoder = msgspec.msgpack.Encoder()
_message_decoder = msgspec.msgpack.Decoder(Message)
_dead_letter_decoder = msgspec.msgpack.Decoder(DeadLetter)


def encode(value: Message | DeadLetter) -> bytes:
    """Bytes between components: one byte of wire version, then msgpack."""
    return bytes((WIRE_VERSION,)) + _encoder.encode(value)


def decode_message(data: bytes) -> Message:
    """The inverse of ``encode``. Unknown fields are passed over, so that neighbouring releases share queues.

    Raises ``PermanentError`` for bytes that are no message of a version known here.
    """
    return _decode(data, _message_decoder)


def decode_dead_letter(data: bytes) -> DeadLetter:
    """As ``decode_message``, for a dead letter."""
    return _decode(data, _dead_letter_decoder)


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[_T]) -> _T:
    if not data or data[0] != WIRE_VERSION:
        found = data[0] if data else "nothing"
        raise PermanentError(f"wire version {found} is not known here (expected {WIRE_VERSION}); update this component")
    try:
        return decoder.decode(memoryview(data)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PermanentError(f"not a message: {error}") from error
