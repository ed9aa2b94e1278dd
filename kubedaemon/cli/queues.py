"""``kubedaemon queues``, ``apply``, ``delete``, ``pause``, ``resume``, ``top``: the queues themselves."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubedaemon.cli.common import call, emit, everywhere

if TYPE_CHECKING:
    from kubedaemon.client import Client


@click.command()
@click.argument("queue", required=False)
@everywhere
def queues(queue: str | None, **where: Any) -> None:
    """The queues and their live numbers; or one QUEUE.

    \b
    Examples:
      kubedaemon queues
      kubedaemon queues default --output yaml
    """
    path = () if queue is None else (queue,)
    _show(call(where, lambda client: client.call("GET", *path)).json(), where["output"])


def _show(value: Any, output: str) -> None:
    if output != "table":
        emit(value, output, (), lambda item: ())
        return
    from kubedaemon.display import queues_table, show

    show(queues_table(value.get("items", [value])))


@click.command()
@click.option("-f", "--file", "files", multiple=True, required=True, type=click.Path(path_type=Path))
@everywhere
def apply(files: tuple[Path, ...], **where: Any) -> None:
    """Create the queues of the manifests, or change them."""
    from contracts.errors import ConfigurationError
    from contracts.workqueue import manifest_object
    from kubedaemon.dev.manifest import read_manifests

    try:
        found = read_manifests(files)
    except ConfigurationError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    for workqueue in found:
        body = json.dumps(manifest_object(workqueue)).encode()
        here = where | {"namespace": workqueue.namespace}
        name = workqueue.name
        answer = call(here, lambda client, name=name, body=body: client.call("PUT", name, body=body))  # type: ignore[misc]
        click.echo(f"{name} {'created' if answer.status == 201 else 'configured'}")


@click.command()
@click.argument("queue")
@click.option("--force", is_flag=True, help="Also with messages waiting: they are lost.")
@everywhere
def delete(queue: str, force: bool, **where: Any) -> None:
    """Delete QUEUE."""
    query = {"force": "true"} if force else {}
    call(where, lambda client: client.call("DELETE", queue, query=query))
    click.echo(f"{queue} deleted")


@click.command()
@click.argument("queue")
@everywhere
def pause(queue: str, **where: Any) -> None:
    """Start no deliveries of QUEUE for now; messages are still accepted."""
    _show(call(where, lambda client: client.call("POST", queue, "pause")).json(), where["output"])


@click.command()
@click.argument("queue")
@everywhere
def resume(queue: str, **where: Any) -> None:
    """Start deliveries of QUEUE again."""
    _show(call(where, lambda client: client.call("POST", queue, "resume")).json(), where["output"])


@click.command()
@everywhere
def top(**where: Any) -> None:
    """The queues, live. Ctrl-C ends it; in a pipe it prints once."""
    if not sys.stdout.isatty():
        _show(call(where, lambda client: client.call("GET")).json(), where["output"])
        return
    call(where, _live)


async def _live(client: Client) -> None:
    from rich.live import Live

    from kubedaemon.display import queues_table

    history: dict[str, list[float]] = {}
    with Live(refresh_per_second=4, screen=False) as live:
        while True:
            items = (await client.call("GET")).json()["items"]
            for item in items:
                status = item["status"]
                history.setdefault(item["name"], []).append(status["ready"] + status["in_flight"])
                del history[item["name"]][:-120]
            live.update(queues_table(items, history))
            await asyncio.sleep(0.25)
