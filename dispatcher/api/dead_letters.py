"""Dead letters: look, send back, purge."""

from __future__ import annotations

from aiohttp import web

from backends.http.answers import json_answer
from contracts.api import dead_letter_object
from contracts.message import DeadLetter
from contracts.problems import Problem, ProblemError, unavailable
from contracts.shapes import DeadLetterList, Purged, RedriveAll, Redriven, RedriveSome
from contracts.workqueue import WorkQueue
from dispatcher.api.access import withhold
from dispatcher.api.context import CONTEXT, Context, json_of, query_of
from dispatcher.api.describing import JSON, PAGE, SESSION, Answer, Body, Operation, Route, flag
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


_LIST = Operation(
    id="listDeadLetters",
    tag="dead letters",
    summary="Lists dead letters",
    description="Newest first.",
    parameters=(SESSION, *PAGE),
    answers={200: Answer(says="A page.", shape=DeadLetterList)},
    problems=(Problem.UNKNOWN_QUEUE,),
)
_PURGE = Operation(
    id="purgeDeadLetters",
    tag="dead letters",
    summary="Takes every dead letter away, for good",
    parameters=(flag("all", "Says that all of them are meant.", must_be_true=True),),
    answers={200: Answer(says="How many there were.", shape=Purged)},
    problems=(Problem.UNKNOWN_QUEUE,),
)
_REDRIVE = Operation(
    id="redriveDeadLetters",
    tag="dead letters",
    summary="Sends dead letters back",
    description="All, or those that a filter names: each as a new generation of the same message, its counters at the "
    "start, in the order in which they died.",
    body=Body(media={JSON: (RedriveAll, RedriveSome)}),
    answers={200: Answer(says="How many were sent back.", shape=Redriven)},
    problems=(Problem.UNKNOWN_QUEUE, Problem.PAYLOAD_TOO_LARGE),
)


def routes(queue: str) -> list[Route]:
    """Below the path of a queue."""
    return [
        Route.of("GET", f"{queue}/dead-letters", index, _LIST),
        Route.of("DELETE", f"{queue}/dead-letters", purge, _PURGE),
        Route.of("POST", f"{queue}/dead-letters/redrive", redrive, _REDRIVE),
    ]
