"""Waiting for the end of a message, as long as there is somebody to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import Gauge

from backends.ports import Views
from contracts.records import Record

LOOK_SECONDS = 2.0
"""How often a wait looks whether its caller is still there."""


class Waits:
    """All waits of a dispatcher, so that they can be ended together."""

    def __init__(self, views: Views, open_now: Gauge, look_seconds: float = LOOK_SECONDS) -> None:
        self._views = views
        self._open_now = open_now
        self._look_seconds = look_seconds
        self._tasks: set[asyncio.Task[Record | None]] = set()
        self._ended = False

    async def until_final(
        self, namespace: str, queue: str, message_id: str, seconds: float, gone: Callable[[], bool]
    ) -> Record | None:
        """The record once its state is final, or as it is when the time has passed or the waits were ended.

        Raises ``ConnectionResetError`` once ``gone()``: nobody is there to be told.
        """
        if seconds <= 0 or self._ended:
            return await self._views.message(namespace, queue, message_id)
        task = asyncio.create_task(self._wait(namespace, queue, message_id, seconds))
        self._tasks.add(task)
        try:
            with self._open_now.track_inprogress():
                while not (await asyncio.wait({task}, timeout=self._look_seconds))[0]:
                    if gone():
                        raise ConnectionResetError("the caller is gone")
        finally:
            self._tasks.discard(task)
            task.cancel()
        if task.cancelled():
            return await self._views.message(namespace, queue, message_id)
        return task.result()

    async def _wait(self, namespace: str, queue: str, message_id: str, seconds: float) -> Record | None:
        return await self._views.wait(namespace, queue, message_id, seconds)

    def end(self) -> None:
        """Every wait ends now, and none begins any more."""
        self._ended = True
        for task in self._tasks:
            task.cancel()
