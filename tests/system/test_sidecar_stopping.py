"""A pause, a drain, the end: what runs may finish, what waits goes back, and nothing is left open."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from contracts.fence import Fail, Renew
from contracts.records import State
from contracts.replies import Idle
from sidecar.runtime import Sidecar
from tests.system.sidecar_scene import SECONDS, WHERE, Scene, scene, until
from tests.system.test_sidecar_handler_scene import Handler, answering, reply


async def busy(stage: Scene, *more: str) -> tuple[Sidecar, Handler]:
    """A sidecar whose handler has got ``m1`` of session ``s`` and does not answer; ``more`` waits behind it."""
    handler = await stage.handler()
    handler.gate.clear()
    sidecar = stage.start(handler)
    await stage.send("m1", *more, session="s")
    await until(lambda: handler.in_flight)
    stage.store.answered.clear()
    return sidecar, handler


class TestPause:
    async def test_it_starts_nothing_and_lets_finish_what_runs(self) -> None:
        async with scene() as stage:
            sidecar, handler = await busy(stage, "m2")
            sidecar.redefine(stage.workqueue(paused=True))
            await stage.send("other")
            handler.gate.set()
            await until(lambda: stage.store.claims(Idle) == {"m2", "other"})
            assert State.SUCCEEDED is (await stage.known("m1")).state
            assert ["m1"] == handler.ids

    async def test_it_goes_on_where_it_was(self) -> None:
        async with scene(paused=True) as stage:
            handler = await stage.handler()
            sidecar = stage.start(handler)
            await stage.send("m1", "m2", session="s")
            await until(lambda: stage.store.claims(Idle))
            sidecar.redefine(stage.workqueue(paused=False))
            await stage.ended("m2")
            assert ["m1", "m2"] == handler.ids

    async def test_a_retry_that_falls_due_waits_for_its_end(self) -> None:
        async with scene() as stage:
            sidecar, handler = await busy(stage)
            sidecar.redefine(stage.workqueue(paused=True))
            handler.script = answering(reply(500), reply())
            handler.gate.set()
            await until(lambda: stage.store.claims(Idle))
            assert (State.RETRYING, 1) == ((await stage.known("m1")).state, len(handler.calls))
            sidecar.redefine(stage.workqueue())
            assert 2 == (await stage.ended("m1")).attempt


class TestDrain:
    async def test_what_runs_finishes_and_the_rest_goes_back(self) -> None:
        async with scene(partitions=2) as stage:
            sidecar, handler = await busy(stage, "m2", "m3")
            draining = asyncio.create_task(sidecar.drain(30))
            await stage.report(lambda report: report.running == 1)
            assert not draining.done()
            handler.gate.set()
            await draining
            assert State.SUCCEEDED is (await stage.ended("m1")).state
            assert (["m1"], 2, 0) == (handler.ids, await stage.ready(), await stage.unacked())
            assert [] == await stage.store.replicas("default", "orders")

    async def test_what_comes_meanwhile_is_not_started(self) -> None:
        async with scene(sessions={"concurrencyPerReplica": 8}) as stage:
            sidecar, handler = await busy(stage)
            draining = asyncio.create_task(sidecar.drain(30))
            await asyncio.sleep(0)
            await stage.send("m2")
            handler.gate.set()
            await draining
            assert (["m1"], 1) == (handler.ids, await stage.ready())

    async def test_one_that_is_idle_leaves_at_once(self) -> None:
        async with scene() as stage:
            sidecar = stage.start(await stage.handler())
            await stage.send("m1")
            await stage.ended("m1")
            await sidecar.drain(30)
            await stage.send("m2")
            assert 1 == await stage.ready()

    async def test_one_that_has_only_just_begun_leaves_too(self) -> None:
        async with scene() as stage:
            await stage.start(None).drain(30)
            await stage.send("m1")
            assert 1 == await stage.ready()

    async def test_a_call_that_outlasts_it_is_interrupted_and_goes_to_the_next(self) -> None:
        async with scene() as stage:
            sidecar, _ = await busy(stage, "m2")
            await sidecar.drain(0)
            assert (2, 0) == (await stage.ready(), await stage.unacked())
            await sidecar.close()
            heir = await stage.handler()
            stage.start(heir, "heir")
            await stage.ended("m2")
            assert [("m1", 2), ("m2", 1)] == [(call.key, call.attempt) for call in heir.calls]
            record = await stage.ended("m1")
            assert (0, 1) == (record.failures, record.interruptions)

    async def test_what_a_call_answers_after_the_drain_counts_no_more(self) -> None:
        async with scene() as stage:
            sidecar, handler = await busy(stage)
            await sidecar.drain(0)
            handler.gate.set()
            await until(lambda: not handler.in_flight)
            record = await stage.known("m1")
            assert not record.state.final
            assert 1 == await stage.ready()

    async def test_a_second_one_can_shorten_it(self) -> None:
        async with scene() as stage:
            sidecar, _ = await busy(stage)
            first = asyncio.create_task(sidecar.drain(1000))
            await asyncio.sleep(0)
            await sidecar.drain(0)
            await first
            assert 1 == await stage.ready()

    async def test_a_second_one_is_over_in_time_although_nothing_happens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sidecar.core.membership.REPORT_SECONDS", 3600)  # no renewal that looks by chance
        async with scene() as stage:
            sidecar, _ = await busy(stage)
            first = asyncio.create_task(sidecar.drain(1000))
            await until(lambda: stage.store.asked(Renew))
            await asyncio.wait_for(sidecar.drain(0.05), SECONDS)
            await first

    async def test_a_second_one_cannot_lengthen_it(self) -> None:
        async with scene() as stage:
            sidecar, _ = await busy(stage)
            first = asyncio.create_task(sidecar.drain(0.05))
            await asyncio.sleep(0)
            await sidecar.drain(1000)
            await first
            assert 1 == await stage.ready()

    async def test_it_can_be_repeated_after_the_end(self) -> None:
        async with scene() as stage:
            sidecar = stage.start(await stage.handler())
            await sidecar.drain(30)
            await sidecar.drain(30)


class TestHalt:
    async def test_dead_letters_in_a_row_stop_the_replica_until_the_queue_is_resumed(self) -> None:
        async with scene(sessions={"concurrencyPerReplica": 1}) as stage:
            handler = await stage.handler(reply(422, b"a bad deploy"))
            sidecar = stage.start(handler)
            await stage.send(*(f"m{number}" for number in range(25)))
            report = await stage.report(lambda report: report.reason.startswith("halted: 20 messages in a row"))
            assert "the handler answered 422: a bad deploy; see to the handler" in report.reason
            assert 20 == len(handler.calls)
            handler.script = answering(reply())
            resumed = msgspec.structs.replace(stage.workqueue(), resumes=1)
            sidecar.redefine(resumed)
            await stage.ended("m24")
            assert 25 == len(handler.calls)


class TestFault:
    async def test_what_nobody_foresaw_gives_the_replica_up(self) -> None:
        """Its owner sees ``left`` fail and starts another; one that stays would hold its partitions for nothing."""
        async with scene() as stage:
            sidecar = stage.start(await stage.handler())
            stage.store.defect = RuntimeError("a defect")
            await until(sidecar.left.done)
            assert stage.store.defect is sidecar.left.exception()


class TestClose:
    async def test_all_goes_back_at_once_and_what_ran_is_interrupted(self) -> None:
        async with scene() as stage:
            sidecar, handler = await busy(stage, "m2")
            await sidecar.close()
            assert (2, 0) == (await stage.ready(), await stage.unacked())
            handler.gate.set()
            await until(lambda: not handler.connections)

    async def test_no_connection_outlives_it(self) -> None:
        async with scene() as stage:
            handler = await stage.handler()
            sidecar = stage.start(handler)
            await stage.send("m1")
            await stage.ended("m1")
            await sidecar.close()
            await until(lambda: not handler.connections)

    async def test_no_connection_outlives_it_after_the_handler_was_detached(self) -> None:
        async with scene() as stage:
            sidecar, handler = await busy(stage)
            sidecar.detach("gone")
            await sidecar.close()
            handler.gate.set()
            await until(lambda: not handler.connections)

    @pytest.mark.parametrize("turns", range(12))
    async def test_whenever_it_comes_nothing_is_left_open(self, turns: int) -> None:
        async with scene() as stage:
            handler = await stage.handler()
            sidecar = stage.start(handler)
            for _ in range(turns):
                await asyncio.sleep(0)
            await sidecar.close()
            await stage.send("m1")
            assert (1, 0) == (await stage.ready(), await stage.unacked())

    @pytest.mark.parametrize("turns", range(4))
    async def test_it_may_come_while_a_message_is_put_back_for_later(self, turns: int) -> None:
        """What was begun for the message and not awaited would be a warning, and so an error."""
        async with scene(delivery={"backoff": {"initialSeconds": 100}}) as stage:
            sidecar = stage.start(await stage.handler(reply(500)))
            await stage.send("m1")
            while not stage.store.asked(Fail):
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            await sidecar.close()
            depth = await stage.broker.depth(*WHERE)
            assert 1 <= sum(depth.ready) + depth.scheduled <= 2, "perhaps twice, never lost"

    async def test_it_can_be_repeated(self) -> None:
        async with scene() as stage:
            sidecar, _ = await busy(stage)
            await sidecar.close()
            await sidecar.close()
