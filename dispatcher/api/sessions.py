"""Sessions: who holds them, since when, and what waits; release and skip."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from backends.http.answers import json_answer
from contracts.api import MAX_LIMIT
from contracts.problems import Problem
from contracts.records import State
from contracts.shapes import Session, SessionList, SessionOrder
from dispatcher.api.context import CONTEXT, Context, json_of, query_of
from dispatcher.api.describing import JSON, PAGE, SESSION, Answer, Body, Operation, Route
from dispatcher.core.paging import cut_page
from dispatcher.core.query import read_limit, read_session
from dispatcher.core.sessions import (
    SKIPPED,
    list_sessions,
    nothing_to_release,
    nothing_to_skip,
    read_order,
    session_now,
)


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


async def release(request: web.Request) -> web.Response:
    """The attempt that holds the session ends as an interruption, and its message is tried again."""
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    session = read_order(await json_of(request))
    where = (workqueue.namespace, workqueue.name, session)
    record = await context.store.release(*where, workqueue.spec.delivery.backoff.initial_seconds)
    found = await _session(context, *where)
    if record is None:
        raise nothing_to_release(found)
    return json_answer(found)


async def skip(request: web.Request) -> web.Response:
    """The head goes to the dead letters, and the session goes on."""
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    session = read_order(await json_of(request))
    where = (workqueue.namespace, workqueue.name, session)
    record = await context.store.skip(*where, SKIPPED)
    found = await _session(context, *where, ended=None if record is None else record.id)
    if record is None:
        raise nothing_to_skip(found)
    return json_answer(found)


async def _session(
    context: Context, namespace: str, queue: str, session: str, ended: str | None = None
) -> dict[str, Any]:
    """The session as it is now. What waits in the broker alone is in the store's records, as far as they know it."""
    where = (namespace, queue)
    waiting = await _in(context, *where, session, State.RETRYING) + await _in(context, *where, session, State.QUEUED)
    held, replicas = await context.store.held(*where), await context.store.replicas(*where)
    return session_now(session, held, replicas, waiting, ended)


async def _in(context: Context, namespace: str, queue: str, session: str, state: State) -> list[str]:
    """The session's messages in this state, oldest first."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await context.store.messages(
            namespace, queue, state=state, session=session, limit=MAX_LIMIT, after=cursor
        )
        found += [record.id for record in page]
        if cursor is None:
            return found[::-1]


_LIST = Operation(
    id="listSessions",
    tag="sessions",
    summary="Lists sessions",
    description="Those that an attempt holds, or that wait in a replica.",
    parameters=(SESSION, *PAGE),
    answers={200: Answer(says="A page.", shape=SessionList)},
    problems=(Problem.UNKNOWN_QUEUE,),
)


def _order(id: str, summary: str, description: str) -> Operation:
    return Operation(
        id=id,
        tag="sessions",
        summary=summary,
        description=description,
        body=Body(media={JSON: SessionOrder}),
        answers={200: Answer(says="The session as it is now.", shape=Session)},
        problems=(Problem.UNKNOWN_QUEUE, Problem.UNKNOWN_SESSION, Problem.CONFLICT, Problem.PAYLOAD_TOO_LARGE),
    )


_RELEASE = _order(
    "releaseSession", "Frees a stuck session", "Ends the running attempt as an interruption; the same message goes on."
)
_SKIP = _order("skipSession", "Skips a session's head", "It goes to the dead letters, and the session goes on.")


def routes(queue: str) -> list[Route]:
    """Below the path of a queue."""
    return [
        Route.of("GET", f"{queue}/sessions", index, _LIST),
        Route.of("POST", f"{queue}/sessions/release", release, _RELEASE),
        Route.of("POST", f"{queue}/sessions/skip", skip, _SKIP),
    ]
