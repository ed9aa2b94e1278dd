"""What a handler does through the callback API, over real HTTP: calls of its sidecar's endpoint, with its tokens."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from contracts.problems import BASE, MEDIA_TYPE
from contracts.records import Record
from contracts.workqueue import WorkQueue, parse_spec
from sidecar.runtime import Sidecar
from tests.system.sidecar_scene import Scene, scene, until
from tests.system.test_sidecar_handler_scene import Call, Handler, answering, reply

ACCEPTED = reply(202, b"", Kubedaemon_Outcome="accepted")


class Told(NamedTuple):
    """An answer of the callback API."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any

    @property
    def problem(self) -> str:
        """The slug of the problem; fails where it is none."""
        assert self.headers["Content-Type"] == MEDIA_TYPE, (self.status, self.body)
        assert self.json["status"] == self.status
        assert self.json["title"]
        assert self.json["detail"]
        return str(self.json["type"]).removeprefix(BASE)


class Worker:
    """One attempt of a message, as the handler works on it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self._session = session

    async def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Told:
        """With its token, unless another ``Authorization`` is named."""
        named = {"Authorization": f"Bearer {self.token}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        data = io.BytesIO(body) if body else None  # in pieces, as a client that streams would
        async with self._session.request(method, self.url + path, data=data, headers=named) as response:
            said = await response.read()
            is_json = "json" in response.headers.get("Content-Type", "") and said
            return Told(response.status, response.headers, said, json.loads(said) if is_json else None)

    async def beat(self, body: bytes = b"") -> Told:
        return await self.call("PUT", "/message/progress", body)

    async def complete(self, body: bytes = b"", **headers: str) -> Told:
        return await self.call("POST", "/message/complete", body, **headers)

    async def fail(self, outcome: str = "retry", body: bytes = b"", **headers: str) -> Told:
        return await self.call("POST", f"/message/fail?outcome={outcome}", body, **headers)

    async def emit(self, queue: str, body: bytes = b"", *, query: str = "", **headers: str) -> Told:
        return await self.call("POST", f"/queues/{queue}/messages{query}", body, **headers)

    async def read(self) -> Told:
        return await self.call("GET", "/session/state")

    async def write(self, body: bytes, **headers: str) -> Told:
        return await self.call("PUT", "/session/state", body, **headers)


class Stage:
    """A queue with a sidecar and a handler whose calls stay open until ``handler.gate`` is set."""

    def __init__(self, scene: Scene, handler: Handler, sidecar: Sidecar, session: aiohttp.ClientSession) -> None:
        self.scene = scene
        self.handler = handler
        self.sidecar = sidecar
        self.session = session

    def worker(self, call: Call) -> Worker:
        headers = call.headers
        return Worker(self.session, headers["kubedaemon-callback-url"], headers["kubedaemon-token"])

    async def start(self, name: str = "m1", session: str | None = "s", attempt: int = 1) -> Worker:
        """Sends a message; a worker on it, once the handler was called with it."""
        await self.scene.send(name, session=session)
        return await self.at_work(name, attempt)

    async def at_work(self, name: str = "m1", attempt: int = 1) -> Worker:
        def found() -> list[Call]:
            return [call for call in self.handler.calls if (call.id, call.attempt) == (name, attempt)]

        return self.worker((await until(found))[0])

    async def accept(self, name: str = "m1", session: str | None = "s") -> Worker:
        """As ``start``, once the sidecar knows that the message is accepted."""
        self.handler.script = answering(ACCEPTED)
        self.handler.gate.set()
        worker = await self.start(name, session)
        await self.scene.known(name, lambda record: record.attempts[-1].outcome == "accepted")
        return worker

    async def init(self) -> Worker:
        """What /init gave: the URL and the token of the replica."""
        (given,) = await until(lambda: self.handler.inits)
        return Worker(self.session, given["callback_url"], given["token"])

    async def make(self, name: str, **spec: Any) -> None:
        """Another queue, in which messages wait."""
        workqueue = WorkQueue(name=name, spec=parse_spec({"partitions": 1, **spec}))
        await self.scene.broker.declare(workqueue)
        await self.scene.store.put(workqueue)

    async def waiting(self, queue: str) -> int:
        return sum((await self.scene.broker.depth("default", queue)).ready)

    async def restarted(self) -> str:
        """Another sidecar takes over; the URL of its endpoint, which its /init was told."""
        told = len(self.handler.inits)
        self.scene.start(self.handler)
        await until(lambda: len(self.handler.inits) > told)
        return str(self.handler.inits[-1]["callback_url"])

    async def end(self, name: str = "m1", answer: bytes | None = None) -> Record:
        """The open calls are answered, and those that follow stay open again; the record of the message that ended."""
        self.end_calls(answer)
        record = await self.scene.ended(name)
        self.handler.gate.clear()
        return record

    def end_calls(self, answer: bytes | None = None) -> None:
        """The open calls are answered, and all that follow."""
        self.handler.script = answering(answer or reply())
        self.handler.gate.set()


@asynccontextmanager
async def stage(*, init: bytes = b"", **spec: Any) -> AsyncIterator[Stage]:
    """``init`` is what the handler answers to /init."""
    async with scene(**spec) as staged, aiohttp.ClientSession() as session:
        handler = await staged.handler()
        handler.init_body = init
        handler.gate.clear()
        await staged.store.put(staged.workqueue())
        yield Stage(staged, handler, staged.start(handler), session)
        await session.close()
