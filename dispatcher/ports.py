"""What the dispatcher asks of the outside."""

from __future__ import annotations

from typing import Protocol

from backends.ports import DeadLetters, Definitions, Depths, Events, Orders, Publisher, Topology, Views
from contracts.workqueue import WorkQueue
from dispatcher.core.access import Rights


class Broker(Publisher, Topology, Depths, DeadLetters, Protocol):
    """What the dispatcher asks of a broker."""


class Store(Views, Orders, Events, Definitions, Protocol):
    """What the dispatcher asks of a store."""


class Queues(Protocol):
    """Where queues are made and unmade: a custom resource on Kubernetes, broker and store on one machine."""

    async def apply(self, workqueue: WorkQueue) -> None:
        """Makes the queue be as it is defined here. ``PermanentError`` where it may not be."""

    async def remove(self, namespace: str, queue: str) -> None:
        """Takes the queue away with all that it holds; one that is not there is no error."""


class Tokens(Protocol):
    """Who tells what a bearer token allows."""

    async def start(self) -> None:
        """Knows its keys from here on. Raises ``ConfigurationError`` where it cannot get any."""

    async def stop(self) -> None:
        """Harmless to repeat."""

    async def rights(self, token: str) -> Rights:
        """Raises ``ProblemError`` 401 for a token that is not good; the problem never holds it."""
