"""Batches of messages: each entry of one call answered on its own."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from backends.http.answers import json_answer
from backends.http.bodies import read_body
from backends.sending import Accepted
from contracts.cloudevents import BATCHED
from contracts.enqueue import Enqueue, read_headers
from contracts.problems import Problem, ProblemError
from contracts.shapes import BatchAnswer, CloudEvent
from contracts.workqueue import WorkQueue
from dispatcher.api.context import CONTEXT, Context, query_of
from dispatcher.api.describing import Answer, Body, Operation, Route
from dispatcher.core.batch import limit_bytes, read_batch
from dispatcher.core.entry import JsonEntry, Wish


async def enqueue(request: web.Request) -> web.Response:
    workqueue = request.app[CONTEXT].find(request)
    query_of(request)
    return await enqueue_all(request, workqueue, read_headers(request.headers.items()))


async def enqueue_all(request: web.Request, workqueue: WorkQueue, asked: Enqueue) -> web.Response:
    """The messages in the body, under what was asked for in the head."""
    context = request.app[CONTEXT]
    most = workqueue.spec.limits.max_message_bytes
    try:
        body = await read_body(request, limit_bytes(most), "what a batch may have")
        wishes = read_batch(asked, body, most)
    except ProblemError as error:
        context.telemetry.refused(workqueue.namespace, workqueue.name, error.problem.slug)
        raise
    answers = await _send(context, workqueue, wishes)
    return json_answer({"items": [_item(answer) for answer in answers]})


async def _send(
    context: Context, workqueue: WorkQueue, wishes: list[Wish | ProblemError]
) -> list[Accepted | ProblemError]:
    """An answer for each; what cannot be read is refused here, and all others go on together."""
    sent = iter(await context.sender.send_many(workqueue, [one for one in wishes if isinstance(one, Wish)]))
    for one in wishes:
        if isinstance(one, ProblemError):
            context.telemetry.refused(workqueue.namespace, workqueue.name, one.problem.slug)
    return [next(sent) if isinstance(one, Wish) else one for one in wishes]


def _item(answer: Accepted | ProblemError) -> dict[str, Any]:
    if isinstance(answer, ProblemError):
        return answer.problem.body(answer.detail, **answer.extra)
    return {"status": 202, "id": answer.message.id}


_BATCH = Operation(
    id="enqueueBatch",
    tag="messages",
    summary="Sends many messages",
    description="Up to 1,000, each answered on its own, in order. The answer is 200 also where some are refused.",
    body=Body(
        media={
            "application/json": list[JsonEntry],
            "application/x-ndjson": None,
            "application/msgpack": None,
            "application/vnd.msgpack": None,
            BATCHED: list[CloudEvent],
        },
        says="A JSON or msgpack array of entries, or an entry a line, or a batch of CloudEvents. A string `data` is the "
        "payload's text; any other value is sent as JSON; `data_base64` is for bytes.",
        example=[
            {"session": "customer-17", "idempotency_key": "order-4711", "data": {"total": 12}},
            {"delay": "90s", "content_type": "text/plain", "data": "hello"},
        ],
    ),
    answers={200: Answer(says="What became of each.", shape=BatchAnswer)},
    problems=(Problem.UNKNOWN_QUEUE, Problem.PAYLOAD_TOO_LARGE, Problem.NOT_ALLOWED, Problem.NOT_IMPLEMENTED),
)


def routes(queue: str) -> list[Route]:
    """Below the path of a queue."""
    return [Route.of("POST", f"{queue}/messages/batch", enqueue, _BATCH)]
