"""The run itself: from zero, through the load and a killed handler, back to zero."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from examples.ledger.check import check
from examples.ledger.serial import Transfer
from examples.ledger.show.books import Books
from examples.ledger.show.dev import KUBEDAEMON, Dev, running
from examples.ledger.show.errors import DemoError
from examples.ledger.show.killing import Kill, kill
from examples.ledger.show.receipt import Run
from examples.ledger.show.sending import SENDERS, send
from examples.ledger.show.watch import Watch

QUEUE = "/v1/namespaces/default/queues/ledger"
Show = Callable[[Watch], Coroutine[Any, Any, None]]


async def perform(
    transfers: Sequence[Transfer], directory: Path, show: Show, kubedaemon: Sequence[str] = KUBEDAEMON
) -> Run:
    """Run it all, and say what it came to. Raises ``DemoError`` if it cannot go on."""
    async with (
        running(directory, kubedaemon) as dev,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=SENDERS + 4)) as http,
    ):
        await dev.ready(http)
        books = Books(dev.database)
        watch = Watch(http, dev.url + QUEUE, books, len(transfers))
        observed = (await watch.look()).observed
        if observed != 0:
            raise DemoError(f"the queue should begin at zero replicas, and {observed} are observed")
        watch.note("the queue is at zero replicas")
        async with _meanwhile(watch.forever(), show(watch)):
            killed = await _load(http, dev, watch, books, transfers)
        dead_letters = await _dead_letters(http, dev.url + QUEUE)
        wall_seconds = watch.seconds
        exit_status = await dev.stop()
    first, newcomer = books.first_call_at(), books.newcomer_at(killed.at)
    return Run(
        ended=datetime.now(UTC),
        wall_seconds=wall_seconds,
        first_call_seconds=None if first is None else first - watch.started_at,
        replaced_seconds=None if newcomer is None else newcomer - killed.at,
        peak_rate=watch.peak_rate(),
        samples=watch.samples,
        kill=killed,
        concurrency_per_replica=watch.concurrency_per_replica,
        dead_letters=dead_letters,
        exit_status=exit_status,
        findings=check(dev.database, transfers),
    )


async def _load(
    http: aiohttp.ClientSession, dev: Dev, watch: Watch, books: Books, transfers: Sequence[Transfer]
) -> Kill:
    """Send everything, kill a handler half way, wait until all is done and no replica is left."""
    total = len(transfers)
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(_send(http, dev.url + QUEUE, watch, transfers))
        await watch.until(lambda now: now.handled > 0)
        watch.note("the first handler is at work")
        await watch.until(lambda now: now.handled * 2 >= total)
        killed = await kill(watch, books, dev.pid)
        await sending
        await watch.until(lambda now: now.backlog == 0 and now.handled + now.dead >= total)
        watch.note("the backlog is empty")
        await watch.until(lambda now: now.observed == 0)
        watch.note("back at zero replicas")
    return killed


async def _send(http: aiohttp.ClientSession, queue_url: str, watch: Watch, transfers: Sequence[Transfer]) -> None:
    await send(http, queue_url, transfers, run=secrets.token_hex(4))
    watch.note(f"all {len(transfers):,} transfers are enqueued")


@contextlib.asynccontextmanager
async def _meanwhile(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something goes on as long as the block lasts; if it fails, so does the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in works]
        yield
        for task in tasks:
            task.cancel()


async def _dead_letters(http: aiohttp.ClientSession, queue_url: str) -> list[str]:
    async with http.get(f"{queue_url}/dead-letters", params={"limit": 10}) as answer:
        if not answer.ok:
            raise DemoError(f"the dead letters cannot be listed: {answer.status} {await answer.text()}")
        return [f"{dead['id']}: {dead['reason']}" for dead in (await answer.json())["items"]]
