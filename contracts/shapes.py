"""The JSON of the HTTP API as types: what the OpenAPI document is made of, and what answers are held against."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from contracts.workqueue import API_VERSION, KIND, Spec

Label = Annotated[str, Meta(pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
QueueName = Annotated[str, Meta(pattern="^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=52)]
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Count = Annotated[int, Meta(ge=0)]
MessageState = Literal[
    "queued", "scheduled", "running", "retrying", "succeeded", "dead", "cancelled", "expired", "staged"
]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """An object in the JSON of the API."""


class Accepted(Shape, frozen=True):
    """A message that is durably held. ``staged``: it is sent if and only if the one that emits it is acked."""

    id: str
    namespace: str
    queue: str
    session: str | None
    state: MessageState


class AttemptShown(Shape, frozen=True):
    """One call of the handler. ``ended_at``, ``status`` and ``outcome`` are null while it runs; ``body`` is cut."""

    attempt: int
    replica: str
    started_at: Time
    ended_at: Time | None
    status: int | None
    outcome: Literal["ack", "accepted", "retry", "dead-letter", "interrupted"] | None
    body: str


class ProgressShown(Shape, frozen=True):
    percent: float | None
    note: str


class ResultShown(Shape, frozen=True):
    content_type: str | None
    size: Count


class Message(Shape, frozen=True):
    """A message and what became of it. ``reason`` is there where it did not succeed."""

    id: str
    namespace: str
    queue: str
    session: str | None
    state: MessageState
    attempt: Count
    attempts: list[AttemptShown]
    enqueued_at: Time
    deliver_at: Time | None
    ended_at: Time | None
    progress: ProgressShown | None
    meta: dict[str, str]
    result: ResultShown | None
    reason: str | msgspec.UnsetType = msgspec.UNSET


class DeadLetter(Message, frozen=True):
    """A message that is dead, and why and when it died."""

    reason: str
    dead_at: Time
    generation: Count


class Rates(Shape, frozen=True):
    arrivals_per_second: float
    settled_per_second: float


class Replicas(Shape, frozen=True):
    observed: int
    desired: int


class Status(Shape, frozen=True):
    """The numbers of a queue as they are now, each at most about a second old."""

    ready: Count
    unacked: Count
    in_flight: Count
    scheduled: Count
    dead: Count
    sessions: Count
    oldest_age_seconds: float | None
    rates: Rates
    replicas: Replicas
    paused: bool
    reason: str


class Queue(Shape, frozen=True):
    """A queue: its definition and its live numbers."""

    name: str
    namespace: str
    spec: Spec
    status: Status


class Metadata(Shape, frozen=True):
    """Left out, name and namespace are those of the path; others than those are refused."""

    name: QueueName | msgspec.UnsetType = msgspec.UNSET
    namespace: Label | msgspec.UnsetType = msgspec.UNSET


class Manifest(Shape, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The WorkQueue, as in the file that ``kubedaemon apply`` takes. ``status`` is passed over."""

    api_version: Literal["kubedaemon.io/v1alpha1"] = API_VERSION
    kind: Literal["WorkQueue"] = KIND
    metadata: Metadata | None = None
    spec: Spec | None = None
    status: Any = None


class Session(Shape, frozen=True):
    """``replica`` and ``since`` are null where no attempt holds it; then ``message_id`` is the head that waits."""

    session: str
    replica: str | None
    message_id: str | None
    since: Time | None
    waiting: Count


class SessionOrder(Shape, frozen=True, forbid_unknown_fields=True):
    session: Annotated[str, Meta(min_length=1, max_length=255)]


class RedriveAll(Shape, frozen=True, forbid_unknown_fields=True):
    all: Annotated[bool, Meta(extra_json_schema={"const": True})]


class RedriveFilter(Shape, frozen=True, forbid_unknown_fields=True):
    """All that is named must hold; ``reason`` is looked for inside the reason, the times are those of death."""

    ids: list[str] | msgspec.UnsetType = msgspec.UNSET
    session: Annotated[str, Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    reason: Annotated[str, Meta(min_length=1)] | msgspec.UnsetType = msgspec.UNSET
    before: Time | msgspec.UnsetType = msgspec.UNSET
    after: Time | msgspec.UnsetType = msgspec.UNSET


class RedriveSome(Shape, frozen=True, forbid_unknown_fields=True):
    filter: Annotated[RedriveFilter, Meta(extra_json_schema={"minProperties": 1})]


class Redriven(Shape, frozen=True):
    """How many were sent back; ``problems`` tells of those that could not be."""

    redriven: Count
    problems: list[Any] | msgspec.UnsetType = msgspec.UNSET


class Purged(Shape, frozen=True):
    purged: Count


class ProblemShown(Shape, frozen=True):
    """An RFC 9457 problem. ``type`` is stable, ``detail`` says what to do; some have members of their own."""

    type: str
    title: str
    status: int
    detail: str


_ENTRY_ANSWERS = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"status": {"const": 202}, "id": {"type": "string"}},
            "required": ["status", "id"],
        },
        {"$ref": "#/components/schemas/ProblemShown"},
    ]
}


class BatchAnswer(Shape, frozen=True):
    """In the order of the entries: what was accepted, or the problem of that entry alone."""

    items: list[Annotated[dict[str, Any], Meta(extra_json_schema=_ENTRY_ANSWERS)]]


class MessageList(Shape, frozen=True):
    items: list[Message]
    next: str | None


class QueueList(Shape, frozen=True):
    items: list[Queue]
    next: str | None


class SessionList(Shape, frozen=True):
    items: list[Session]
    next: str | None


class DeadLetterList(Shape, frozen=True):
    items: list[DeadLetter]
    next: str | None


class CloudEvent(Shape, frozen=True):
    """A CloudEvent 1.0 in JSON; extension attributes are strings, booleans or integers of 32 bits."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1)]
    source: Annotated[str, Meta(min_length=1)]
    type: Annotated[str, Meta(min_length=1)]
    subject: str | None = None
    time: Time | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    partitionkey: str | None = None
    data: Any = None
    data_base64: str | None = None


class Health(Shape, frozen=True):
    status: Literal["ok", "ready"]


class ProgressSaid(Shape, frozen=True, forbid_unknown_fields=True):
    percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    note: Annotated[str, Meta(max_length=1000)] | None = None


class Outcome(Shape, frozen=True):
    outcome: Literal["ack", "retry", "dead-letter"]


class FreshToken(Shape, frozen=True):
    token: str
    token_expires_at: Time
