"""Messages: enqueue, wait, look, result."""

from __future__ import annotations

from aiohttp import web

from backends.http.answers import json_answer, problem_answer
from backends.http.bodies import read_body
from contracts.api import accepted_object, message_object, message_path
from contracts.cloudevents import BATCHED, media_type
from contracts.enqueue import read_headers
from contracts.errors import PermanentError, TransientError
from contracts.message import Message
from contracts.problems import Problem, ProblemError
from contracts.records import Record, State
from contracts.shapes import Accepted, MessageList
from contracts.shapes import Message as MessageShape
from contracts.workqueue import WorkQueue
from dispatcher.api.access import withhold
from dispatcher.api.batch import enqueue_all
from dispatcher.api.context import CONTEXT, Context, query_of
from dispatcher.api.describing import PAGE, SESSION, WAIT, Answer, Operation, Parameter, Route
from dispatcher.api.sending_described import LOCATION, MESSAGE, SENDER_HEADERS
from dispatcher.core.ending import check_kept, not_cancellable, tell_ending
from dispatcher.core.prefer import applied, read_prefer
from dispatcher.core.query import Query, read_limit, read_session, read_state, read_wait


async def enqueue(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    asked = read_headers(request.headers.items())
    if media_type(asked.content_type) == BATCHED:
        return await enqueue_all(request, workqueue, asked)
    seconds = read_prefer(request.headers.getall("Prefer", ()))
    try:
        body = await read_body(request, workqueue.spec.limits.max_message_bytes, "the queue's maxMessageBytes")
    except ProblemError as error:
        context.telemetry.refused(workqueue.namespace, workqueue.name, error.problem.slug)
        raise
    accepted = await context.sender.send(workqueue, asked, body)
    if seconds is not None:
        return await _until_final(context, request, accepted.message, accepted.state, seconds)
    return _accepted(accepted.message, accepted.state)


def _accepted(message: Message, state: State, seconds: int | None = None) -> web.Response:
    headers = {"Location": message_path(message.namespace, message.queue, message.id)}
    if seconds is not None:
        headers["Preference-Applied"] = applied(seconds)
    return json_answer(accepted_object(message, state), 202, headers)


async def _until_final(
    context: Context, request: web.Request, message: Message, state: State, seconds: int
) -> web.Response:
    """The message is accepted already: whatever the wait comes to, the answer must not say that it is not."""
    try:
        record = await _wait(context, request, (message.namespace, message.queue, message.id), seconds)
    except TransientError:
        return _accepted(message, state)
    if record is None or not record.state.final:
        return _accepted(message, state if record is None else record.state, seconds)
    response = _told(record)
    response.headers["Preference-Applied"] = applied(seconds)
    response.headers["Location"] = message_path(message.namespace, message.queue, message.id)
    return response


async def _wait(context: Context, request: web.Request, where: tuple[str, str, str], seconds: float) -> Record | None:
    def gone() -> bool:
        return request.transport is None or request.transport.is_closing()

    return await context.waits.until_final(*where, seconds, gone)


def _told(record: Record) -> web.Response:
    try:
        result = tell_ending(record)
    except ProblemError as error:
        return problem_answer(error)
    return web.Response(body=result.body, headers=result.headers)


async def _find(request: web.Request, workqueue: WorkQueue, query: Query) -> Record:
    context, message_id = request.app[CONTEXT], request.match_info["id"]
    seconds = read_wait(query)
    where = (workqueue.namespace, workqueue.name, message_id)
    record = await context.store.message(*where)
    if seconds and record is not None and not record.state.final:
        record = await _wait(context, request, where, seconds)
    if record is None:
        raise _unknown(workqueue)
    return record


def _unknown(workqueue: WorkQueue) -> ProblemError:
    return ProblemError(
        Problem.UNKNOWN_MESSAGE,
        f"Queue {workqueue.name!r} knows no message with this id: it never did, or its record was kept long enough.",
    )


async def show(request: web.Request) -> web.Response:
    workqueue = request.app[CONTEXT].find(request)
    record = await _find(request, workqueue, query_of(request, "wait"))
    return json_answer(withhold(request, message_object(workqueue.namespace, workqueue.name, record)))


async def result(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    record = await _find(request, workqueue, query_of(request, "wait"))
    check_kept(record, workqueue.spec.results.retention_seconds, context.wall())
    return _told(record)


async def cancel(request: web.Request) -> web.Response:
    """Ends what has not started; a second time changes nothing."""
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    where = (workqueue.namespace, workqueue.name)
    record = await context.store.cancel(*where, request.match_info["id"])
    if record is None:
        raise _unknown(workqueue)
    if record.state is not State.CANCELLED:
        raise not_cancellable(record)
    return json_answer(message_object(*where, record))


async def index(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query = query_of(request, "state", "session", "limit", "after")
    where = (workqueue.namespace, workqueue.name)
    state, session, limit = read_state(query), read_session(query), read_limit(query)
    try:
        records, following = await context.store.messages(
            *where, state=state, session=session, limit=limit, after=query.get("after")
        )
    except PermanentError as error:
        raise ProblemError(Problem.MALFORMED_REQUEST, str(error), parameter="after") from error
    items = [withhold(request, message_object(*where, record)) for record in records]
    return json_answer({"items": items, "next": following})


_ENDED_BADLY = (Problem.MESSAGE_DEAD, Problem.MESSAGE_EXPIRED, Problem.MESSAGE_CANCELLED, Problem.RESULT_GONE)
_ENQUEUE = Operation(
    id="enqueueMessage",
    tag="messages",
    summary="Sends a message",
    description="202 only once a durable queue holds it.",
    parameters=(
        *SENDER_HEADERS,
        Parameter(
            name="Prefer",
            where="header",
            says="`wait=N` waits for the end, for N seconds at most (300): then the answer is the handler's own.",
            example="wait=10",
        ),
    ),
    body=MESSAGE,
    answers={
        200: Answer(
            says="With `Prefer: wait` the result, as the handler gave it. For a batch of CloudEvents what became of each.",
            media="*/*",
            headers={"Kubedaemon-Status": "`succeeded`", "Preference-Applied": "How long a wait was served."},
        ),
        202: Answer(says="It is held.", shape=Accepted, headers=LOCATION),
    },
    problems=(
        Problem.UNKNOWN_QUEUE,
        Problem.PAYLOAD_TOO_LARGE,
        Problem.NOT_ALLOWED,
        Problem.IDEMPOTENCY_CONFLICT,
        Problem.QUEUE_FULL,
        Problem.NOT_IMPLEMENTED,
        *_ENDED_BADLY,
    ),
)
_LIST = Operation(
    id="listMessages",
    tag="messages",
    summary="Lists messages",
    description="Those that are known, newest first. One from AMQP is known from its first delivery on.",
    parameters=(
        Parameter(
            name="state",
            where="query",
            says="Only what is in this state.",
            schema={"type": "string", "enum": [state.value for state in State]},
            example="dead",
        ),
        SESSION,
        *PAGE,
    ),
    answers={200: Answer(says="A page.", shape=MessageList)},
    problems=(Problem.UNKNOWN_QUEUE,),
)
_SHOW = Operation(
    id="showMessage",
    tag="messages",
    summary="Shows a message",
    parameters=(WAIT,),
    answers={200: Answer(says="The message.", shape=MessageShape)},
    problems=(Problem.UNKNOWN_QUEUE, Problem.UNKNOWN_MESSAGE),
)
_CANCEL = Operation(
    id="cancelMessage",
    tag="messages",
    summary="Cancels a message",
    description="What no attempt has taken up. A second time changes nothing.",
    answers={200: Answer(says="The message, cancelled.", shape=MessageShape)},
    problems=(Problem.UNKNOWN_QUEUE, Problem.UNKNOWN_MESSAGE, Problem.CONFLICT),
)
_RESULT = Operation(
    id="fetchResult",
    tag="messages",
    summary="Fetches a result",
    parameters=(WAIT,),
    answers={200: Answer(says="The handler's body, with its content type.", media="*/*")},
    problems=(Problem.UNKNOWN_QUEUE, Problem.UNKNOWN_MESSAGE, Problem.NOT_ENDED, *_ENDED_BADLY),
)


def routes(queue: str) -> list[Route]:
    """Below the path of a queue."""
    return [
        Route.of("POST", f"{queue}/messages", enqueue, _ENQUEUE),
        Route.of("GET", f"{queue}/messages", index, _LIST),
        Route.of("GET", f"{queue}/messages/{{id}}", show, _SHOW),
        Route.of("DELETE", f"{queue}/messages/{{id}}", cancel, _CANCEL),
        Route.of("GET", f"{queue}/messages/{{id}}/result", result, _RESULT),
    ]
