"""``kubedaemon messages``, ``sessions`` and ``dead-letters``: what is in a queue, and what to do about it."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from kubedaemon.cli.common import call, emit, everywhere

_MESSAGE = ("ID", "STATE", "SESSION", "ATTEMPT#", "ENQUEUED", "ENDED", "REASON")
_DEAD = ("ID", "SESSION", "ATTEMPT#", "DEAD", "REASON")
_SESSION = ("SESSION", "REPLICA", "MESSAGE", "SINCE", "WAITING#")


def _message_row(item: dict[str, Any]) -> list[object]:
    names = ("id", "state", "session", "attempt", "enqueued_at", "ended_at", "reason")
    return [item.get(name) for name in names]


def _get(where: dict[str, Any], *path: str, **query: object) -> Any:
    chosen = {name: str(value) for name, value in query.items() if value is not None}
    return call(where, lambda client: client.call("GET", *path, query=chosen)).json()


def _post(where: dict[str, Any], body: Any, *path: str) -> Any:
    content = None if body is None else json.dumps(body).encode()
    return call(where, lambda client: client.call("POST", *path, body=content)).json()


@click.group()
def messages() -> None:
    """Look at a queue's messages and their results."""


@messages.command("list")
@click.argument("queue")
@click.option("--state", help="queued, running, retrying, succeeded, dead …")
@click.option("--session")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@click.option("--after", help="The cursor that the page before ended with.")
@everywhere
def list_messages(
    queue: str, state: str | None, session: str | None, limit: int, after: str | None, **where: Any
) -> None:
    """The messages of QUEUE that are known, newest first."""
    page = _get(where, queue, "messages", state=state, session=session, limit=limit, after=after)
    emit(page, where["output"], _MESSAGE, _message_row)


@messages.command("show")
@click.argument("queue")
@click.argument("message_id", metavar="ID")
@everywhere
def show_message(queue: str, message_id: str, **where: Any) -> None:
    """One message of QUEUE with every attempt at it."""
    message = _get(where, queue, "messages", message_id)
    emit(message, where["output"], _MESSAGE, _message_row)
    if where["output"] == "table" and message["attempts"]:
        names = ("attempt", "replica", "started_at", "ended_at", "status", "outcome", "body")
        columns = ("ATTEMPT#", "REPLICA", "STARTED", "ENDED", "STATUS#", "OUTCOME", "BODY")
        emit({"items": message["attempts"]}, "table", columns, lambda item: [item[name] for name in names])


@messages.command("result")
@click.argument("queue")
@click.argument("message_id", metavar="ID")
@click.option("--wait", default=0, type=click.IntRange(0, 300), help="Seconds to wait for the end.")
@everywhere
def message_result(queue: str, message_id: str, wait: int, **where: Any) -> None:
    """The handler's own answer, raw. Exits 1 where there is none."""
    path = (queue, "messages", message_id, "result")
    answer = call(where, lambda client: client.call("GET", *path, query={"wait": str(wait)}))
    if answer.status == 202:
        raise click.ClickException(answer.json()["detail"])
    sys.stdout.buffer.write(answer.body)
    sys.stdout.buffer.flush()


@click.group()
def sessions() -> None:
    """Look at who holds which session."""


@sessions.command("list")
@click.argument("queue")
@click.argument("session", required=False)
@everywhere
def list_sessions(queue: str, session: str | None, **where: Any) -> None:
    """The sessions of QUEUE that are held or wait in a replica."""
    names = ("session", "replica", "message_id", "since", "waiting")
    page = _get(where, queue, "sessions", session=session, limit=1000)
    emit(page, where["output"], _SESSION, lambda item: [item[name] for name in names])


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at messages that ended dead, send them back, purge them."""


@dead_letters.command("list")
@click.argument("queue")
@click.option("--session")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@click.option("--after", help="The cursor that the page before ended with.")
@everywhere
def list_dead(queue: str, session: str | None, limit: int, after: str | None, **where: Any) -> None:
    """The dead letters of QUEUE with their reasons, newest first."""
    names = ("id", "session", "attempt", "dead_at", "reason")
    page = _get(where, queue, "dead-letters", session=session, limit=limit, after=after)
    emit(page, where["output"], _DEAD, lambda item: [item[name] for name in names])


@dead_letters.command("redrive")
@click.argument("queue")
@click.option("--all", "everything", is_flag=True, help="Every dead letter of the queue.")
@click.option("--id", "ids", multiple=True, help="This one; repeatable.")
@everywhere
def redrive(queue: str, everything: bool, ids: tuple[str, ...], **where: Any) -> None:
    """Send dead letters of QUEUE back, as a new generation of the same messages."""
    if everything == bool(ids):
        raise click.UsageError("say which: --all, or --id ID (repeatable)")
    body = {"all": True} if everything else {"filter": {"ids": list(ids)}}
    emit(
        _post(where, body, queue, "dead-letters", "redrive"), where["output"], ("REDRIVEN#",), lambda x: [x["redriven"]]
    )


@dead_letters.command("purge")
@click.argument("queue")
@click.confirmation_option("--yes", prompt="Take away every dead letter of this queue?")
@everywhere
def purge(queue: str, **where: Any) -> None:
    """Take every dead letter of QUEUE away, for good."""
    query = {"all": "true"}
    answer = call(where, lambda client: client.call("DELETE", queue, "dead-letters", query=query)).json()
    emit(answer, where["output"], ("PURGED#",), lambda x: [x["purged"]])
