"""What the store answers to the operations of ``contracts.fence``, and what it tells without being asked."""

from __future__ import annotations

import msgspec

from contracts.message import Message
from contracts.records import Ending, Plan, SessionState
from contracts.topology import Partition


class Renewed(msgspec.Struct, frozen=True, gc=False):
    """The live incarnations to plan with, sorted, and the plan that holds.

    ``life`` tells one life of the store from another: a new one has forgotten every attempt, and replicas assert
    what they run. Nobody is allowed anything else for ``quarantine_seconds`` more. ``emptied`` are the partitions of older
    sets of which no more is left than the store knows of: what followed them may be consumed. ``holds`` are the lanes that
    are held in your name, each with the nonce and the epoch of its hold.
    """

    members: tuple[str, ...]
    plan: Plan
    life: int = 0
    quarantine_seconds: float = 0.0
    emptied: frozenset[Partition] = frozenset()
    holds: tuple[tuple[str, int, int], ...] = ()


class Claimed(msgspec.Struct, frozen=True, gc=False):
    """The attempt is recorded and yours: call the handler.

    ``failures`` and ``interruptions`` count the attempts before this one that ended so. ``generation`` is newer than
    the delivery's where the message was redriven in its place.
    """

    epoch: int
    attempt: int
    failures: int
    interruptions: int
    generation: int


class Ended(msgspec.Struct, frozen=True, gc=False):
    """The message has ended already: finish what its ending asks for, ack it, and do not call the handler.

    ``ending`` is None where only the fact is left, not what it was (a twin of an earlier generation). ``marked``:
    nothing is left to publish. ``blocks``: it holds its session until it is redriven or skipped; you are told then.
    """

    ending: Ending | None
    attempts: int = 0
    emitted: list[Message] = []
    marked: bool = False
    blocks: bool = False
    generation: int = 1


class HeldBy(msgspec.Struct, frozen=True, gc=False):
    """Another attempt holds this session, or earlier messages of it are left in an older set of partitions.

    The store tells you when it is free; ask again all the same now and then. ``replica`` is empty in the second case.
    """

    replica: str


class Full(msgspec.Struct, frozen=True, gc=False):
    """As many attempts run as the queue allows. You are told when there is room; ask again now and then."""


class Later(msgspec.Struct, frozen=True, gc=False):
    """Not yet: it is not due, or the store is in quarantine. Wait so many seconds."""

    seconds: float


class Idle(msgspec.Struct, frozen=True, gc=False):
    """It has not ended, and you asked not to start it."""


class StateFound(msgspec.Struct, frozen=True, gc=False):
    """The session's state as it is committed; None where there is none."""

    state: SessionState | None


class Recalled(msgspec.Struct, frozen=True, gc=False):
    """The outcome of an attempt that has ended: ack, retry, dead-letter or interrupted. None: not known as ended."""

    outcome: str | None


class Planned(msgspec.Struct, frozen=True, gc=False):
    """The plan that holds after a proposal."""

    plan: Plan


class Done(msgspec.Struct, frozen=True, gc=False):
    """It is so."""


class Fenced(msgspec.Struct, frozen=True, gc=False):
    """Somebody else owns this now, or your lease is unknown: nothing was written."""


class Forgotten(msgspec.Struct, frozen=True, gc=False):
    """This epoch is of an earlier life of the store: assert what you run, then say it again."""


Reply = (
    Renewed
    | Claimed
    | Ended
    | HeldBy
    | Full
    | Later
    | Idle
    | StateFound
    | Recalled
    | Planned
    | Done
    | Fenced
    | Forgotten
)

DONE = Done()
FENCED = Fenced()
FORGOTTEN = Forgotten()
FULL = Full()
IDLE = Idle()


class Freed(msgspec.Struct, frozen=True, gc=False):
    """Pushed to a replica that was answered ``HeldBy`` (``lane`` named) or ``Full`` (``lane`` None): ask again."""

    lane: str | None


class Revoked(msgspec.Struct, frozen=True, gc=False):
    """Pushed to the replica whose attempt was ended for it: an operator released or skipped its session."""

    lane: str
    epoch: int


class Replanned(msgspec.Struct, frozen=True, gc=False):
    """Pushed to every replica: the plan or the members have changed, renew to see them."""


Push = Freed | Revoked | Replanned
