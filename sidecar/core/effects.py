"""What the sidecar's core wants done. The shell does it in the order given."""

from __future__ import annotations

import msgspec

from contracts.fence import Operation
from contracts.message import DeadLetter, Message
from contracts.speech import Heard
from contracts.topology import Partition


class OpenChannel(msgspec.Struct, frozen=True, gc=False):
    """Subscribe to the partition on a new channel of this number."""

    channel: int
    partition: Partition
    window: int


class Widen(msgspec.Struct, frozen=True, gc=False):
    channel: int
    window: int


class Ack(msgspec.Struct, frozen=True, gc=False):
    channel: int
    tags: list[int]


class CloseChannel(msgspec.Struct, frozen=True, gc=False):
    channel: int


class AskStore(msgspec.Struct, frozen=True, gc=False):
    """One call to the store with all the operations of this turn; answered by ``Replied`` or ``StoreFailed``."""

    ref: int
    operations: list[Operation]


class Publish(msgspec.Struct, frozen=True, gc=False):
    """Publish to the fronts of their queues, with confirms; answered by ``Sent``."""

    ref: int
    messages: list[Message]


class Bury(msgspec.Struct, frozen=True, gc=False):
    """Publish to the dead letters, with confirms; answered by ``Sent``."""

    ref: int
    letters: list[DeadLetter]


class Delay(msgspec.Struct, frozen=True, gc=False):
    """Publish so that they come back when they are due (Unix seconds), with confirms; answered by ``Sent``."""

    ref: int
    messages: list[tuple[Message, float]]


class Call(msgspec.Struct, frozen=True, gc=False):
    """Call the handler; answered by ``Answered``. ``deadline`` is Unix seconds, for the handler to read."""

    call: int
    message: Message
    attempt: int
    epoch: int
    timeout_seconds: float
    deadline: float


class BatchEntry(msgspec.Struct, frozen=True, gc=False):
    """One message of a batch."""

    message: Message
    attempt: int
    epoch: int


class CallBatch(msgspec.Struct, frozen=True, gc=False):
    """Call the handler with several messages; answered by ``BatchAnswered``."""

    call: int
    entries: list[BatchEntry]
    timeout_seconds: float
    deadline: float


class AnswerSpeech(msgspec.Struct, frozen=True, gc=False):
    """The answer to what was ``Spoken(ref)``."""

    ref: int
    heard: Heard


class AbandonCall(msgspec.Struct, frozen=True, gc=False):
    """Nobody waits for this call any more."""

    call: int


class CheckHandler(msgspec.Struct, frozen=True, gc=False):
    """It is not sure any more that the handler is there and the same: ask /healthz and /init again."""

    reason: str


class Left(msgspec.Struct, frozen=True, gc=False):
    """Drained and deregistered: the shell can end."""


Effect = (
    OpenChannel
    | Widen
    | Ack
    | CloseChannel
    | AskStore
    | Publish
    | Bury
    | Delay
    | Call
    | CallBatch
    | AbandonCall
    | AnswerSpeech
    | CheckHandler
    | Left
)
