"""Where the messages go that handlers send through the dispatcher."""

from __future__ import annotations

from backends.sending import Accepted
from contracts.enqueue import Enqueue
from contracts.message import Message
from contracts.workqueue import WorkQueue
from dispatcher.catalogue import Catalogue
from dispatcher.sending import Sender


class HandlersOutlet:
    """``backends.http.callback.Outlet`` over the queues that the dispatcher knows."""

    def __init__(self, catalogue: Catalogue, sender: Sender) -> None:
        self._catalogue = catalogue
        self._sender = sender

    async def find(self, namespace: str, queue: str) -> WorkQueue:
        return self._catalogue.find(namespace, queue)

    def compose(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Message:
        return self._sender.compose(workqueue, asked, body)

    async def send(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Accepted:
        return await self._sender.send(workqueue, asked, body, bounded=False)
