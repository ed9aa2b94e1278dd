"""``kubedaemon sessions``: which replica holds which session."""

from __future__ import annotations

import click

from kubedaemon.cli.calling import call
from kubedaemon.cli.messages import check_limit, paging
from kubedaemon.cli.output import items
from kubedaemon.cli.verb import Family, queue_argument, where


@click.group(cls=Family, examples=("kubedaemon sessions list default", "kubedaemon sessions list default me"))
def sessions() -> None:
    """Look at which replica holds which session."""


@sessions.command(
    "list",
    examples=(
        "kubedaemon sessions list default",
        "kubedaemon sessions list default me",
        "kubedaemon sessions list default --all --output json",
    ),
)
@queue_argument()
@click.argument("session", required=False)
@paging
def list_(queue: str, session: str | None, limit: int | None, everything: bool, after: str | None) -> None:
    """List the sessions that are held or wait in a replica, or just SESSION."""
    from kubedaemon.display import views

    here, at_most = where(), check_limit(limit, everything)
    query = {} if session is None else {"session": session}
    page = call(here, lambda client: client.collect(queue, "sessions", query=query, at_most=at_most, after=after))
    which = "no session is" if session is None else f"session {session!r} is not"
    items(page, here.output, views.sessions, f"{which} held or waiting in a replica of queue {queue}")
