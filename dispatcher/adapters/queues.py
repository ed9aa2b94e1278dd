"""Queues on one machine: the broker's topology and the store's definition are all that there is."""

from __future__ import annotations

import msgspec

from backends.ports import Definitions, Topology, Views
from contracts.workqueue import WorkQueue


class DirectQueues:
    """``dispatcher.ports.Queues`` straight on a broker and a store."""

    def __init__(self, topology: Topology, definitions: Definitions, views: Views) -> None:
        self._topology = topology
        self._definitions = definitions
        self._views = views

    async def apply(self, workqueue: WorkQueue) -> None:
        """The broker first: whoever learns of the definition finds the queue there."""
        *older, _ = await self._topology.declare(workqueue)
        await self._definitions.put(msgspec.structs.replace(workqueue, older=tuple(older)))

    async def remove(self, namespace: str, queue: str) -> None:
        """The definition first: nobody starts anything new on what is about to go."""
        await self._definitions.delete(namespace, queue)
        await self._topology.delete(namespace, queue)
        await self._views.forget(namespace, queue)
