"""``kubedaemon pause`` and ``resume``: whether deliveries of a queue start."""

from __future__ import annotations

from kubedaemon.cli.calling import call
from kubedaemon.cli.output import done
from kubedaemon.cli.verb import queue_argument, verb, where


@verb("kubedaemon pause default", "kubedaemon pause default --output json")
@queue_argument()
def pause(queue: str) -> None:
    """Start no more deliveries of a queue; sending goes on.

    What runs may end. `kubedaemon resume` starts them again.
    """
    _set(queue, "pause", f"queue {queue} is paused")


@verb("kubedaemon resume default", "kubedaemon resume default --output json")
@queue_argument()
def resume(queue: str) -> None:
    """Start deliveries of a queue again."""
    _set(queue, "resume", f"queue {queue} is resumed")


def _set(queue: str, action: str, sentence: str) -> None:
    here = where()
    done(call(here, lambda client: client.post(queue, action)), here.output, sentence)
