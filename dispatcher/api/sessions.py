"""Sessions: who holds them, since when, and what waits; release and skip."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from backends.http.answers import json_answer
from backends.http.bodies import when_wanted
from contracts.workqueue import WorkQueue
from dispatcher.api.context import CONTEXT, Context, json_of, query_of
from dispatcher.core.paging import cut_page
from dispatcher.core.query import read_limit, read_session
from dispatcher.core.sessions import SKIPPED, idle_session, list_sessions, nothing_to_order, read_order


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


async def _session(context: Context, workqueue: WorkQueue, session: str) -> dict[str, Any] | None:
    where = (workqueue.namespace, workqueue.name)
    found = list_sessions(await context.store.held(*where), await context.store.replicas(*where))
    return next((one for one in found if one["session"] == session), None)


async def _order(request: web.Request, what: str) -> web.Response:
    """Ends what runs or waits at the head of a session, and answers the session as it is then."""
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    session = read_order(await json_of(request))
    before = await _session(context, workqueue, session)
    where = (workqueue.namespace, workqueue.name, session)
    if what == "release":
        record = await context.store.release(*where, workqueue.spec.delivery.backoff.initial_seconds)
    else:
        record = await context.store.skip(*where, SKIPPED)
    if record is None:
        raise nothing_to_order(what, session, before)
    after = await _session(context, workqueue, session)
    return json_answer(after or idle_session(session))


async def release(request: web.Request) -> web.Response:
    """The attempt that holds the session ends as an interruption; the same message is tried again."""
    return await _order(request, "release")


async def skip(request: web.Request) -> web.Response:
    """The head goes to the dead letters, and the session goes on."""
    return await _order(request, "skip")


def routes(queue: str) -> list[web.RouteDef]:
    """Below the path of a queue."""
    return [
        web.get(f"{queue}/sessions", index),
        web.post(f"{queue}/sessions/release", release, expect_handler=when_wanted),
        web.post(f"{queue}/sessions/skip", skip, expect_handler=when_wanted),
    ]
