"""``kubedaemon sessions``: which replica holds which session; release and skip what is stuck."""

from __future__ import annotations

import click

from kubedaemon.cli.calling import call
from kubedaemon.cli.messages import check_limit, paging
from kubedaemon.cli.output import done, items
from kubedaemon.cli.verb import Family, queue_argument, where


@click.group(
    cls=Family,
    examples=(
        "kubedaemon sessions list default",
        "kubedaemon sessions release default me",
        "kubedaemon sessions skip default me",
    ),
)
def sessions() -> None:
    """Look at which replica holds which session, and get a stuck one going."""


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


@sessions.command(
    "release",
    examples=("kubedaemon sessions release default me", "kubedaemon sessions release default me --output json"),
)
@queue_argument()
@click.argument("session")
def release(queue: str, session: str) -> None:
    """End the attempt that holds SESSION as an interruption; the same message is tried again.

    What the handler still answers counts for nothing. Skip the message where it would only get stuck again.
    """
    _order(queue, session, "release", f"session {session!r} is released: its message is tried again")


@sessions.command(
    "skip",
    examples=("kubedaemon sessions skip default me", "kubedaemon sessions skip default me --output json"),
)
@queue_argument()
@click.argument("session")
def skip(queue: str, session: str) -> None:
    """Send the head of SESSION to the dead letters, whether it runs, waits for a retry or blocks; the session goes on."""
    _order(queue, session, "skip", f"the head of session {session!r} is among the dead letters; the session goes on")


def _order(queue: str, session: str, what: str, sentence: str) -> None:
    here = where()
    found = call(here, lambda client: client.post(queue, "sessions", what, body={"session": session}))
    done(found, here.output, sentence)
