"""Answers over HTTP: JSON, and RFC 9457 problems for everything that goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from contracts.errors import ConfigurationError, FencedError, PermanentError, TransientError
from contracts.problems import MEDIA_TYPE, Problem, ProblemError, unavailable
from contracts.workqueue import ManifestError

Observe = Callable[[str, str, int, float], None]

_log = structlog.get_logger("http")


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer of JSON."""
    named = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
    if headers:
        named.update(headers)
    return web.Response(body=msgspec.json.encode(value), status=status, headers=named)


def problem_answer(error: ProblemError) -> web.Response:
    """An answer of ``application/problem+json``."""
    headers = {"Content-Type": MEDIA_TYPE, "X-Content-Type-Options": "nosniff", **error.headers}
    body = msgspec.json.encode(error.problem.body(error.detail, **error.extra))
    return web.Response(body=body, status=error.problem.status, headers=headers)


def as_problem(error: Exception, method: str) -> ProblemError:
    """The problem that an error is told as; what nobody foresaw goes to the log, and not to the caller."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(error, method)
    if isinstance(error, ManifestError):
        return ProblemError(Problem.NOT_ALLOWED, str(error), field=".".join(error.path))
    if isinstance(error, TransientError):
        return unavailable(f"{error}. Nothing is known to have been done; try again.")
    if isinstance(error, PermanentError):
        return ProblemError(Problem.NOT_ALLOWED, str(error))
    expected = isinstance(error, FencedError | ConfigurationError)
    _log.error("a request failed", method=method, error=type(error).__name__, exc_info=None if expected else error)
    return ProblemError(Problem.INTERNAL, "The log says more. Nothing is known to have been done; try again.")


def _of_aiohttp(error: web.HTTPException, method: str) -> ProblemError:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        problem = ProblemError(
            Problem.METHOD_NOT_ALLOWED, f"{method[:20]!a} is not served here; use one of: {allowed}."
        )
        problem.headers["Allow"] = allowed
        return problem
    if isinstance(error, web.HTTPNotFound):
        return ProblemError(Problem.UNKNOWN_ROUTE, "Nothing is served at this path; it may be misspelt.")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ProblemError(Problem.PAYLOAD_TOO_LARGE, "The body is larger than this path takes.")
    return ProblemError(Problem.MALFORMED_REQUEST, f"The request cannot be served: {error.reason}.")


def problems(observe: Observe) -> Middleware:
    """The outermost middleware: every error becomes a problem, and ``observe`` learns of every answer.

    It is told (route template, method, status, seconds); of a request without a route both names are ``none``.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response: web.StreamResponse
        try:
            response = await handler(request)
        except ConnectionError:
            raise  # the caller is gone: there is nobody to answer
        except Exception as error:
            response = problem_answer(as_problem(error, request.method))
        response.headers["Server"] = "kubedaemon"
        match = request.match_info
        resource = match.route.resource
        if match.http_exception is None and resource is not None:
            observe(resource.canonical, request.method, response.status, time.perf_counter() - started)
        else:
            observe("none", "none", response.status, time.perf_counter() - started)
        return response

    return middleware
