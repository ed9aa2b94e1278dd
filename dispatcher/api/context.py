"""What every route stands on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from backends.http.bodies import decode_json, read_body
from backends.http.callback import CallbackApi
from contracts.workqueue import WorkQueue
from dispatcher.catalogue import Catalogue
from dispatcher.core.query import Query, read_query
from dispatcher.feeds import Feeds
from dispatcher.ports import Broker, Queues, Store
from dispatcher.sending import Sender
from dispatcher.telemetry import Telemetry
from dispatcher.waiting import Waits

MAX_JSON_BYTES = 1024 * 1024
"""The longest body of a call that is about queues and not about payloads."""


@dataclass(frozen=True)
class Context:
    """``wall`` is the clock; ``defining`` is held while a queue's definition is read, changed and written.

    ``callbacks`` is None where nobody tells which replicas there are.
    """

    broker: Broker
    store: Store
    queues: Queues
    catalogue: Catalogue
    sender: Sender
    waits: Waits
    feeds: Feeds
    telemetry: Telemetry
    wall: Callable[[], float]
    callbacks: CallbackApi | None = None
    defining: asyncio.Lock = field(default_factory=asyncio.Lock)

    def find(self, request: web.Request) -> WorkQueue:
        """The queue that the path names. Raises ``ProblemError`` 404."""
        info = request.match_info
        return self.catalogue.find(info["namespace"], info["queue"])


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)


def query_of(request: web.Request, *allowed: str) -> Query:
    """The query's parameters. Raises ``ProblemError`` 400 for others than those."""
    return read_query(request.query.items(), *allowed)


async def json_of(request: web.Request) -> Any:
    """The body as JSON. Raises ``ProblemError`` 400 with the place, or 413."""
    return decode_json(await read_body(request, MAX_JSON_BYTES, "what this path takes"))
