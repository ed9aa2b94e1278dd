"""``kubedaemon queues``: all of them in a table, or one in full."""

from __future__ import annotations

from kubedaemon.cli.calling import call
from kubedaemon.cli.output import emit, items
from kubedaemon.cli.verb import queue_argument, verb, where


@verb(
    "kubedaemon queues",
    "kubedaemon queues default",
    "kubedaemon queues default --output yaml",
)
@queue_argument(required=False)
def queues(queue: str | None) -> None:
    """Show the queues and their live numbers.

    With QUEUE, that one in full: how it is, and how it is meant to be.
    """
    from kubedaemon.display import views

    here = where()
    if queue is None:
        none = f"namespace {here.namespace} has no queues; make one with `kubedaemon apply -f queue.yaml`"
        items(call(here, lambda client: client.get()), here.output, views.queues, none)
        return
    found = call(here, lambda client: client.get(queue))
    emit(found, here.output, lambda width: views.queue(found))
