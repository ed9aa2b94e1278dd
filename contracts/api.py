"""The JSON shapes of the HTTP API, made from records: pure functions from what is kept to what is shown."""

from __future__ import annotations

import hashlib
from typing import Any

from contracts.deliveries import Depth
from contracts.events import Event
from contracts.message import DeadLetter, Message
from contracts.records import Attempt, Record, Scale
from contracts.timestamps import format_time
from contracts.workqueue import WorkQueue, spec_object

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MAX_WAIT_SECONDS = 300

_LAST_SECOND = 253_402_300_799.0
"""The last one of the year 9999, past which RFC 3339 cannot write."""


def body_digest(message: Message) -> bytes:
    """What must be the same when an Idempotency-Key is repeated: body, content type and session."""
    digest = hashlib.blake2b(digest_size=16)
    for part in (message.content_type.encode(), (message.session or "").encode(), b"s" if message.session else b""):
        digest.update(len(part).to_bytes(4, "big") + part)
    digest.update(message.body)
    return digest.digest()


def message_path(namespace: str, queue: str, message_id: str) -> str:
    """The path of a message, as in ``Location``."""
    return f"/v1/namespaces/{namespace}/queues/{queue}/messages/{message_id}"


def accepted_object(message: Message, state: str) -> dict[str, Any]:
    """The answer to an enqueue."""
    return {
        "id": message.id,
        "namespace": message.namespace,
        "queue": message.queue,
        "session": message.session,
        "state": state,
    }


def attempt_object(attempt: Attempt) -> dict[str, Any]:
    return {
        "attempt": attempt.attempt,
        "replica": attempt.replica,
        "started_at": format_time(attempt.started_at),
        "ended_at": None if attempt.ended_at is None else format_time(attempt.ended_at),
        "status": attempt.status,
        "outcome": attempt.outcome,
        "body": attempt.body,
    }


def message_object(namespace: str, queue: str, record: Record) -> dict[str, Any]:
    """A message as ``GET …/messages/{id}`` shows it; ``reason`` is there where it did not succeed."""
    ending, progress = record.ending, record.progress
    shown: dict[str, Any] = {
        "id": record.id,
        "namespace": namespace,
        "queue": queue,
        "session": record.session,
        "state": record.state.value,
        "attempt": record.attempt,
        "attempts": [attempt_object(attempt) for attempt in record.attempts],
        "enqueued_at": format_time(record.enqueued_at),
        "deliver_at": format_time(min(record.deliver_at, _LAST_SECOND)) if record.deliver_at else None,
        "ended_at": None if ending is None else format_time(ending.ended_at),
        "progress": None if progress is None else {"percent": progress.percent, "note": progress.note},
        "meta": record.meta,
        "result": None,
    }
    if ending is not None and ending.state == "succeeded":
        shown["result"] = {"content_type": ending.content_type, "size": len(ending.body)}
    if ending is not None and ending.reason:
        shown["reason"] = ending.reason
    return shown


def event_object(queue: str, event: Event) -> dict[str, Any]:
    """What a listener is told of an event."""
    return {
        "id": event.id,
        "queue": queue,
        "session": event.session,
        "state": event.state.value,
        "attempt": event.attempt,
        "at": format_time(event.at),
    }


def dead_letter_object(letter: DeadLetter, record: Record | None) -> dict[str, Any]:
    """A dead letter: the message plus why and when. Attempts come from the record while it is kept."""
    message = letter.message
    known = record is not None and record.generation == message.generation
    base = record if known and record is not None else _record_of(letter)
    return message_object(message.namespace, message.queue, base) | {
        "state": "dead",
        "attempt": max(base.attempt, letter.attempts),
        "ended_at": format_time(letter.dead_at),
        "reason": letter.reason,
        "dead_at": format_time(letter.dead_at),
        "generation": message.generation,
    }


def _record_of(letter: DeadLetter) -> Record:
    message = letter.message
    return Record(
        id=message.id,
        generation=message.generation,
        session=message.session,
        enqueued_at=message.enqueued_at,
        meta=message.meta,
        attempt=letter.attempts,
    )


def queue_object(
    workqueue: WorkQueue,
    depth: Depth,
    *,
    scale: Scale,
    in_flight: int,
    sessions: int,
    oldest_age_seconds: float | None,
) -> dict[str, Any]:
    """A queue: its definition and its live numbers."""
    return {
        "name": workqueue.name,
        "namespace": workqueue.namespace,
        "spec": spec_object(workqueue.spec),
        "status": {
            "ready": sum(depth.ready),
            "unacked": depth.unacked,
            "in_flight": in_flight,
            "scheduled": depth.scheduled,
            "dead": depth.dead,
            "sessions": sessions,
            "oldest_age_seconds": oldest_age_seconds,
            "rates": {
                "arrivals_per_second": round(scale.arrivals_per_second, 3),
                "settled_per_second": round(scale.settled_per_second, 3),
            },
            "replicas": {"observed": scale.observed, "desired": scale.desired},
            "paused": workqueue.spec.paused,
            "reason": scale.reason,
        },
    }
