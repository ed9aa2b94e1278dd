"""Queues: definitions and live numbers, pause and resume."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from backends.http.answers import json_answer
from contracts.api import queue_object
from contracts.deliveries import Depth
from contracts.errors import PermanentError, TransientError
from contracts.problems import Problem, ProblemError
from contracts.records import Report
from contracts.shapes import Manifest, Queue, QueueList
from contracts.workqueue import WorkQueue
from dispatcher.api.context import CONTEXT, Context, json_of, query_of
from dispatcher.api.describing import JSON, PAGE, Answer, Body, Operation, Route, flag
from dispatcher.core.manifests import check_change, patched, paused, read_manifest
from dispatcher.core.paging import cut_page
from dispatcher.core.query import read_flag, read_limit


async def _depth(context: Context, workqueue: WorkQueue) -> Depth:
    try:
        return await context.broker.depth(workqueue.namespace, workqueue.name)
    except TransientError:
        raise
    except PermanentError:
        # It is being made or unmade right now: nothing is in it.
        return Depth(ready=(), unacked=0, dead=0)


async def _shown(context: Context, workqueue: WorkQueue) -> dict[str, Any]:
    where = (workqueue.namespace, workqueue.name)
    depth = await _depth(context, workqueue)
    reports = [replica.report for replica in await context.store.replicas(*where)]
    scale = await context.store.scale(*where)
    return queue_object(
        workqueue,
        depth,
        scale=msgspec.structs.replace(scale, reason=_reason(scale.reason, reports)),
        in_flight=len(await context.store.held(*where)),
        sessions=sum(report.lanes for report in reports),
        oldest_age_seconds=_oldest_age(context.wall(), depth, reports),
    )


def _reason(of_scaler: str, reports: list[Report]) -> str:
    """What the scaler says, then what replicas say of themselves, each once."""
    said = [of_scaler, *sorted({report.reason for report in reports})]
    return "; ".join(reason for n, reason in enumerate(said) if reason and not (n and reason in of_scaler))


def _oldest_age(now: float, depth: Depth, reports: list[Report]) -> float | None:
    since = [depth.oldest_enqueued_at, *(report.oldest_enqueued_at for report in reports)]
    known = [at for at in since if at is not None]
    return round(max(0.0, now - min(known)), 3) if known else None


async def index(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    query = query_of(request, "limit", "after")
    queues = context.catalogue.list(request.match_info["namespace"])
    page, following = cut_page(queues, lambda one: (one.name,), tuple[str], read_limit(query), query.get("after"))
    return json_answer({"items": [await _shown(context, one) for one in page], "next": following})


async def show(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    return json_answer(await _shown(context, workqueue))


async def put(request: web.Request) -> web.Response:
    context, info = request.app[CONTEXT], request.match_info
    query_of(request)
    wanted = read_manifest(await json_of(request), info["namespace"], info["queue"])
    async with context.defining:
        old = context.catalogue.get(wanted.namespace, wanted.name)
        check_change(old, wanted)
        if old is not None:
            wanted = msgspec.structs.replace(wanted, resumes=old.resumes)
        await context.queues.apply(wanted)
    return json_answer(await _shown(context, wanted), 201 if old is None else 200)


async def patch(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    context.find(request)
    query_of(request)
    change = await json_of(request)
    async with context.defining:
        old = context.find(request)
        wanted = patched(old, change)
        check_change(old, wanted)
        await context.queues.apply(wanted)
    return json_answer(await _shown(context, wanted))


async def delete(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    force = read_flag(query_of(request, "force"), "force")
    async with context.defining:
        workqueue = context.find(request)
        depth = await _depth(context, workqueue)
        waiting = sum(depth.ready) + depth.unacked + depth.scheduled
        if waiting and not force:
            later = f", {depth.scheduled} of them for their time" if depth.scheduled else ""
            raise ProblemError(
                Problem.CONFLICT,
                f"{waiting} messages wait in the queue{later}. Let them be handled first, or lose them with ?force=true.",
                waiting=waiting,
            )
        await context.queues.remove(workqueue.namespace, workqueue.name)
    return web.Response(status=204)


async def _set_paused(request: web.Request, value: bool) -> web.Response:
    context = request.app[CONTEXT]
    query_of(request)
    async with context.defining:
        changed = paused(context.find(request), value)
        await context.queues.apply(changed)
    return json_answer(await _shown(context, changed))


async def pause(request: web.Request) -> web.Response:
    return await _set_paused(request, True)


async def resume(request: web.Request) -> web.Response:
    return await _set_paused(request, False)


def _described(id: str, summary: str, description: str = "", **more: Any) -> Operation:
    """An operation that answers the queue, unless it says otherwise."""
    more.setdefault("answers", {200: Answer(says="The queue.", shape=Queue)})
    more.setdefault("problems", (Problem.UNKNOWN_QUEUE,))
    return Operation(id=id, tag="queues", summary=summary, description=description, **more)


_LIST = _described(
    "listQueues",
    "Lists queues",
    "By name.",
    parameters=PAGE,
    answers={200: Answer(says="A page.", shape=QueueList)},
    problems=(Problem.UNKNOWN_NAMESPACE,),
)
_SHOW = _described("showQueue", "Shows a queue")
_PUT = _described(
    "putQueue",
    "Makes or redefines a queue",
    "The manifest; what it leaves out is as by default.",
    body=Body(media={JSON: Manifest}),
    answers={
        200: Answer(says="The queue, redefined.", shape=Queue),
        201: Answer(says="The queue, new.", shape=Queue),
    },
    problems=(Problem.PAYLOAD_TOO_LARGE, Problem.NOT_ALLOWED),
)
_PATCH = _described(
    "patchQueue",
    "Changes a queue",
    "A merge patch (RFC 7396) of the manifest: null takes a member back to its default.",
    body=Body(
        media={JSON: dict[str, Any], "application/merge-patch+json": dict[str, Any]},
        example={"spec": {"scaling": {"maxReplicas": 4}}},
    ),
    problems=(Problem.UNKNOWN_QUEUE, Problem.PAYLOAD_TOO_LARGE, Problem.NOT_ALLOWED),
)
_DELETE = _described(
    "deleteQueue",
    "Deletes a queue",
    parameters=(flag("force", "Deletes it also where messages wait in it: they are lost."),),
    answers={204: Answer(says="It is gone.", media=None)},
    problems=(Problem.UNKNOWN_QUEUE, Problem.CONFLICT),
)
_PAUSE = _described("pauseQueue", "Pauses a queue", "No delivery starts any more; enqueueing goes on.")
_RESUME = _described("resumeQueue", "Resumes a queue", "Also starts replicas that halted by themselves.")


def routes(queues: str, queue: str) -> list[Route]:
    """The paths of all queues of a namespace, and of one."""
    return [
        Route.of("GET", queues, index, _LIST),
        Route.of("GET", queue, show, _SHOW),
        Route.of("PUT", queue, put, _PUT),
        Route.of("PATCH", queue, patch, _PATCH),
        Route.of("DELETE", queue, delete, _DELETE),
        Route.of("POST", f"{queue}/pause", pause, _PAUSE),
        Route.of("POST", f"{queue}/resume", resume, _RESUME),
    ]
