"""Dead letters: look, send back, purge."""

from __future__ import annotations

import structlog
from aiohttp import web

from backends.http.answers import json_answer, unavailable
from backends.http.bodies import when_wanted
from contracts.api import dead_letter_object
from contracts.errors import KubedaemonError, TransientError
from contracts.message import DeadLetter, Message
from contracts.workqueue import WorkQueue
from dispatcher.api.context import CONTEXT, Context, json_of, query_of
from dispatcher.core.paging import cut_page
from dispatcher.core.query import malformed, read_flag, read_limit, read_session
from dispatcher.core.redrive import next_generation, read_wanted

_TURN = 500
"""How many are sent back to the broker together."""

_log = structlog.get_logger("dispatcher")


def _newest_first(letter: DeadLetter) -> tuple[float, str, int]:
    return (-letter.dead_at, letter.message.id, letter.message.generation)


async def index(request: web.Request) -> web.Response:
    """Newest first."""
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query = query_of(request, "session", "limit", "after")
    session, limit = read_session(query), read_limit(query)
    where = (workqueue.namespace, workqueue.name)
    letters = [one for one in await context.broker.browse(*where) if session in (None, one.message.session)]
    page, following = cut_page(letters, _newest_first, tuple[float, str, int], limit, query.get("after"))
    items = [dead_letter_object(one, await context.store.message(*where, one.message.id)) for one in page]
    return json_answer({"items": items, "next": following})


async def redrive(request: web.Request) -> web.Response:
    """In the order in which they died, so that those of one session keep theirs."""
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    wanted = read_wanted(await json_of(request))
    chosen = wanted.choose(await context.broker.browse(workqueue.namespace, workqueue.name))
    redriven = 0
    for start in range(0, len(chosen), _TURN):
        turn = chosen[start : start + _TURN]
        sent = await _send_back(context, workqueue, turn)
        redriven += sent
        if sent < len(turn):
            problem = unavailable(
                f"{redriven} were redriven, and then the broker did not confirm. The others are still dead letters: "
                "call this again."
            )
            problem.extra["redriven"] = redriven
            raise problem
    return json_answer({"redriven": redriven})


async def _send_back(context: Context, workqueue: WorkQueue, letters: list[DeadLetter]) -> int:
    """How many went back. Each leaves the dead letters only once the broker holds its next generation.

    Where this is cut off in between, a later redrive sends a twin of the same generation, which is handled once.
    """
    where = (workqueue.namespace, workqueue.name)
    messages = [next_generation(letter) for letter in letters]
    outcomes: list[KubedaemonError | None]
    try:
        outcomes = await context.broker.publish(messages)
    except TransientError as away:
        outcomes = [away] * len(messages)
    held = [message for message, error in zip(messages, outcomes, strict=True) if error is None]
    await _tell_readers(context, held)
    await context.broker.remove(*where, [(message.id, message.generation - 1) for message in held])
    context.telemetry.redriven(*where, len(held))
    return len(held)


async def _tell_readers(context: Context, messages: list[Message]) -> None:
    try:
        for message in messages:
            await context.store.redriven(message)
    except TransientError as away:
        # They are on their way all the same, and the record follows at the first delivery.
        _log.warning("the store does not know of redriven messages yet", error=str(away))


async def purge(request: web.Request) -> web.Response:
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    if not read_flag(query_of(request, "all"), "all"):
        raise malformed("all", "add ?all=true: this takes away every dead letter of the queue, for good")
    where = (workqueue.namespace, workqueue.name)
    keys = [(letter.message.id, letter.message.generation) for letter in await context.broker.browse(*where)]
    return json_answer({"purged": await context.broker.remove(*where, keys)})


def routes(queue: str) -> list[web.RouteDef]:
    """Below the path of a queue."""
    return [
        web.get(f"{queue}/dead-letters", index),
        web.delete(f"{queue}/dead-letters", purge),
        web.post(f"{queue}/dead-letters/redrive", redrive, expect_handler=when_wanted),
    ]
