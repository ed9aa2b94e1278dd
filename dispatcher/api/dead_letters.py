"""Dead letters: look, send back, purge."""

from __future__ import annotations

import msgspec
from aiohttp import web

from contracts.api import dead_letter_object
from contracts.problems import Problem, ProblemError
from dispatcher.api.context import CONTEXT, find_queue, json_response, read_json
from dispatcher.core.reading import read_page, select


async def index(request: web.Request) -> web.Response:
    context, workqueue = request.app[CONTEXT], await find_queue(request)
    where = (workqueue.namespace, workqueue.name)
    limit, after = read_page(request.query)
    session = request.query.get("session")
    letters = [x for x in await context.broker.browse(*where) if session in (None, x.message.session)][::-1]
    if after is not None:
        place = next((n for n, x in enumerate(letters) if f"{x.message.id}.{x.message.generation}" == after), None)
        if place is None:
            raise ProblemError(Problem.MALFORMED_REQUEST, "after: this dead letter is not there any more; begin again.")
        letters = letters[place + 1 :]
    page = letters[:limit]
    items = [dead_letter_object(x, await context.store.message(*where, x.message.id)) for x in page]
    following = f"{page[-1].message.id}.{page[-1].message.generation}" if len(letters) > limit else None
    return json_response({"items": items, "next": following})


async def redrive(request: web.Request) -> web.Response:
    """Each goes back under its id as a new generation; it leaves the dead letters once the broker holds it."""
    context, workqueue = request.app[CONTEXT], await find_queue(request)
    where = (workqueue.namespace, workqueue.name)
    chosen = select(await read_json(request), await context.broker.browse(*where))
    redriven = 0
    for letter in chosen:
        message = msgspec.structs.replace(letter.message, generation=letter.message.generation + 1)
        await context.store.redriven(message)
        (error,) = await context.broker.publish([message])
        if error is not None:
            raise error
        await context.broker.remove(*where, [(message.id, letter.message.generation)])
        redriven += 1
    return json_response({"redriven": redriven})


async def purge(request: web.Request) -> web.Response:
    context, workqueue = request.app[CONTEXT], await find_queue(request)
    if request.query.get("all") != "true":
        raise ProblemError(Problem.MALFORMED_REQUEST, "Add ?all=true: this takes away every dead letter of the queue.")
    where = (workqueue.namespace, workqueue.name)
    keys = [(letter.message.id, letter.message.generation) for letter in await context.broker.browse(*where)]
    return json_response({"purged": await context.broker.remove(*where, keys)})
