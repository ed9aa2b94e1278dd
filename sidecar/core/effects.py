"""What the sidecar's core wants done. The shell does it in the order given."""

from __future__ import annotations

import msgspec

from contracts.fence import Operation
from contracts.message import DeadLetter, Message


class OpenChannel(msgspec.Struct, frozen=True):
    """Subscribe to the partition on a new channel of this number."""

    channel: int
    partition: int
    window: int


class Widen(msgspec.Struct, frozen=True):
    channel: int
    window: int


class Ack(msgspec.Struct, frozen=True):
    channel: int
    tags: list[int]


class CloseChannel(msgspec.Struct, frozen=True):
    channel: int


class AskStore(msgspec.Struct, frozen=True):
    """One call to the store with all the operations of this turn; answered by ``Replied`` or ``StoreFailed``."""

    ref: int
    operations: list[Operation]


class Bury(msgspec.Struct, frozen=True):
    """Publish to the dead letters, with confirms; answered by ``Buried``."""

    ref: int
    letters: list[DeadLetter]


class Call(msgspec.Struct, frozen=True, gc=False):
    """Call the handler; answered by ``Answered``. ``deadline`` is Unix seconds, for the handler to read."""

    call: int
    message: Message
    attempt: int
    timeout_seconds: float
    deadline: float


class AbandonCall(msgspec.Struct, frozen=True):
    """Nobody waits for this call any more."""

    call: int


class CheckHandler(msgspec.Struct, frozen=True):
    """It is not sure any more that the handler is there and the same: ask /healthz and /init again."""

    reason: str


class Left(msgspec.Struct, frozen=True):
    """Drained and deregistered: the shell can end."""


Effect = OpenChannel | Widen | Ack | CloseChannel | AskStore | Bury | Call | AbandonCall | CheckHandler | Left
