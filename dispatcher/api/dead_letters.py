"""Dead letters: look, send back, purge."""

from __future__ import annotations

import structlog
from aiohttp import web

from backends.http.answers import json_answer, unavailable
from backends.http.bodies import when_wanted
from contracts.api import dead_letter_object
from contracts.errors import KubedaemonError, PermanentError, TransientError
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
    letters = [one for one in await _letters(context, workqueue) if session in (None, one.message.session)]
    page, following = cut_page(letters, _newest_first, tuple[float, str, int], limit, query.get("after"))
    items = [dead_letter_object(one, await context.store.message(*where, one.message.id)) for one in page]
    return json_answer({"items": items, "next": following})


async def _letters(context: Context, workqueue: WorkQueue) -> list[DeadLetter]:
    """The dead letters, oldest first, without those that are stale.

    A letter may be published once more because its first publish was not confirmed. Where the message was redriven
    in between, that one is of an earlier generation than its record, and is taken away.
    """
    where = (workqueue.namespace, workqueue.name)
    found, stale = [], []
    for letter in await context.broker.browse(*where):
        record = None if letter.kept_by else await context.store.message(*where, letter.message.id)
        if record is not None and record.generation > letter.message.generation:
            stale.append((letter.message.id, letter.message.generation))
        else:
            found.append(letter)
    if stale:
        await context.broker.remove(*where, stale)
    return found


async def redrive(request: web.Request) -> web.Response:
    """In the order in which they died, so that those of one session keep theirs."""
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    wanted = read_wanted(await json_of(request))
    chosen = wanted.choose(await _letters(context, workqueue))
    redriven = kept = 0
    for start in range(0, len(chosen), _TURN):
        turn = chosen[start : start + _TURN]
        sent, homeless = await _send_back(context, workqueue, turn)
        redriven += sent
        kept += homeless
        if sent + homeless < len(turn):
            problem = unavailable(
                f"{redriven} were redriven, and then the broker did not confirm. The others are still dead letters: "
                "call this again."
            )
            problem.extra["redriven"] = redriven
            raise problem
    return json_answer({"redriven": redriven, "kept": kept} if kept else {"redriven": redriven})


async def _send_back(context: Context, workqueue: WorkQueue, letters: list[DeadLetter]) -> tuple[int, int]:
    """How many went back, and how many stay because the queue that they were emitted to is not there. Each leaves the dead letters only once the broker holds its next generation.

    Where this is cut off in between, a later redrive sends a twin of the same generation, which is handled once.
    """
    where = (workqueue.namespace, workqueue.name)
    messages = [next_generation(letter) for letter in letters]
    in_place = [message for message in messages if await context.store.redrive_in_place(message)]
    placed = {message.id for message in in_place}
    sent = [message for message in messages if message.id not in placed]
    outcomes = await _publish(context, sent)
    held = in_place + [message for message, error in zip(sent, outcomes, strict=True) if error is None]
    await _tell_readers(context, [message for message in held if message.id not in placed])
    await context.broker.remove(*where, [(message.id, message.generation - 1) for message in held])
    context.telemetry.redriven(*where, len(held))
    return len(held), sum(isinstance(error, PermanentError) for error in outcomes)


async def _publish(context: Context, messages: list[Message]) -> list[KubedaemonError | None]:
    try:
        return await context.broker.publish(messages)
    except TransientError as away:
        return [away] * len(messages)


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
