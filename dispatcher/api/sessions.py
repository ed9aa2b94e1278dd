"""Sessions: who holds them, since when, and what waits."""

from __future__ import annotations

from aiohttp import web

from backends.http.answers import json_answer
from dispatcher.api.context import CONTEXT, query_of
from dispatcher.core.paging import cut_page
from dispatcher.core.query import read_limit, read_session
from dispatcher.core.sessions import list_sessions


async def index(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query = query_of(request, "session", "limit", "after")
    wanted, limit = read_session(query), read_limit(query)
    where = (workqueue.namespace, workqueue.name)
    found = list_sessions(await context.store.held(*where), await context.store.replicas(*where))
    chosen = [one for one in found if wanted in (None, one["session"])]
    page, following = cut_page(chosen, lambda one: (one["session"],), tuple[str], limit, query.get("after"))
    return json_answer({"items": page, "next": following})


def routes(queue: str) -> list[web.RouteDef]:
    """Below the path of a queue."""
    return [web.get(f"{queue}/sessions", index)]
