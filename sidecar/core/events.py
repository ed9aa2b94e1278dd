"""What happens to the sidecar's core, beside what ``contracts.deliveries`` already names."""

from __future__ import annotations

import msgspec

from contracts.answers import Answer, NoAnswer
from contracts.deliveries import ChannelLost, Delivered, Proven
from contracts.fence import Push, Reply
from contracts.workqueue import WorkQueue


class Now(msgspec.Struct, frozen=True, gc=False):
    """The two clocks of a turn: leases and waits go by ``monotonic``, what others are told by ``wall`` (Unix)."""

    monotonic: float
    wall: float


class Replied(msgspec.Struct, frozen=True):
    """The store's answers to the operations of ``AskStore(ref)``, in order."""

    ref: int
    replies: list[Reply]


class StoreFailed(msgspec.Struct, frozen=True):
    """It is not known whether the operations of ``AskStore(ref)`` were applied."""

    ref: int


class Buried(msgspec.Struct, frozen=True):
    """What became of ``Bury(ref)``: for each dead letter, whether the broker confirmed it."""

    ref: int
    confirmed: list[bool]


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A handler call has ended."""

    call: int
    answer: Answer | NoAnswer


class HandlerReady(msgspec.Struct, frozen=True):
    """The handler passed /healthz and /init: it can be called."""


class HandlerGone(msgspec.Struct, frozen=True):
    """The handler cannot be called until it is ready again; ``reason`` says why, for people."""

    reason: str


class Pushed(msgspec.Struct, frozen=True):
    """The store tells what this replica waits for."""

    push: Push


class Redefined(msgspec.Struct, frozen=True):
    """The queue's definition has changed."""

    workqueue: WorkQueue


class Drain(msgspec.Struct, frozen=True):
    """Stop: start nothing, finish what runs until ``deadline`` (monotonic), then leave."""

    deadline: float


Event = (
    Delivered
    | ChannelLost
    | Proven
    | Replied
    | StoreFailed
    | Buried
    | Answered
    | HandlerReady
    | HandlerGone
    | Pushed
    | Redefined
    | Drain
)
