"""The words between a sidecar and the store: claims and commits, fenced by epochs.

A sidecar sends the operations of one turn together and gets an answer for each, in order. Every operation may be
sent again when its answer was lost: the store recognises the repeat and answers as it did before.
"""

from __future__ import annotations

import msgspec

from contracts.message import Message
from contracts.records import Attempt, Ending, Plan, Report


class Renew(msgspec.Struct, frozen=True):
    """I am alive, and this is how I am; the lease starts anew. ``member=False``: plan without me, I am draining.

    Answered by ``Renewed``.
    """

    lease_seconds: float
    report: Report
    member: bool = True


class Claim(msgspec.Struct, frozen=True):
    """May I call the handler with this message?

    ``nonce`` names this try (unique within the incarnation), so that a repeat is known; ``max_concurrent`` bounds
    the attempts of the whole queue; ``start=False`` only asks how the message ended, and never starts an attempt.
    Answered by ``Claimed``, ``Ended``, ``HeldBy``, ``Full``, ``Later`` or ``Idle`` (not ended, and not started).
    """

    message: Message
    nonce: int
    max_concurrent: int
    at: float
    start: bool = True


class Commit(msgspec.Struct, frozen=True):
    """The message has ended. Answered by ``Done``, or ``Fenced`` where the epoch is no longer the current one."""

    message: Message
    epoch: int
    attempt: Attempt
    ending: Ending


class Fail(msgspec.Struct, frozen=True):
    """The attempt has ended and the message has not: a failure, or an interruption. Due again at ``due_at`` (Unix).

    Answered by ``Done`` or ``Fenced``.
    """

    message: Message
    epoch: int
    attempt: Attempt
    interrupted: bool
    due_at: float


class Withdraw(msgspec.Struct, frozen=True):
    """The claimed attempt was never made: as if it had not been claimed. Answered by ``Done`` or ``Fenced``."""

    message: Message
    epoch: int


class Settle(msgspec.Struct, frozen=True):
    """The broker has provably forgotten these deliveries: from now on their records may expire. Answer: ``Done``."""

    ids: list[tuple[str, int]]
    keep_seconds: float


class Propose(msgspec.Struct, frozen=True):
    """A plan to follow the one of ``plan.version - 1``. Answered by ``Planned`` with the plan that holds."""

    plan: Plan


class Leave(msgspec.Struct, frozen=True):
    """I stop: my lease ends, and what I hold is free. Answered by ``Done``."""


Operation = Renew | Claim | Commit | Fail | Withdraw | Settle | Propose | Leave


class Renewed(msgspec.Struct, frozen=True):
    """The live incarnations to plan with, sorted, and the plan that holds."""

    members: tuple[str, ...]
    plan: Plan


class Claimed(msgspec.Struct, frozen=True):
    """The attempt is recorded and yours: call the handler.

    ``failures`` and ``interruptions`` count the attempts before this one that ended so.
    """

    epoch: int
    attempt: int
    failures: int
    interruptions: int


class Ended(msgspec.Struct, frozen=True):
    """The message has ended already: finish what its ending asks for, ack it, and do not call the handler.

    ``ending`` is None where only the fact is left, not what it was (a twin of an earlier generation).
    """

    ending: Ending | None
    attempts: int = 0


class HeldBy(msgspec.Struct, frozen=True):
    """Another attempt holds this session. The store tells you when it is free; ask again all the same now and then."""

    replica: str


class Full(msgspec.Struct, frozen=True):
    """As many attempts run as the queue allows. You are told when there is room; ask again now and then."""


class Later(msgspec.Struct, frozen=True):
    """Not due yet: wait so many seconds."""

    seconds: float


class Idle(msgspec.Struct, frozen=True):
    """It has not ended, and you asked not to start it."""


class Planned(msgspec.Struct, frozen=True):
    """The plan that holds after a proposal."""

    plan: Plan


class Done(msgspec.Struct, frozen=True):
    """It is so."""


class Fenced(msgspec.Struct, frozen=True):
    """Somebody else owns this now, or your lease is unknown: nothing was written."""


Reply = Renewed | Claimed | Ended | HeldBy | Full | Later | Idle | Planned | Done | Fenced

DONE = Done()
FENCED = Fenced()
FULL = Full()
IDLE = Idle()


class Freed(msgspec.Struct, frozen=True):
    """Pushed to a replica that was answered ``HeldBy`` (``lane`` named) or ``Full`` (``lane`` None): ask again."""

    lane: str | None


class Replanned(msgspec.Struct, frozen=True):
    """Pushed to every replica: the plan or the members have changed, renew to see them."""


Push = Freed | Replanned
