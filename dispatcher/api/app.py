"""The application: every route, and the gates before them."""

from __future__ import annotations

from aiohttp import web

from backends.http.answers import problems
from backends.http.loopback import loopback_only
from dispatcher.api import batch, callback, dead_letters, events, health, messages, queues, reference, sessions, unbuilt
from dispatcher.api.access import check_needs, held
from dispatcher.api.context import CONTEXT, Context
from dispatcher.api.describing import Route
from dispatcher.ports import Tokens

_NAMESPACE = "/v1/namespaces/{namespace}"
_QUEUES = f"{_NAMESPACE}/queues"
_QUEUE = f"{_QUEUES}/{{queue}}"


def all_routes() -> list[Route]:
    """Every route but those of the document itself, which is made of these."""
    return [
        *health.routes(),
        *callback.routes(),
        *unbuilt.routes(_NAMESPACE),
        *messages.routes(_QUEUE),
        *batch.routes(_QUEUE),
        *events.routes(_QUEUE),
        *queues.routes(_QUEUES, _QUEUE),
        *sessions.routes(_QUEUE),
        *dead_letters.routes(_QUEUE),
    ]


def build_app(context: Context, tokens: Tokens | None = None) -> web.Application:
    """The dispatcher's HTTP API: open to whom ``tokens`` know, and without any to loopback.

    Raises ``LookupError`` where it has not been said of a route which role it takes.
    """
    gate = loopback_only if tokens is None else held(tokens)
    app = web.Application(middlewares=[problems(context.telemetry.answered), gate])
    app[CONTEXT] = context
    described = all_routes()
    app.add_routes([route.definition() for route in (*described, *reference.routes(described))])

    check_needs(app)

    async def end_waits(_: web.Application) -> None:
        context.waits.end()
        context.feeds.end()

    app.on_shutdown.append(end_waits)
    return app
