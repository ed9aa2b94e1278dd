"""What the sidecar counts, against what has happened."""

from __future__ import annotations

from tests.system.sidecar_scene import Scene, scene, until
from tests.system.test_sidecar_handler_scene import Cut, reply


def in_flight(stage: Scene) -> list[float]:
    """The values of all gauges; the sidecar has one, of the calls that run."""
    gauges = [metric for metric in stage.registry.collect() if metric.type == "gauge"]
    return [sample.value for gauge in gauges for sample in gauge.samples]


async def test_attempts_are_counted_by_outcome() -> None:
    async with scene() as stage:
        stage.start(await stage.handler(reply(500), Cut(b"HTTP/1.1 2"), reply(503), reply(), reply(422)))
        await stage.send("m1", "m2", session="s")
        await stage.ended("m2")
        outcomes = ("ack", "retry", "interrupted", "dead-letter")
        assert [1.0, 2.0, 1.0, 1.0] == [stage.value("attempts_total", outcome=outcome) for outcome in outcomes]
        assert (5.0, 2.0) == (stage.value("handler_calls_total"), stage.value("handler_checks_total"))


async def test_the_time_in_the_handler_is_that_of_its_attempts() -> None:
    async with scene() as stage:
        stage.start(await stage.handler(reply(500), reply()))
        await stage.send("m1")
        attempts = (await stage.ended("m1")).attempts
        spent = sum((attempt.ended_at or 0.0) - attempt.started_at for attempt in attempts)
        assert spent == stage.value("handler_busy_seconds_total")


async def test_failures_of_the_store_are_counted() -> None:
    async with scene() as stage:
        stage.store.away_for.add("orders-1")
        stage.start(await stage.handler())
        await until(lambda: stage.value("store_failures_total"), lambda failures: failures == 2.0)
        stage.store.away_for.clear()
        await stage.send("m1")
        await stage.ended("m1")


async def test_calls_in_flight_go_up_and_down() -> None:
    async with scene(sessions={"concurrencyPerReplica": 2}) as stage:
        handler = await stage.handler()
        handler.gate.clear()
        stage.start(handler)
        await stage.send("m1", "m2", "m3")
        await until(lambda: handler.in_flight, lambda running: running == 2)
        assert [2.0] == in_flight(stage)
        handler.gate.set()
        await stage.ended("m3")
        assert [0.0] == in_flight(stage)


async def test_calls_that_are_cut_off_are_not_in_flight() -> None:
    async with scene() as stage:
        handler = await stage.handler()
        handler.gate.clear()
        sidecar = stage.start(handler)
        await stage.send("m1")
        await until(lambda: handler.in_flight)
        sidecar.detach("gone")
        await stage.failed("m1")
        assert [0.0] == in_flight(stage)


async def test_a_sidecar_that_is_closed_has_no_calls_in_flight() -> None:
    async with scene() as stage:
        handler = await stage.handler()
        handler.gate.clear()
        sidecar = stage.start(handler)
        await stage.send("m1")
        await until(lambda: handler.in_flight)
        await sidecar.close()
        assert [0.0] == in_flight(stage)
