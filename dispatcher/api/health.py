"""Is it alive, is it ready, and how it is: open to whoever may reach it."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backends.http.answers import json_answer
from contracts.errors import PermanentError, TransientError
from contracts.problems import unavailable
from dispatcher.api.context import CONTEXT

_READY_SECONDS = 5.0


async def healthz(request: web.Request) -> web.Response:
    """It answers, so it is."""
    return json_answer({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """Ready where the store and the broker answer."""
    context = request.app[CONTEXT]
    try:
        async with asyncio.timeout(_READY_SECONDS):
            queue = context.catalogue.any()
            if queue is None:
                await context.store.list()
            else:
                await context.store.scale(queue.namespace, queue.name)
                await context.broker.depth(queue.namespace, queue.name)
    except TimeoutError as error:
        raise unavailable(f"The broker or the store did not answer within {_READY_SECONDS:g} s.") from error
    except TransientError as error:
        raise unavailable(f"Not ready: {error}.") from error
    except PermanentError:
        pass  # the queue was deleted between the two: the broker did answer
    return json_answer({"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    body = generate_latest(request.app[CONTEXT].telemetry.registry)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def routes() -> list[web.RouteDef]:
    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
