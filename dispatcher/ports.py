"""What the dispatcher asks of the outside."""

from __future__ import annotations

from typing import Protocol

from backends.ports import DeadLetters, Definitions, Depths, Events, Orders, Publisher, Topology, Views
from contracts.workqueue import WorkQueue


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
