"""What the store keeps: what became of messages, who is alive, who owns which partition."""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b

import msgspec

BODY_CUT_BYTES = 512
"""How much of an answer's body an attempt keeps for people to read."""


class State(StrEnum):
    """Where a message is in its life. The last four are final."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset({State.SUCCEEDED, State.DEAD, State.CANCELLED, State.EXPIRED})


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One call of the handler. ``outcome`` is absent while it runs; ``body`` is cut."""

    attempt: int
    replica: str
    started_at: float
    ended_at: float | None = None
    status: int | None = None
    outcome: str | None = None
    body: str = ""


class Ending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How a message ended: its final state and what the handler said last. ``reason`` is empty on success."""

    state: State
    ended_at: float
    reason: str = ""
    status: int | None = None
    content_type: str | None = None
    body: bytes = b""


class Progress(msgspec.Struct, frozen=True, gc=False):
    """How far the handler says it is: 0 to 100 percent, and a note for people."""

    percent: float | None = None
    note: str = ""


class SessionState(msgspec.Struct, frozen=True, gc=False):
    """What a handler keeps under a session. ``etag`` is a strong validator of the bytes and their type."""

    body: bytes
    content_type: str

    @property
    def etag(self) -> str:
        digest = blake2b(self.content_type.encode() + b"\0" + self.body, digest_size=12)
        return f'"{digest.hexdigest()}"'


class Record(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A message as the store knows it: the truth about attempts and endings, and what readers are shown."""

    id: str
    generation: int = 1
    session: str | None = None
    state: State = State.QUEUED
    enqueued_at: float = 0.0
    content_type: str = ""
    meta: dict[str, str] = {}
    digest: bytes = b""
    attempt: int = 0
    failures: int = 0
    interruptions: int = 0
    attempts: list[Attempt] = []
    due_at: float = 0.0
    deliver_at: float = 0.0
    progress: Progress | None = None
    ending: Ending | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a replica says of itself at each renewal.

    ``lanes``: sessions (and sessionless messages) in its windows; ``handled`` and ``busy_seconds`` only ever rise;
    ``partitions``: those it has unacked messages of;
    ``waiting``: up to a thousand of its lanes as (session or None, head's message id, how many wait behind it).
    """

    ready: bool = False
    running: int = 0
    unacked: int = 0
    lanes: int = 0
    handled: int = 0
    busy_seconds: float = 0.0
    oldest_enqueued_at: float | None = None
    reason: str = ""
    partitions: list[int] = []
    waiting: list[tuple[str | None, str, int]] = []


class Replica(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A live replica: its incarnation (pod and process start, told apart by a suffix) and its last report."""

    incarnation: str
    report: Report


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session (or sessionless message) that an attempt holds right now."""

    session: str | None
    message_id: str
    replica: str
    since: float
    epoch: int


class Plan(msgspec.Struct, frozen=True, gc=False):
    """Which incarnation owns each partition: ``owners[partition]``, None before anybody does."""

    version: int = 0
    owners: tuple[str | None, ...] = ()


class Scale(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How the scaler sees a queue: replicas observed and desired, why, and the rates it measured (per second)."""

    observed: int = 0
    desired: int = 0
    reason: str = ""
    arrivals_per_second: float = 0.0
    settled_per_second: float = 0.0


def replica_name(incarnation: str) -> str:
    """What people call the replica: an incarnation is its name, ``#``, and what tells this start from others."""
    return incarnation.partition("#")[0]
