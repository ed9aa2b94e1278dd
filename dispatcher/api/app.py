"""The application: every route, and the gate before them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import generate_latest

from contracts.problems import Problem, ProblemError
from dispatcher.api import dead_letters, messages, queues
from dispatcher.api.context import CONTEXT, Context, json_response, problems

_QUEUES = "/v1/namespaces/{namespace}/queues"
_QUEUE = _QUEUES + "/{queue}"

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@web.middleware
async def from_this_machine(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Open without a token means open to this machine's programs, and not to web pages that they show.

    A page's request carries ``Origin``; a name that was made to point here (DNS rebinding) shows in ``Host``.
    """
    host = request.host.rsplit(":", 1)[0].strip("[]") if not request.host.endswith("]") else request.host.strip("[]")
    if host not in _LOOPBACK or ("Origin" in request.headers and request.headers["Origin"] != f"http://{request.host}"):
        raise ProblemError(Problem.FORBIDDEN, "Without a token this is open to programs on this machine alone.")
    return await handler(request)


async def healthy(request: web.Request) -> web.Response:
    return json_response({"status": "ok"})


async def metrics(request: web.Request) -> web.Response:
    body = generate_latest(request.app[CONTEXT].telemetry.registry)
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def build_app(context: Context) -> web.Application:
    """The dispatcher's HTTP API, open to loopback."""
    app = web.Application(middlewares=[problems, from_this_machine], client_max_size=1024 * 1024)
    app[CONTEXT] = context
    app.router.add_routes(
        [
            web.get("/healthz", healthy),
            web.get("/readyz", healthy),
            web.get("/metrics", metrics),
            web.get(_QUEUES, queues.index),
            web.get(_QUEUE, queues.show),
            web.put(_QUEUE, queues.put),
            web.patch(_QUEUE, queues.patch),
            web.delete(_QUEUE, queues.delete),
            web.post(_QUEUE + "/pause", queues.pause),
            web.post(_QUEUE + "/resume", queues.resume),
            web.get(_QUEUE + "/sessions", queues.sessions),
            web.post(_QUEUE + "/sessions/{action:release|skip}", messages.not_built),
            web.post(_QUEUE + "/messages", messages.enqueue),
            web.get(_QUEUE + "/messages", messages.index),
            web.post(_QUEUE + "/messages/batch", messages.not_built),
            web.get(_QUEUE + "/messages/{id}", messages.show),
            web.delete(_QUEUE + "/messages/{id}", messages.not_built),
            web.get(_QUEUE + "/messages/{id}/result", messages.result),
            web.get(_QUEUE + "/events", messages.not_built),
            web.get(_QUEUE + "/dead-letters", dead_letters.index),
            web.post(_QUEUE + "/dead-letters/redrive", dead_letters.redrive),
            web.delete(_QUEUE + "/dead-letters", dead_letters.purge),
        ]
    )
    return app
