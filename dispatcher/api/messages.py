"""Messages: enqueue, wait, look, result."""

from __future__ import annotations

from aiohttp import web

from contracts.api import accepted_object, body_digest, message_object, message_path
from contracts.errors import PermanentError, TransientError
from contracts.identity import fresh_id, keyed_id
from contracts.message import Message
from contracts.problems import Problem, ProblemError
from contracts.records import Record, State
from contracts.workqueue import WorkQueue
from dispatcher.api.context import CONTEXT, Context, find_queue, json_response, problem_response
from dispatcher.core.enqueue import read_headers, read_prefer, read_wait
from dispatcher.core.reading import ended_badly, read_page, read_state

_SANDBOX = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}


async def _read_body(request: web.Request, limit: int) -> bytes:
    """The payload; one that is too large is refused before it is read."""
    too_large = ProblemError(
        Problem.PAYLOAD_TOO_LARGE, f"The payload is larger than this queue's maxMessageBytes, {limit}.", limit=limit
    )
    if request.content_length is not None and request.content_length > limit:
        raise too_large
    parts, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise too_large
        parts.append(chunk)
    return b"".join(parts)


async def enqueue(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    workqueue = await find_queue(request)
    asked = read_headers(request.headers.items())
    wait = read_prefer(request.headers.getall("Prefer", ()))
    body = await _read_body(request, workqueue.spec.limits.max_message_bytes)
    await _check_room(context, workqueue)
    now, where = context.wall(), (workqueue.namespace, workqueue.name)
    if asked.key is None:
        message = asked.message(*where, fresh_id(int(now * 1000), context.chance()), now, body)
        await _publish(context, message)
    else:
        message = asked.message(*where, keyed_id(context.secret, *where, asked.key), now, body)
        await _publish_once(context, message)
    if wait is not None:
        return await _wait(context, message, wait)
    return _accepted(message, State.QUEUED)


async def _check_room(context: Context, workqueue: WorkQueue) -> None:
    most = workqueue.spec.limits.max_length
    if most:
        depth = await context.broker.depth(workqueue.namespace, workqueue.name)
        if sum(depth.ready) + depth.unacked >= most:
            full = ProblemError(Problem.QUEUE_FULL, f"The queue holds its maxLength of {most} messages; send later.")
            full.headers["Retry-After"] = "1"
            raise full


async def _publish(context: Context, message: Message) -> None:
    (error,) = await context.broker.publish([message])
    if error is not None:
        raise error
    context.telemetry.accepted.labels(message.namespace, message.queue).inc()
    try:
        await context.store.confirm([message])
    except TransientError:
        # The broker holds it, so it is accepted; readers learn of it at its first delivery.
        return


async def _publish_once(context: Context, message: Message) -> None:
    """Publishes under the sender's key; a repeat is published again only if no try is known to have come through."""
    digest = body_digest(message)
    known = await context.store.admit(message, digest)
    if known is not None and known.digest and known.digest != digest:
        raise ProblemError(
            Problem.IDEMPOTENCY_CONFLICT,
            "This Idempotency-Key was used with another body, content type or session. Use a new key for a new message.",
            id=known.id,
        )
    if known is None or not await context.store.is_confirmed(message.namespace, message.queue, message.id):
        await _publish(context, message)


def _accepted(message: Message, state: State, **headers: str) -> web.Response:
    path = message_path(message.namespace, message.queue, message.id)
    return json_response(accepted_object(message, state), 202, Location=path, **headers)


async def _wait(context: Context, message: Message, seconds: float) -> web.Response:
    with context.telemetry.waits.track_inprogress():
        record = await context.store.wait(message.namespace, message.queue, message.id, seconds)
    applied = f"wait={seconds:g}"
    if record is None or not record.state.final:
        state = State.QUEUED if record is None else record.state
        return _accepted(message, state, Preference_Applied=applied)
    response = _result(record)
    response.headers["Preference-Applied"] = applied
    return response


def _result(record: Record) -> web.Response:
    bad = ended_badly(record)
    if bad is not None:
        response = problem_response(bad)
        response.headers["Kubedaemon-Status"] = record.state
        return response
    ending = record.ending
    if ending is None:
        raise ProblemError(
            Problem.RESULT_GONE, "The result is no longer kept; the queue's results.retentionSeconds says how long."
        )
    headers = {**_SANDBOX, "Kubedaemon-Status": record.state.value}
    headers["Content-Type"] = ending.content_type or "application/octet-stream"
    return web.Response(body=ending.body, headers=headers)


async def _find(request: web.Request, workqueue: WorkQueue) -> Record:
    store, message_id = request.app[CONTEXT].store, request.match_info["id"]
    where = (workqueue.namespace, workqueue.name)
    record = await store.message(*where, message_id)
    wait = read_wait(request.query)
    if record is not None and wait:
        record = await store.wait(*where, message_id, wait)
    if record is None:
        raise ProblemError(
            Problem.UNKNOWN_MESSAGE, f"Queue {workqueue.name!r} knows no message with this id, or no longer."
        )
    return record


async def show(request: web.Request) -> web.Response:
    workqueue = await find_queue(request)
    record = await _find(request, workqueue)
    return json_response(message_object(workqueue.namespace, workqueue.name, record))


async def result(request: web.Request) -> web.Response:
    workqueue = await find_queue(request)
    record = await _find(request, workqueue)
    if not record.state.final:
        detail = f"The message is {record.state}; ask again, or add ?wait=30."
        return problem_response(ProblemError(Problem.NOT_ENDED, detail, state=record.state))
    return _result(record)


async def index(request: web.Request) -> web.Response:
    workqueue = await find_queue(request)
    limit, after = read_page(request.query)
    state, session = read_state(request.query), request.query.get("session")
    where = (workqueue.namespace, workqueue.name)
    try:
        records, following = await request.app[CONTEXT].store.messages(
            *where, state=state, session=session, limit=limit, after=after
        )
    except PermanentError as error:
        raise ProblemError(Problem.MALFORMED_REQUEST, str(error)) from error
    return json_response({"items": [message_object(*where, record) for record in records], "next": following})


async def not_built(request: web.Request) -> web.Response:
    raise ProblemError(Problem.NOT_IMPLEMENTED, f"{request.method} here is part of the contract, and not built yet.")
