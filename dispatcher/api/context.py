"""What every route stands on, and how each error becomes a problem."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog
from aiohttp import web

from backends.ports import DeadLetters, Definitions, Depths, Publisher, Topology, Views
from contracts.errors import PermanentError, TransientError
from contracts.problems import MEDIA_TYPE, Problem, ProblemError
from contracts.workqueue import ManifestError, WorkQueue
from dispatcher.telemetry import Telemetry

_log = structlog.get_logger("dispatcher")


class FrontBroker(Publisher, Topology, Depths, DeadLetters, Protocol):
    """What the dispatcher asks of a broker."""


class ReadStore(Views, Definitions, Protocol):
    """What the dispatcher asks of a store."""


@dataclass(frozen=True)
class Context:
    """``secret`` names keyed messages; ``wall`` is the clock, ``chance`` ten random bytes a call."""

    broker: FrontBroker
    store: ReadStore
    telemetry: Telemetry
    secret: bytes
    wall: Callable[[], float]
    chance: Callable[[], bytes]


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)


async def find_queue(request: web.Request) -> WorkQueue:
    """The queue that the path names. Raises ``ProblemError`` 404."""
    store = request.app[CONTEXT].store
    namespace, name = request.match_info["namespace"], request.match_info["queue"]
    found = await store.get(namespace, name)
    if found is not None:
        return found
    await check_namespace(store, namespace)
    names = ", ".join(workqueue.name for workqueue in await store.list(namespace))
    detail = f"There is no queue {name!r} in namespace {namespace!r}. There are: {names}."
    raise ProblemError(Problem.UNKNOWN_QUEUE, detail)


async def check_namespace(store: ReadStore, namespace: str) -> None:
    queues = await store.list()
    if queues and all(workqueue.namespace != namespace for workqueue in queues):
        there = ", ".join(sorted({workqueue.namespace for workqueue in queues}))
        raise ProblemError(Problem.UNKNOWN_NAMESPACE, f"There is no namespace {namespace!r}. There are: {there}.")


async def read_json(request: web.Request) -> Any:
    """The body as JSON. Raises ``ProblemError`` 400 with the place."""
    body = await request.read()
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProblemError(Problem.MALFORMED_REQUEST, f"the body is not JSON: {error}") from error


def json_response(value: Any, status: int = 200, **headers: str) -> web.Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json", headers=named)


def problem_response(error: ProblemError) -> web.Response:
    body = msgspec.json.encode(error.problem.body(error.detail, **error.extra))
    return web.Response(body=body, status=error.problem.status, content_type=MEDIA_TYPE, headers=error.headers)


def _as_problem(error: Exception, request: web.Request) -> ProblemError:
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, ManifestError):
        return ProblemError(Problem.NOT_ALLOWED, str(error), field=".".join(error.path))
    if isinstance(error, TransientError):
        return ProblemError(Problem.UNAVAILABLE, f"{error}; nothing was accepted, try again")
    if isinstance(error, PermanentError):
        return ProblemError(Problem.NOT_ALLOWED, str(error))
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return ProblemError(Problem.METHOD_NOT_ALLOWED, f"{request.method} is not served here; use one of: {allowed}.")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ProblemError(Problem.PAYLOAD_TOO_LARGE, "The body is larger than this path takes.")
    if isinstance(error, web.HTTPNotFound):
        return ProblemError(Problem.UNKNOWN_ROUTE, "Nothing is served at this path; see the API reference in the docs.")
    if isinstance(error, web.HTTPException):
        return ProblemError(Problem.MALFORMED_REQUEST, error.reason)
    _log.exception("a request failed", method=request.method)
    return ProblemError(Problem.INTERNAL, "The log says more. Nothing is known to have been accepted; try again.")


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Counts every request, and answers every error with a problem."""
    telemetry = request.app[CONTEXT].telemetry
    started = time.perf_counter()
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Exception as error:  # the outermost layer: whatever it is, the caller gets an answer
        response = problem_response(_as_problem(error, request))
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    telemetry.requests.labels(route, str(response.status)).inc()
    telemetry.seconds.observe(time.perf_counter() - started)
    return response
