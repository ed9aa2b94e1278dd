"""What happens to the sidecar's core, beside what ``contracts.deliveries`` already names."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from contracts.answers import Answer, NoAnswer
from contracts.deliveries import ChannelLost, Delivered, NothingFollows, Proven
from contracts.handler import NO_OPTIONS, Options
from contracts.replies import Push, Reply
from contracts.speech import Speaker, Words
from contracts.workqueue import WorkQueue


class Now(msgspec.Struct, frozen=True, gc=False):
    """The two clocks of a turn: leases and waits go by ``monotonic``, what others are told by ``wall`` (Unix)."""

    monotonic: float
    wall: float


class Replied(msgspec.Struct, frozen=True, gc=False):
    """The store's answers to the operations of ``AskStore(ref)``, in order."""

    ref: int
    replies: list[Reply]


class StoreFailed(msgspec.Struct, frozen=True, gc=False):
    """It is not known whether the operations of ``AskStore(ref)`` were applied."""

    ref: int


class Fate(IntEnum):
    """What became of something that was published."""

    HELD = 0
    """The broker confirmed it."""
    UNKNOWN = 1
    """It is to be published again."""
    NO_QUEUE = 2
    """There is no such queue."""


class Sent(msgspec.Struct, frozen=True, gc=False):
    """What became of each thing of ``Publish(ref)``, ``Bury(ref)`` or ``Delay(ref)``."""

    ref: int
    fates: list[Fate]


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A handler call has ended."""

    call: int
    answer: Answer | NoAnswer


class BatchAnswered(msgspec.Struct, frozen=True, gc=False):
    """A call with several messages has ended: an answer for each, or why the batch failed as a whole."""

    call: int
    answers: list[Answer | NoAnswer] | NoAnswer


class Spoken(msgspec.Struct, frozen=True, gc=False):
    """The handler speaks for an attempt; answered by ``AnswerSpeech(ref)``."""

    ref: int
    speaker: Speaker
    words: Words


class HandlerReady(msgspec.Struct, frozen=True, gc=False):
    """The handler passed /healthz and /init, with what its answer turned on: it can be called."""

    options: Options = NO_OPTIONS


class HandlerGone(msgspec.Struct, frozen=True, gc=False):
    """The handler cannot be called until it is ready again; ``reason`` says why, for people.

    ``died``: its process is gone, and with it all that it had accepted.
    """

    reason: str
    died: bool = False


class Pushed(msgspec.Struct, frozen=True, gc=False):
    """The store tells what this replica waits for."""

    push: Push


class Redefined(msgspec.Struct, frozen=True, gc=False):
    """The queue's definition has changed."""

    workqueue: WorkQueue


class Drain(msgspec.Struct, frozen=True, gc=False):
    """Stop: start nothing, finish what runs until ``deadline`` (monotonic), then leave."""

    deadline: float


Event = (
    Delivered
    | ChannelLost
    | Proven
    | NothingFollows
    | Replied
    | StoreFailed
    | Sent
    | Answered
    | BatchAnswered
    | Spoken
    | HandlerReady
    | HandlerGone
    | Pushed
    | Redefined
    | Drain
)
