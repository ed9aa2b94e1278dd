"""``kubedaemon delete``: a queue goes away."""

from __future__ import annotations

import click

from kubedaemon.cli.calling import call
from kubedaemon.cli.output import done
from kubedaemon.cli.verb import queue_argument, verb, where


@verb("kubedaemon delete default", "kubedaemon delete default --force")
@queue_argument()
@click.option("--force", is_flag=True, help="Even where messages wait in it: they are lost.")
def delete(queue: str, force: bool) -> None:
    """Delete a queue.

    One in which messages wait is kept, unless --force gives them up, too.
    """
    here = where()
    query = {"force": "true"} if force else None
    call(here, lambda client: client.delete(queue, query=query))
    done({"name": queue, "namespace": here.namespace, "deleted": True}, here.output, f"queue {queue} is deleted")
