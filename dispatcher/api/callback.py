"""The callback API for programs outside the pod: as a sidecar serves it to its handler, with the same tokens."""

from __future__ import annotations

from aiohttp import web

from backends.http.bodies import read_body, when_wanted
from backends.http.callback import read_head
from contracts.handler import CALLBACK_PATH
from contracts.problems import Problem, ProblemError
from dispatcher.api.context import CONTEXT


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


def routes() -> list[web.RouteDef]:
    """All of it; what there is below the prefix is not told here."""
    return [web.route("*", f"{CALLBACK_PATH}/{{path:.*}}", serve, expect_handler=when_wanted)]
