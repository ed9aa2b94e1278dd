"""Dead letters: look, send back, purge."""

from __future__ import annotations

from aiohttp import web

from backends.http.answers import json_answer
from backends.http.bodies import when_wanted
from contracts.api import dead_letter_object
from contracts.message import DeadLetter
from contracts.problems import ProblemError, unavailable
from contracts.workqueue import WorkQueue
from dispatcher.api.access import withhold
from dispatcher.api.context import CONTEXT, Context, json_of, query_of
from dispatcher.core.paging import cut_page
from dispatcher.core.query import malformed, read_flag, read_limit, read_session
from dispatcher.core.redrive import read_wanted
from dispatcher.redriving import send_back

_TURN = 500
"""How many are sent back to the broker together."""


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
    return json_answer({"items": [withhold(request, item) for item in items], "next": following})


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
    where = (workqueue.namespace, workqueue.name)
    redriven, problems = 0, []
    for start in range(0, len(chosen), _TURN):
        turn = chosen[start : start + _TURN]
        sent = await send_back(context.broker, context.store, *where, turn, context.wall())
        context.telemetry.redriven(*where, sent.redriven)
        redriven += sent.redriven
        problems += sent.problems
        if sent.unsure:
            raise _cut_off(redriven)
    return json_answer({"redriven": redriven, "problems": problems} if problems else {"redriven": redriven})


def _cut_off(redriven: int) -> ProblemError:
    problem = unavailable(
        f"{redriven} were redriven, and then the broker or the store did not answer. The others are still dead "
        "letters: call this again."
    )
    problem.extra["redriven"] = redriven
    return problem


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
