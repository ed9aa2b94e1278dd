"""``kubedaemon messages``: what is known of a queue's messages, and their results."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from kubedaemon.cli.calling import call
from kubedaemon.cli.output import complain, done, emit, items, raw
from kubedaemon.cli.verb import Family, queue_argument, where
from kubedaemon.cli.waiting import Deadline, result_by, tell_end, timeout_option

STATES = ("queued", "scheduled", "running", "retrying", "succeeded", "dead", "cancelled", "expired")


@click.group(
    cls=Family,
    examples=(
        "kubedaemon messages list default --state dead",
        "kubedaemon messages result default ID --wait",
        "kubedaemon messages cancel default ID",
    ),
)
def messages() -> None:
    """Look at messages, their attempts and results; cancel what has not started."""


def paging(command: Callable[..., Any]) -> Callable[..., Any]:
    """--limit, --all and --after."""
    for option in (
        click.option("--after", metavar="CURSOR", help="Go on behind a page that ended with this cursor."),
        click.option("--all", "everything", is_flag=True, help="Every one, over as many pages as it takes."),
        click.option("--limit", type=click.IntRange(min=1), help="At most so many.  [default: 100]"),
    ):
        command = option(command)
    return command


def check_limit(limit: int | None, everything: bool) -> int | None:
    """How many at most; None is all of them."""
    if everything and limit is not None:
        raise click.UsageError("--all and --limit exclude each other.")
    return None if everything else limit or 100


@messages.command(
    "list",
    examples=(
        "kubedaemon messages list default",
        "kubedaemon messages list default --state dead --limit 20",
        "kubedaemon messages list default --session me --all --output json",
    ),
)
@queue_argument()
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--session", metavar="TEXT", help="Only those of this session.")
@paging
def list_(
    queue: str, state: str | None, session: str | None, limit: int | None, everything: bool, after: str | None
) -> None:
    """List the messages of a queue that are known, newest first."""
    from kubedaemon.display import views

    here, at_most = where(), check_limit(limit, everything)
    query = {name: value for name, value in (("state", state), ("session", session)) if value is not None}
    page = call(here, lambda client: client.collect(queue, "messages", query=query, at_most=at_most, after=after))
    such = " that are like that" if query else ""
    items(page, here.output, views.messages, f"queue {queue} has no messages{such}")


@messages.command(
    "show",
    examples=("kubedaemon messages show default ID", "kubedaemon messages show default ID --output yaml"),
)
@queue_argument()
@click.argument("message_id", metavar="ID")
def show(queue: str, message_id: str) -> None:
    """Show one message with every attempt at it."""
    from kubedaemon.display import views

    here = where()
    message = call(here, lambda client: client.get(queue, "messages", message_id))
    emit(message, here.output, lambda width: views.message(message, width))


@messages.command(
    "result",
    examples=(
        "kubedaemon messages result default ID",
        "kubedaemon messages result default ID --wait --timeout 5m > result.bin",
    ),
)
@queue_argument()
@click.argument("message_id", metavar="ID")
@click.option("--wait", is_flag=True, help="Wait for the end.")
@timeout_option
def result(queue: str, message_id: str, wait: bool, timeout: float) -> None:
    """Print what the handler answered, raw; exits with 1 where there is no result."""
    from kubedaemon.client import EndedBadly

    here, deadline = where(), Deadline(timeout if wait else 0)
    try:
        answer = call(here, lambda client: result_by(client, queue, message_id, deadline))
    except EndedBadly as error:
        complain(tell_end(error))
        sys.exit(1)
    if answer.status != 202:
        raw(answer.body)
        return
    state = answer.json().get("state", "not at its end")
    later = here.again("messages", "result", queue, message_id, "--wait")
    complain(f"message {message_id} is {state}: there is no result yet. Wait for it with {later}.")
    sys.exit(1)


@messages.command(
    "cancel",
    examples=("kubedaemon messages cancel default ID", "kubedaemon messages cancel default ID --output json"),
)
@queue_argument()
@click.argument("message_id", metavar="ID")
def cancel(queue: str, message_id: str) -> None:
    """Cancel a message that no attempt holds: one that waits, is scheduled, or is between two attempts."""
    here = where()
    message = call(here, lambda client: client.delete(queue, "messages", message_id)).json()
    done(message, here.output, f"message {message_id} is cancelled")
