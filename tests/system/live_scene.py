"""The HTTP API with replicas behind it: a dispatcher, sidecars and handlers over one embedded broker and store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from contracts.workqueue import WorkQueue
from sidecar.adapters.handler_client import HttpHandlerClient
from sidecar.runtime import Sidecar
from sidecar.telemetry import Telemetry
from tests.system.api_scene import Api, Reply
from tests.system.sidecar_scene import KEYS, until, until_read
from tests.system.test_sidecar_handler_scene import Call, Handler, Script, answering, reply

Json = dict[str, Any]


class Live(Api):
    """The queue ``orders`` with a replica and its handler. The clock goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.handler = Handler(answering(reply()))
        self._sidecars: list[Sidecar] = []
        self._telemetry = Telemetry(CollectorRegistry())

    async def call(self, method: str, path: str, **given: Any) -> Reply:
        self.clock = time.time()
        return await super().call(method, path, **given)

    async def start(self) -> None:
        """Another replica, and with the first one the handler."""
        if not self._sidecars:
            await self.handler.up()
        workqueue = await self.store.get("default", "orders")
        assert workqueue is not None
        sidecar = Sidecar(
            workqueue,
            f"orders-{len(self._sidecars)}#1",
            broker=self.broker,
            store=self.store,
            make_client=lambda *where: HttpHandlerClient(*where, idle_seconds=1000),
            telemetry=self._telemetry,
            keys=KEYS,
        )
        self._sidecars.append(sidecar)
        sidecar.attach("127.0.0.1", self.handler.port)

    def redefined(self, namespace: str, queue: str, workqueue: WorkQueue | None) -> None:
        if workqueue is not None:
            for sidecar in self._sidecars:
                sidecar.redefine(workqueue)

    def answer(self, *answers: bytes, script: Script | None = None) -> None:
        """What the handler says from now on; see ``answering``."""
        self.handler.script = script or answering(*answers)

    async def message(self, message_id: str, wanted: Callable[[Json], object]) -> Json:
        """The message as it is shown, once it is wanted."""

        async def read() -> Json:
            found: Json = (await self.call("GET", f"messages/{message_id}")).json
            return found

        return await until_read(read, wanted)

    async def ended(self, message_id: str) -> Json:
        """The message as it is shown, once it has ended."""
        return await self.message(message_id, lambda shown: shown["ended_at"])

    async def status(self, wanted: Callable[[Json], object]) -> Json:
        """The queue's status, once it is wanted."""

        async def read() -> Json:
            found: Json = (await self.call("GET", "")).json["status"]
            return found

        return await until_read(read, wanted)

    async def letters(self, count: int) -> list[Json]:
        """The dead letters, newest first, once there are so many."""

        async def read() -> list[Json]:
            found: list[Json] = (await self.call("GET", "dead-letters")).json["items"]
            return found

        return await until_read(read, lambda found: len(found) == count)

    async def session_of(self, session: str, wanted: Callable[[Json], object] = bool) -> Json:
        """The session as it is listed, once it is and is wanted."""

        async def read() -> Json:
            items = (await self.call("GET", "sessions", params={"session": session})).json["items"]
            return items[0] if items else {}

        return await until_read(read, lambda found: found and wanted(found))

    async def called(self, message_id: str, attempt: int = 1) -> Call:
        """The call of the handler with this message, once it was made."""

        def found() -> list[Call]:
            return [call for call in self.handler.calls if (call.id, call.attempt) == (message_id, attempt)]

        return (await until(found))[0]

    async def end(self) -> None:
        for sidecar in self._sidecars:
            await sidecar.close()
        await self.dispatcher.stop()
        await self.handler.end()


@asynccontextmanager
async def living(*, replicas: int = 1, **spec: Any) -> AsyncIterator[Live]:
    """A queue of one partition that retries almost at once, unless ``spec`` says otherwise."""
    delivery: Json = {"backoff": {"initialSeconds": 0.01, "maxSeconds": 300, "multiplier": 1}}
    live = Live()
    live.port = await live.dispatcher.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as live.session:
        await live.make(**{**spec, "delivery": {**delivery, **spec.get("delivery", {})}})
        live.store.watch(live.redefined)
        for _ in range(replicas):
            await live.start()
        try:
            yield live
        finally:
            await live.end()
    await until(lambda: asyncio.all_tasks() - {asyncio.current_task()}, lambda left: not left)
