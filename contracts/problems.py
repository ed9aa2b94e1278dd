"""Errors as users see them: RFC 9457 problems with a stable ``type``, each saying what to do."""

from __future__ import annotations

from enum import Enum
from typing import Any

from contracts.errors import PermanentError

MEDIA_TYPE = "application/problem+json"
BASE = "https://kubedaemon.io/problems/"

RETRY_SECONDS = "1"
"""What ``Retry-After`` says where nothing better is known."""


class Problem(Enum):
    """Every kind of problem: slug, HTTP status, title. Documented in ``docs/problems.md``, one heading a slug."""

    MALFORMED_REQUEST = ("malformed-request", 400, "The request is malformed")
    UNAUTHORIZED = ("unauthorized", 401, "The token is missing, wrong or expired")
    FORBIDDEN = ("forbidden", 403, "This is not open to you")
    UNKNOWN_QUEUE = ("unknown-queue", 404, "There is no such queue")
    UNKNOWN_NAMESPACE = ("unknown-namespace", 404, "There is no such namespace")
    UNKNOWN_MESSAGE = ("unknown-message", 404, "There is no such message")
    UNKNOWN_SESSION = ("unknown-session", 404, "There is no such session")
    UNKNOWN_STATE = ("unknown-state", 404, "The session has no state")
    UNKNOWN_ROUTE = ("unknown-route", 404, "There is nothing at this path")
    METHOD_NOT_ALLOWED = ("method-not-allowed", 405, "This path does not take that method")
    NOT_ENDED = ("not-ended", 202, "The message has not ended yet")
    CONFLICT = ("conflict", 409, "The state of things does not allow it")
    ATTEMPT_OVER = ("attempt-over", 409, "The attempt is over")
    NO_SESSION = ("no-session", 409, "The message has no session")
    RESULT_GONE = ("result-gone", 410, "The result is no longer kept")
    MESSAGE_CANCELLED = ("message-cancelled", 410, "The message was cancelled")
    PRECONDITION_FAILED = ("precondition-failed", 412, "The condition does not hold")
    PAYLOAD_TOO_LARGE = ("payload-too-large", 413, "The payload is too large")
    NOT_ALLOWED = ("not-allowed", 422, "Well-formed, but not allowed")
    IDEMPOTENCY_CONFLICT = ("idempotency-conflict", 422, "The key was used for another message")
    QUEUE_FULL = ("queue-full", 429, "The queue is full")
    INTERNAL = ("internal", 500, "Something went wrong in here")
    NOT_IMPLEMENTED = ("not-implemented", 501, "Not built yet")
    MESSAGE_DEAD = ("message-dead", 502, "The message was dead-lettered")
    UNAVAILABLE = ("unavailable", 503, "The service cannot do this now")
    MESSAGE_EXPIRED = ("message-expired", 504, "The message expired")

    def __init__(self, slug: str, status: int, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    def body(self, detail: str, **extra: Any) -> dict[str, Any]:
        """The JSON object to answer with."""
        return {"type": BASE + self.slug, "title": self.title, "status": self.status, "detail": detail, **extra}


class ProblemError(PermanentError):
    """A call that is answered with a problem. ``extra`` are members of the problem beside the standard ones."""

    def __init__(self, problem: Problem, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.extra = extra
        self.headers: dict[str, str] = {}


def unavailable(detail: str) -> ProblemError:
    """A 503 that says when to come again."""
    problem = ProblemError(Problem.UNAVAILABLE, detail)
    problem.headers["Retry-After"] = RETRY_SECONDS
    return problem
