"""One of each shape of the API as it looks, for the document."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from contracts.problems import BASE
from contracts.shapes import (
    Accepted,
    BatchAnswer,
    CloudEvent,
    DeadLetterList,
    FreshToken,
    Manifest,
    Message,
    MessageList,
    Outcome,
    ProgressSaid,
    Purged,
    Queue,
    QueueList,
    RedriveAll,
    Redriven,
    RedriveSome,
    Session,
    SessionList,
    SessionOrder,
)
from contracts.workqueue import Spec

_ID: Final = "019a3c5e7f1028d1c6f0a94b7e35d2c8"
_AT: Final = "2026-01-01T12:00:00.000Z"
_MESSAGE: Final = {
    "id": _ID,
    "namespace": "default",
    "queue": "orders",
    "session": "customer-17",
    "state": "succeeded",
    "attempt": 1,
    "attempts": [
        {
            "attempt": 1,
            "replica": "orders-0",
            "started_at": _AT,
            "ended_at": "2026-01-01T12:00:00.120Z",
            "status": 200,
            "outcome": "ack",
            "body": "done",
        }
    ],
    "enqueued_at": _AT,
    "deliver_at": None,
    "ended_at": "2026-01-01T12:00:00.120Z",
    "progress": None,
    "meta": {"tenant": "acme"},
    "result": {"content_type": "text/plain", "size": 4},
}
_DEAD: Final = _MESSAGE | {
    "state": "dead",
    "result": None,
    "reason": "the handler answered 422",
    "dead_at": "2026-01-01T12:00:00.120Z",
    "generation": 1,
}
_QUEUE: Final = {
    "name": "orders",
    "namespace": "default",
    "spec": msgspec.to_builtins(Spec()) | {"template": {}},
    "status": {
        "ready": 12,
        "unacked": 8,
        "in_flight": 8,
        "scheduled": 3,
        "dead": 0,
        "sessions": 8,
        "oldest_age_seconds": 0.4,
        "rates": {"arrivals_per_second": 20.0, "settled_per_second": 20.0},
        "replicas": {"observed": 1, "desired": 1},
        "paused": False,
        "reason": "",
    },
}
_SESSION: Final = {
    "session": "customer-17",
    "replica": "orders-0",
    "message_id": _ID,
    "since": _AT,
    "waiting": 2,
}

_EVENT: Final = {
    "specversion": "1.0",
    "id": "17",
    "source": "/shop",
    "type": "order.placed",
    "partitionkey": "customer-17",
    "data": {"total": 12},
}

EXAMPLES: Final[dict[Any, Any]] = {
    Accepted: {"id": _ID, "namespace": "default", "queue": "orders", "session": "customer-17", "state": "queued"},
    Message: _MESSAGE,
    MessageList: {"items": [_MESSAGE], "next": None},
    DeadLetterList: {"items": [_DEAD], "next": None},
    Queue: _QUEUE,
    QueueList: {"items": [_QUEUE], "next": None},
    Manifest: {"spec": {"partitions": 8, "scaling": {"maxReplicas": 4}}},
    Session: _SESSION,
    SessionList: {"items": [_SESSION], "next": None},
    SessionOrder: {"session": "customer-17"},
    (RedriveAll, RedriveSome): {"filter": {"session": "customer-17"}},
    Redriven: {"redriven": 1},
    Purged: {"purged": 12},
    BatchAnswer: {
        "items": [
            {"status": 202, "id": _ID},
            {
                "type": f"{BASE}malformed-request",
                "title": "The request is malformed",
                "status": 400,
                "detail": "delay: 'soon' is not a duration: write a number and ms, s, m, h or d, such as 90s or 1.5h",
                "field": "delay",
            },
        ]
    },
    CloudEvent: _EVENT,
    list[CloudEvent]: [_EVENT],
    ProgressSaid: {"percent": 40, "note": "4 of 10 pages"},
    Outcome: {"outcome": "ack"},
    FreshToken: {"token": "kd1.…", "token_expires_at": "2026-01-01T13:00:00.000Z"},
}
"""One of each, as it looks."""
