"""The callback API for programs outside the pod: as a sidecar serves it to its handler, with the same tokens."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from backends.http.bodies import read_body
from backends.http.callback import read_head
from contracts.handler import CALLBACK_PATH
from contracts.problems import Problem, ProblemError
from contracts.shapes import Accepted, FreshToken, Outcome, ProgressSaid
from dispatcher.api.context import CONTEXT
from dispatcher.api.describing import JSON, Answer, Body, Operation, Parameter, Route, flag
from dispatcher.api.sending_described import LOCATION, PAYLOAD, SENDER_HEADERS


async def serve(request: web.Request) -> web.Response:
    callbacks = request.app[CONTEXT].callbacks
    if callbacks is None:
        raise ProblemError(
            Problem.NOT_IMPLEMENTED, "This dispatcher knows of no replicas to speak to; nothing was done."
        )
    path, query = f"/{request.match_info['path']}", request.rel_url.raw_query_string
    pending = await callbacks.take(read_head(request.method, path, query, request.headers.items()))
    reply = await pending.answer(await read_body(request, pending.limit_bytes, pending.limited_by))
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


_TAG = "callbacks"
_ETAG = {"ETag": "The state's tag, for `If-Match`."}
_TAKEN = (Problem.UNAUTHORIZED, Problem.ATTEMPT_OVER, Problem.PAYLOAD_TOO_LARGE, Problem.NOT_IMPLEMENTED)
_STATE = (Problem.NO_SESSION, Problem.PRECONDITION_FAILED)
_CONDITIONS = tuple(
    Parameter(name=name, where="header", says=f"{says} Otherwise 412.", example=example)
    for name, says, example in (
        ("If-Match", "Only where the state has this `ETag`.", '"5d41402a"'),
        ("If-None-Match", "Only where the state does not have this `ETag`; `*`: only where there is none.", "*"),
    )
)


def _says(id: str, summary: str, description: str = "", **more: Any) -> Operation:
    """An operation of the callback API, spoken with the token of an attempt."""
    more["problems"] = (*_TAKEN, *more.get("problems", ()))
    return Operation(id=id, tag=_TAG, summary=summary, description=description, security="handlerToken", **more)


_OPERATIONS: Final = {
    ("POST", "/queues/{queue}/messages"): _says(
        "emitMessage",
        "Sends a message from a handler",
        "With an attempt's token the message is sent if and only if the attempt's own message is acked, once.",
        parameters=(flag("immediate", "Sends it at once."), *SENDER_HEADERS),
        body=PAYLOAD,
        answers={202: Answer(says="It is held, or staged.", shape=Accepted, headers=LOCATION)},
        problems=(Problem.UNKNOWN_QUEUE, Problem.NOT_ALLOWED, Problem.IDEMPOTENCY_CONFLICT, Problem.QUEUE_FULL),
    ),
    ("PUT", "/message/progress"): _says(
        "tellProgress",
        "Tells progress",
        "Counts as a heartbeat, also without a body.",
        body=Body(media={JSON: ProgressSaid}, required=False),
        answers={200: Answer(says="What was taken down.", shape=ProgressSaid)},
    ),
    ("POST", "/message/complete"): _says(
        "completeMessage",
        "Finishes accepted work",
        "Body and content type are the result. A repeat is harmless.",
        body=PAYLOAD,
        answers={200: Answer(says="The message is acked.", shape=Outcome)},
    ),
    ("POST", "/message/fail"): _says(
        "failMessage",
        "Gives accepted work up",
        "The body is the reason.",
        parameters=(
            Parameter(
                name="outcome",
                where="query",
                says="What becomes of the message.",
                schema={"type": "string", "enum": ["retry", "dead-letter"], "default": "retry"},
            ),
            Parameter(name="Retry-After", where="header", says="When to try again: seconds, or a date.", example="30"),
        ),
        body=PAYLOAD,
        answers={200: Answer(says="What becomes of the message.", shape=Outcome)},
    ),
    ("GET", "/session/state"): _says(
        "readSessionState",
        "Reads the session's state",
        answers={200: Answer(says="As it was written.", media="*/*", headers=_ETAG)},
        problems=(Problem.UNKNOWN_STATE, *_STATE),
    ),
    ("PUT", "/session/state"): _says(
        "writeSessionState",
        "Writes the session's state",
        "Seen by later reads of the same attempt, and applied if and only if its message is acked.",
        parameters=_CONDITIONS,
        body=PAYLOAD,
        answers={204: Answer(says="It is written.", media=None, headers=_ETAG)},
        problems=_STATE,
    ),
    ("DELETE", "/session/state"): _says(
        "deleteSessionState",
        "Takes the session's state away",
        parameters=_CONDITIONS,
        answers={204: Answer(says="There is none any more.", media=None)},
        problems=_STATE,
    ),
    ("POST", "/token"): _says(
        "renewToken",
        "Gives a fresh token for one that still holds",
        answers={200: Answer(says="The token, and until when it holds.", shape=FreshToken)},
        problems=(Problem.UNKNOWN_QUEUE,),
    ),
}


def routes() -> list[Route]:
    """All of it is one route for the router, so that the callback API itself says what it does not know."""
    below = {(method, CALLBACK_PATH + path): operation for (method, path), operation in _OPERATIONS.items()}
    return [Route("*", f"{CALLBACK_PATH}/{{path:.*}}", serve, below)]
