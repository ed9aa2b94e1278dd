"""``kubedaemon top``: the live board on a terminal, one snapshot anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kubedaemon.cli.calling import call
from kubedaemon.cli.output import emit, items
from kubedaemon.cli.verb import Where, queue_argument, verb, where

if TYPE_CHECKING:
    from kubedaemon.client import Client
    from kubedaemon.display.live import Board

REFRESH_SECONDS = 0.25


@verb(
    "kubedaemon top",
    "kubedaemon top default",
    "kubedaemon top --output json    # one snapshot",
)
@queue_argument(required=False)
def top(queue: str | None) -> None:
    """Watch the queues, live.

    With QUEUE, that one and its sessions. q or Ctrl-C ends it. Without a terminal, or with --output json or yaml, it
    prints one snapshot.
    """
    from kubedaemon.display.tables import console

    here, out = where(), console()
    if here.output != "table" or not (sys.stdout.isatty() and sys.stdin.isatty()) or out.is_dumb_terminal:
        _snapshot(here, queue)
        return
    call(here, lambda client: _watch(client, here, queue))


def _snapshot(here: Where, queue: str | None) -> None:
    from kubedaemon.display import views

    if queue is None:
        items(call(here, lambda client: client.get()), here.output, views.queues, "there are no queues")
        return
    found = call(here, lambda client: client.get(queue))
    emit(found, here.output, lambda width: views.queue(found))


async def _watch(client: Client, here: Where, queue: str | None) -> None:
    """Draws four times a second, whatever the server does; its first answer must come, later ones may be missing."""
    from rich.live import Live

    from kubedaemon.display.live import Board
    from kubedaemon.display.tables import console

    named = "" if queue is None else f"queue {queue}  "
    board = Board(f"{named}namespace {here.namespace}  {here.url}", queue)
    await _fetch(client, board, queue)
    with _keys() as quit_:
        fetching = asyncio.create_task(_keep_fetching(client, board, queue))
        try:
            out = console()
            with Live(console=out, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
                while not quit_.is_set() and not fetching.done():
                    live.update(board.frame(out.width, out.height), refresh=True)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(quit_.wait(), REFRESH_SECONDS)
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
    if not fetching.cancelled() and (error := fetching.exception()) is not None:
        raise error


async def _keep_fetching(client: Client, board: Board, queue: str | None) -> None:
    from kubedaemon.client import Unreachable

    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            await _fetch(client, board, queue)
        except Unreachable:
            board.trouble = f"no answer from {client.url}; trying again"


async def _fetch(client: Client, board: Board, queue: str | None) -> None:
    from kubedaemon.display.live import clock

    if queue is None:
        board.update((await client.get())["items"], now=clock())
        return
    found: list[dict[str, Any]] = [await client.get(queue)]
    held = await client.get(queue, "sessions", query={"limit": "100"})
    board.update(found, held["items"], now=clock())


@contextlib.contextmanager
def _keys() -> Iterator[asyncio.Event]:
    """Keys without Enter and without echo, while it lasts; the event is set once q was pressed."""
    import termios
    import tty

    pressed, stdin = asyncio.Event(), sys.stdin.fileno()
    loop, before = asyncio.get_running_loop(), termios.tcgetattr(stdin)

    def read() -> None:
        import os

        keys = os.read(stdin, 64)
        if not keys or b"q" in keys or b"Q" in keys:
            pressed.set()

    tty.setcbreak(stdin)
    loop.add_reader(stdin, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(stdin)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
