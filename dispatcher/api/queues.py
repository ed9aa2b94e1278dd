"""Queues: definitions and live numbers, sessions, pause and resume."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from contracts.api import queue_object
from contracts.problems import Problem, ProblemError
from contracts.timestamps import format_time
from contracts.workqueue import WorkQueue, manifest_object, parse_manifest
from dispatcher.api.context import CONTEXT, Context, check_namespace, find_queue, json_response, read_json
from dispatcher.core.reading import merge_patch, read_page


async def _shown(context: Context, workqueue: WorkQueue) -> dict[str, Any]:
    where = (workqueue.namespace, workqueue.name)
    depth = await context.broker.depth(*where)
    reports = [replica.report for replica in await context.store.replicas(*where)]
    oldest = [depth.oldest_enqueued_at, *(report.oldest_enqueued_at for report in reports)]
    known = [at for at in oldest if at is not None]
    return queue_object(
        workqueue,
        depth,
        scale=await context.store.scale(*where),
        in_flight=len(await context.store.held(*where)),
        sessions=sum(report.lanes for report in reports),
        oldest_age_seconds=round(max(0.0, context.wall() - min(known)), 3) if known else None,
    )


async def index(request: web.Request) -> web.Response:
    context, namespace = request.app[CONTEXT], request.match_info["namespace"]
    await check_namespace(context.store, namespace)
    items = [await _shown(context, workqueue) for workqueue in await context.store.list(namespace)]
    return json_response({"items": items, "next": None})


async def show(request: web.Request) -> web.Response:
    return json_response(await _shown(request.app[CONTEXT], await find_queue(request)))


async def _apply(context: Context, workqueue: WorkQueue) -> None:
    await context.broker.declare(workqueue)
    await context.store.put(workqueue)


async def put(request: web.Request) -> web.Response:
    context, info = request.app[CONTEXT], request.match_info
    manifest = await read_json(request)
    workqueue = parse_manifest(manifest, name=info["queue"], namespace=info["namespace"])
    if workqueue.namespace != info["namespace"]:
        raise ProblemError(Problem.NOT_ALLOWED, "metadata.namespace is not the namespace of the path.")
    new = await context.store.get(workqueue.namespace, workqueue.name) is None
    await _apply(context, workqueue)
    return json_response(await _shown(context, workqueue), 201 if new else 200)


async def patch(request: web.Request) -> web.Response:
    context, workqueue = request.app[CONTEXT], await find_queue(request)
    merged = merge_patch(manifest_object(workqueue), await read_json(request))
    changed = parse_manifest(merged, name=workqueue.name, namespace=workqueue.namespace)
    await _apply(context, changed)
    return json_response(await _shown(context, changed))


async def delete(request: web.Request) -> web.Response:
    context, workqueue = request.app[CONTEXT], await find_queue(request)
    where = (workqueue.namespace, workqueue.name)
    depth = await context.broker.depth(*where)
    waiting = sum(depth.ready) + depth.unacked
    if waiting and request.query.get("force") != "true":
        detail = f"{waiting} messages wait in the queue. Add ?force=true to delete it with them."
        raise ProblemError(Problem.CONFLICT, detail, waiting=waiting)
    await context.store.delete(*where)
    await context.broker.delete(*where)
    await context.store.forget(*where)
    return web.Response(status=204)


async def _set_paused(request: web.Request, paused: bool) -> web.Response:
    context, workqueue = request.app[CONTEXT], await find_queue(request)
    changed = msgspec.structs.replace(workqueue, spec=msgspec.structs.replace(workqueue.spec, paused=paused))
    await context.store.put(changed)
    return json_response(await _shown(context, changed))


async def pause(request: web.Request) -> web.Response:
    return await _set_paused(request, True)


async def resume(request: web.Request) -> web.Response:
    return await _set_paused(request, False)


async def sessions(request: web.Request) -> web.Response:
    """Who holds which session since when, and how many messages wait behind; sessions that only wait come last."""
    context, workqueue = request.app[CONTEXT], await find_queue(request)
    where = (workqueue.namespace, workqueue.name)
    limit, after = read_page(request.query)
    found: dict[str, dict[str, Any]] = {}
    for held in await context.store.held(*where):
        if held.session is not None:
            entry = {"replica": held.replica, "message_id": held.message_id, "since": format_time(held.since)}
            found[held.session] = {"session": held.session, **entry, "waiting": 0}
    for replica in await context.store.replicas(*where):
        for session, head, behind in replica.report.waiting:
            if session is None:
                continue
            idle = {"session": session, "replica": None, "message_id": head, "since": None, "waiting": behind + 1}
            found[session] = found[session] | {"waiting": behind} if session in found else idle
    wanted = request.query.get("session")
    items = sorted((e for e in found.values() if wanted in (None, e["session"])), key=lambda e: str(e["session"]))
    items = [entry for entry in items if after is None or entry["session"] > after]
    following = items[limit - 1]["session"] if len(items) > limit else None
    return json_response({"items": items[:limit], "next": following})
