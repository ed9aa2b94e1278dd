"""What the sidecar's shell needs from the outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from backends.ports import Consumers, Fence, Publisher, Pushes
from backends.sending import Admissions
from contracts.answers import Answer, NoAnswer
from contracts.workqueue import WorkQueue

OnAnswer = Callable[[int, Answer | NoAnswer], None]


class Backend(Consumers, Publisher, Protocol):
    """What the sidecar asks of a broker."""


class FencedStore(Fence, Pushes, Admissions, Protocol):
    """What the sidecar asks of a store. Admissions and definitions are for the messages that its handler sends."""

    async def get(self, namespace: str, queue: str) -> WorkQueue | None:
        """As ``backends.ports.Definitions``."""


class HandlerClient(Protocol):
    """Calls the user's handler. Built for the hot path: no task, future or timer a call.

    Every started call ends with exactly one ``on_answer(call, answer)``, never from inside the method that
    started it, so that answers can be gathered into a turn.
    """

    def post(self, call: int, head: bytes, body: bytes, timeout_seconds: float) -> None:
        """Starts ``call``: sends ``head`` (a complete HTTP/1.1 request head, with Content-Length) and ``body``."""

    def abandon(self, call: int) -> None:
        """Forgets ``call``: its connection is closed and no answer is reported any more. Unknown: nothing."""

    async def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, timeout_seconds: float
    ) -> Answer | NoAnswer:
        """One call off the hot path (/healthz, /init), awaited."""

    async def close(self) -> None:
        """Drops every connection. Running calls end as ``lost``."""
