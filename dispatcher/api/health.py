"""Is it alive, is it ready, and how it is: open to whoever may reach it."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from backends.http.answers import json_answer
from contracts.errors import PermanentError, TransientError
from contracts.problems import unavailable
from contracts.shapes import Health
from dispatcher.api.context import CONTEXT
from dispatcher.api.describing import Answer, Operation, Route

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


_HEALTHZ = Operation(
    id="healthz", tag="service", summary="Is it alive?", answers={200: Answer(says="It is.", shape=Health)}
)
_READYZ = Operation(
    id="readyz",
    tag="service",
    summary="Do the broker and the store answer?",
    answers={200: Answer(says="They do.", shape=Health)},
)
_METRICS = Operation(
    id="metrics",
    tag="service",
    summary="Metrics",
    answers={200: Answer(says="As Prometheus reads them.", media="text/plain")},
)


def routes() -> list[Route]:
    return [
        Route.of("GET", "/healthz", healthz, _HEALTHZ),
        Route.of("GET", "/readyz", readyz, _READYZ),
        Route.of("GET", "/metrics", metrics, _METRICS),
    ]
