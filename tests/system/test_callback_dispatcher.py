"""The callback API as the dispatcher serves it: the same calls, for whichever replica is at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from contracts.records import Progress, State
from contracts.speech import Beat, Refusal, Speaker
from dispatcher.runtime import Dispatcher
from kubedaemon.dev.attempts import LocalAttempts
from tests.system.callback_scene import Stage, Worker, stage
from tests.system.sidecar_scene import KEYS, until
from tests.system.test_sidecar_handler_scene import Handler


class Outside:
    """A dispatcher over the broker, the store and the sidecars of a stage."""

    def __init__(self, on: Stage, *, attempts: bool = True) -> None:
        self.registry = CollectorRegistry()
        local = LocalAttempts(lambda *_: [one.attempts for one in on.scene.sidecars], on.scene.store)
        self.dispatcher = Dispatcher(
            broker=on.scene.broker,
            store=on.scene.store,
            keys=KEYS,
            registry=self.registry,
            attempts=local if attempts else None,
        )
        self.port = 0
        self._on = on

    def worker(self, inside: Worker) -> Worker:
        """The same worker, from outside the pod."""
        return Worker(self._on.session, f"http://127.0.0.1:{self.port}/v1/callback", inside.token)


@asynccontextmanager
async def outside(on: Stage, *, attempts: bool = True) -> AsyncIterator[Outside]:
    there = Outside(on, attempts=attempts)
    there.port = await there.dispatcher.start("127.0.0.1", 0)
    try:
        yield there
    finally:
        await there.dispatcher.stop()


async def test_all_of_it_is_there() -> None:
    async with stage() as on, outside(on) as there:
        await on.make("other")
        worker = there.worker(await on.accept())
        assert 200 == (await worker.beat(b'{"percent": 1}')).status
        assert 404 == (await worker.read()).status
        assert 204 == (await worker.write(b"1")).status
        assert (202, "staged") == ((told := await worker.emit("other", b"x")).status, told.json["state"])
        assert 200 == (await worker.call("POST", "/token")).status
        assert 200 == (await worker.complete(b"done")).status
        assert State.SUCCEEDED is (await on.scene.ended("m1")).state
        await on.scene.settled()
        assert 1 == await on.waiting("other")
        assert [200, 409] == [(await worker.complete()).status, (await worker.fail()).status]


async def test_the_replica_that_is_at_work_is_found_among_many() -> None:
    async with stage() as on, outside(on) as there:
        worker = there.worker(await on.accept())
        handlers: list[Handler] = [await on.scene.handler() for _ in range(2)]
        for number, handler in enumerate(handlers):
            on.scene.start(handler, f"another-{number}")
        on.scene.sidecars.reverse()
        assert 200 == (await worker.beat()).status
        assert 200 == (await worker.complete(b"done")).status
        assert State.SUCCEEDED is (await on.scene.ended("m1")).state


async def test_the_token_of_init_sends_at_once_also_to_a_full_queue_and_is_counted() -> None:
    async with stage() as on, outside(on) as there:
        await on.make("other", limits={"maxLength": 1})
        init = there.worker(await on.init())
        told = [await init.emit("other", body, Idempotency_Key=body.decode()) for body in (b"1", b"1", b"2")]
        assert [(202, "queued")] * 3 == [(one.status, one.json["state"]) for one in told]
        assert 2 == await on.waiting("other")
        labels = {"namespace": "default", "queue": "other"}
        assert 2.0 == there.registry.get_sample_value("kubedaemon_dispatcher_messages_accepted_total", labels)


async def test_refusals_are_problems_here_too() -> None:
    async with stage() as on, outside(on) as there:
        await on.make("small", limits={"maxMessageBytes": 10})
        worker = there.worker(await on.start())
        stranger = Worker(on.session, worker.url, "x")
        told = [
            await stranger.beat(),
            await worker.emit("nowhere"),
            await worker.emit("small", bytes(11)),
            await worker.call("PATCH", "/session/state"),
            await worker.call("GET", "/nothing"),
            await worker.call("GET", ""),
            await worker.beat(b"["),
        ]
        assert [
            (401, "unauthorized"),
            (404, "unknown-queue"),
            (413, "payload-too-large"),
            (405, "method-not-allowed"),
            (404, "unknown-route"),
            (404, "unknown-route"),
            (400, "malformed-request"),
        ] == [(one.status, one.problem) for one in told]
        assert "GET, PUT, DELETE" == told[3].headers["Allow"]


async def test_a_dispatcher_that_knows_of_no_replicas_says_so() -> None:
    async with stage() as on, outside(on, attempts=False) as there:
        told = await there.worker(await on.start()).beat()
        assert (501, "not-implemented") == (told.status, told.problem)


async def test_a_queue_that_is_gone_has_no_attempts() -> None:
    async with stage() as on, outside(on) as there:
        worker = there.worker(await on.start())
        await on.sidecar.close()
        on.scene.sidecars.clear()
        await on.scene.store.delete("default", "orders")
        await on.scene.store.forget("default", "orders")
        assert [409, 409] == [(await worker.beat()).status, (await worker.complete()).status]


async def test_a_replica_that_ends_meanwhile_leaves_it_open_whether_it_counts() -> None:
    async with stage() as on, outside(on) as there:
        worker = there.worker(await on.accept())
        on.scene.store.away_for.add("orders-1")
        saying = asyncio.create_task(worker.complete())
        await until(lambda: on.scene.value("store_failures_total"))
        await on.sidecar.close()
        told = await saying
        assert (503, "unavailable", "1") == (told.status, told.problem, told.headers["Retry-After"])


async def test_a_replica_that_has_left_hears_nothing_any_more() -> None:
    async with stage() as on:
        worker = await on.start()
        await on.sidecar.drain(0)
        told = await worker.beat()
        assert (503, "unavailable") == (told.status, told.problem)
        assert "has stopped" in told.json["detail"]


async def test_an_attempt_of_another_queue_is_none_of_this_replica() -> None:
    async with stage() as on:
        heard = await on.sidecar.attempts.speak("default", "other", Speaker("m1", 1, 1, 1), Beat(Progress()))
        assert Refusal.OVER is heard.refusal
