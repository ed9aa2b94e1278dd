"""The stream of what happens to a queue's messages."""

from __future__ import annotations

from typing import Final

from aiohttp import HttpVersion11, web

from contracts.problems import Problem
from dispatcher.api.context import CONTEXT, query_of
from dispatcher.api.describing import Answer, Operation, Parameter, Route
from dispatcher.core.events import BEAT, greeting
from dispatcher.feeds import Feed, Listener

_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that gathered them would make them late
    "X-Content-Type-Options": "nosniff",
    "Server": "kubedaemon",
}


async def stream(request: web.Request) -> web.StreamResponse:
    """Everything from now on, or from behind ``Last-Event-ID``, until the caller or the queue is gone."""
    context = request.app[CONTEXT]
    workqueue = context.find(request)
    query_of(request)
    known, transport = request.headers.get("Last-Event-ID"), request.transport
    if transport is None:
        raise ConnectionResetError("the caller is gone")
    listener = Listener(transport, chunked=request.version >= HttpVersion11)
    feed = await context.feeds.find(workqueue.namespace, workqueue.name)
    async with context.feeds.listening(feed, listener):
        context.find(request)  # once more: it may have been deleted before the feed was there to be told
        response = await _begin(request)
        await response.write(BEAT if known else greeting(feed.place))
        await _listen(feed, listener, response, known or feed.place)
    await response.write_eof()
    return response


async def _begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=_HEADERS)
    if request.version >= HttpVersion11:
        response.enable_chunked_encoding()
    await response.prepare(request)
    return response


async def _listen(feed: Feed, listener: Listener, response: web.StreamResponse, place: str) -> None:
    while not feed.ended:
        if listener.gone:
            raise ConnectionResetError("the caller is gone")
        if place == feed.place:
            place = await feed.keep_up(listener)
        else:
            text, place = await feed.read(place)
            if text:
                await response.write(text)


_STREAM = Operation(
    id="streamEvents",
    tag="messages",
    summary="Streams what happens to messages",
    description="Server-sent events, `event: message.<state>`, without end: from now on, or from behind `Last-Event-ID` "
    "as far back as the log goes. Where it does not go that far, `event: gap` is first.",
    parameters=(Parameter(name="Last-Event-ID", where="header", says="The id of the last event that was seen."),),
    answers={200: Answer(says="The stream.", media="text/event-stream")},
    problems=(Problem.UNKNOWN_QUEUE,),
)


def routes(queue: str) -> list[Route]:
    """Below the path of a queue."""
    return [Route.of("GET", f"{queue}/events", stream, _STREAM)]
