"""The callback API of one sidecar: its endpoint for the handler beside it, and where the handler's messages go."""

from __future__ import annotations

import secrets
import time

from backends.http.callback import CallbackApi
from backends.http.callback_server import CallbackServer
from backends.ports import Attempts
from backends.sending import Accepted, Sending
from contracts.enqueue import Enqueue
from contracts.message import Message
from contracts.problems import Problem, ProblemError
from contracts.tokens import Keys
from contracts.workqueue import WorkQueue
from sidecar.ports import Backend, FencedStore


def callback_server(keys: Keys, attempts: Attempts, store: FencedStore, broker: Backend) -> CallbackServer:
    """The endpoint, listening already."""
    sending = Sending(broker, store, secret=keys.ids, wall=time.time, chance=lambda: secrets.token_bytes(10))
    return CallbackServer(CallbackApi(keys, attempts, StoreOutlet(store, sending), time.time))


class StoreOutlet:
    """``backends.http.callback.Outlet`` over the queues that the store knows."""

    def __init__(self, store: FencedStore, sending: Sending) -> None:
        self._store = store
        self._sending = sending

    async def find(self, namespace: str, queue: str) -> WorkQueue:
        found = await self._store.get(namespace, queue)
        if found is None:
            detail = f"There is no queue {queue[:80]!a} in namespace {namespace!r}, which is that of the token."
            raise ProblemError(Problem.UNKNOWN_QUEUE, detail)
        return found

    def compose(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Message:
        return self._sending.compose(workqueue, asked, body)

    async def send(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Accepted:
        return await self._sending.send(workqueue, asked, body)
