"""The words between a sidecar and the store: claims and commits, fenced by epochs.

A sidecar sends the operations of one turn together and gets an answer for each, in order. Every operation may be
sent again when its answer was lost: the store recognises the repeat and answers as it did before.
"""

from __future__ import annotations

import msgspec

from contracts.message import Message
from contracts.records import Attempt, Ending, Plan, Progress, Report, SessionState
from contracts.topology import Partition


class Renew(msgspec.Struct, frozen=True, gc=False):
    """I am alive, and this is how I am; the lease starts anew. ``member=False``: plan without me, I am draining.

    Answered by ``Renewed``.
    """

    lease_seconds: float
    report: Report
    member: bool = True


class Claim(msgspec.Struct, frozen=True, gc=False):
    """May I call the handler with this message?

    ``nonce`` names this try (unique within the incarnation), so that a repeat is known; ``max_concurrent`` bounds
    the attempts of the whole queue, ``rate`` their starts a second (0: no limit); ``start=False`` only asks how the
    message ended, and never starts an attempt; ``of`` is the size of the set of partitions that it came by;
    ``seen`` the highest epoch that the replica was ever given, above which the next one is: a store that has lost its last
    moments does not give the same one twice; ``life`` the life of the store that the claim is made in (0: any).
    Answered by ``Claimed``, ``Ended``, ``HeldBy``, ``Full``, ``Later``, ``Idle`` (not ended, and not started) or
    ``Fenced``.
    """

    message: Message
    nonce: int
    max_concurrent: int
    at: float
    start: bool = True
    rate: float = 0.0
    of: int = 0
    seen: int = 0
    life: int = 0


class Assert(msgspec.Struct, frozen=True, gc=False):
    """I am running this attempt, which you allowed and have forgotten: take it down again.

    ``in_place``: the message was redriven in its place, so that its delivery is of an earlier generation.

    Answered by ``Claimed`` with the epoch from now on, ``Fenced`` where somebody else has it by now, or ``Forgotten``
    where this life of the store has not heard of us either: renew first.
    """

    message: Message
    nonce: int
    attempt: int
    failures: int
    interruptions: int
    at: float
    in_place: bool


class StateWrite(msgspec.Struct, frozen=True, gc=False):
    """What becomes of the session's state with the commit; None deletes it."""

    state: SessionState | None
    keep_seconds: float


class Commit(msgspec.Struct, frozen=True, gc=False):
    """The message has ended: outcome, emitted messages and session state in one step.

    ``attempt`` is None where it ended without a call. ``block``: a dead one holds its session until it is redriven or
    skipped. Answered by ``Done``; ``Fenced`` where the epoch is no longer the current one; ``Forgotten``.
    """

    message: Message
    epoch: int
    attempt: Attempt | None
    ending: Ending
    emitted: list[Message] = []
    write: StateWrite | None = None
    block: bool = False


class Fail(msgspec.Struct, frozen=True, gc=False):
    """The attempt has ended and the message has not: a failure, or an interruption. Due again at ``due_at`` (Unix).

    Answered by ``Done``, ``Fenced`` or ``Forgotten``.
    """

    message: Message
    epoch: int
    attempt: Attempt
    interrupted: bool
    due_at: float


class Withdraw(msgspec.Struct, frozen=True, gc=False):
    """The claimed attempt was never made: as if it had not been claimed. Answers as ``Fail`` has."""

    message: Message
    epoch: int


class Advance(msgspec.Struct, frozen=True, gc=False):
    """The attempt goes on: the handler has accepted it, or says how far it is. Answers as ``Fail`` has."""

    message: Message
    epoch: int
    accepted: bool
    progress: Progress | None


class ReadState(msgspec.Struct, frozen=True, gc=False):
    """The state of the session that this attempt holds. Answered by ``StateFound``, ``Fenced`` or ``Forgotten``."""

    message: Message
    epoch: int


class Recall(msgspec.Struct, frozen=True, gc=False):
    """How did this attempt end? Answered by ``Recalled``."""

    id: str
    generation: int
    attempt: int
    epoch: int


class Mark(msgspec.Struct, frozen=True, gc=False):
    """All that the ending asks for is published: a redelivery need not do it again. Answered by ``Done``."""

    id: str
    generation: int


class Settle(msgspec.Struct, frozen=True, gc=False):
    """The broker has provably forgotten these deliveries: from now on their records may expire. Answer: ``Done``."""

    ids: list[tuple[str, int]]
    keep_seconds: float


class Propose(msgspec.Struct, frozen=True, gc=False):
    """A plan to follow the one of ``plan.version - 1``. Answered by ``Planned`` with the plan that holds."""

    plan: Plan


class Emptied(msgspec.Struct, frozen=True, gc=False):
    """Nothing follows in this partition of an older set, and all that is left of it belongs to these lanes.

    Said again as they become fewer, down to none. What is left only ever gets less, so that the store keeps what all
    that was said has in common. Answered by ``Done``.
    """

    partition: Partition
    lanes: list[str]


class Disown(msgspec.Struct, frozen=True, gc=False):
    """I know nothing of this hold that is in my name: it is of a call that was given up and came late, or of a moment
    that the store has lost. Its attempt counts as an interruption, unless the epoch is not current. Answer: ``Done``.
    """

    lane: str
    epoch: int


class Leave(msgspec.Struct, frozen=True, gc=False):
    """I stop: my lease ends, and what I hold is free. Answered by ``Done``."""


Operation = (
    Renew
    | Claim
    | Assert
    | Commit
    | Fail
    | Withdraw
    | Advance
    | ReadState
    | Recall
    | Mark
    | Settle
    | Propose
    | Emptied
    | Disown
    | Leave
)


EPOCHS_PER_LIFE = 1 << 40
"""Epochs count within a life of the store, and start above ``life`` times this: no two lives share one."""


def life_of(epoch: int) -> int:
    """The life of the store that an epoch is of."""
    return epoch // EPOCHS_PER_LIFE
