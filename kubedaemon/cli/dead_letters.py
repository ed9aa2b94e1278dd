"""``kubedaemon dead-letters``: look at them, send them back, purge them."""

from __future__ import annotations

import sys
from typing import Any

import click

from kubedaemon.cli.calling import call
from kubedaemon.cli.messages import check_limit, paging
from kubedaemon.cli.output import complain, done, items
from kubedaemon.cli.verb import Family, queue_argument, where


@click.group(
    "dead-letters",
    cls=Family,
    examples=(
        "kubedaemon dead-letters list default",
        "kubedaemon dead-letters redrive default --all",
        "kubedaemon dead-letters purge default",
    ),
)
def dead_letters() -> None:
    """Look at dead letters, send them back, purge them."""


@dead_letters.command(
    "list",
    examples=(
        "kubedaemon dead-letters list default",
        "kubedaemon dead-letters list default --session me",
        "kubedaemon dead-letters list default --all --output json",
    ),
)
@queue_argument()
@click.option("--session", metavar="TEXT", help="Only those of this session.")
@paging
def list_(queue: str, session: str | None, limit: int | None, everything: bool, after: str | None) -> None:
    """List the dead letters of a queue with their reasons, newest first."""
    from kubedaemon.display import views

    here, at_most = where(), check_limit(limit, everything)
    query = {} if session is None else {"session": session}
    page = call(here, lambda client: client.collect(queue, "dead-letters", query=query, at_most=at_most, after=after))
    items(page, here.output, views.dead_letters, f"queue {queue} has no dead letters{' like that' if query else ''}")


@dead_letters.command(
    "redrive",
    examples=(
        "kubedaemon dead-letters redrive default --all",
        "kubedaemon dead-letters redrive default --id ID --id ID",
    ),
)
@queue_argument()
@click.option("--all", "everything", is_flag=True, help="Every dead letter of the queue.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="This one; may be repeated.")
def redrive(queue: str, everything: bool, ids: tuple[str, ...]) -> None:
    """Send dead letters back: the same messages, with their attempts counted from the start."""
    if everything == bool(ids):
        raise click.UsageError("say which: --all, or --id ID, which may be repeated.")
    here, wanted = where(), sorted(set(ids))
    body: dict[str, Any] = {"all": True} if everything else {"filter": {"ids": wanted}}
    answer = call(here, lambda client: client.post(queue, "dead-letters", "redrive", body=body))
    count, problems = int(answer.get("redriven", 0)), answer.get("problems", [])
    done(answer, here.output, f"{letters(count)} sent back to queue {queue}")
    for problem in problems:
        complain(f"message {problem.get('id')}: {problem.get('detail')}")
    missing = len(wanted) - count - len(problems)
    if missing > 0:
        seen = here.again("dead-letters", "list", queue)
        complain(f"{missing} of {len(wanted)} ids: no such dead letter in queue {queue}; see {seen}.")
    if problems or missing > 0:
        sys.exit(1)


@dead_letters.command(
    "purge", examples=("kubedaemon dead-letters purge default", "kubedaemon dead-letters purge default --yes")
)
@queue_argument()
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(queue: str, yes: bool) -> None:
    """Take every dead letter of a queue away, for good."""
    here = where()
    if not yes and not _agreed(
        f"Take every dead letter of queue {queue} in namespace {here.namespace} away, for good?"
    ):
        complain("nothing was purged")
        sys.exit(1)
    query = {"all": "true"}
    answer = call(here, lambda client: client.delete(queue, "dead-letters", query=query)).json()
    done(answer, here.output, f"{letters(int(answer.get('purged', 0)))} of queue {queue} purged")


def letters(count: int) -> str:
    return f"{count:,} dead letter{'' if count == 1 else 's'}"


def _agreed(question: str) -> bool:
    """Asks. Where nobody is there to answer, that is wrong usage; Ctrl-C is an interrupt."""
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise click.UsageError("nobody is there to answer; add --yes to purge without being asked.") from None
