"""One session is handled one message at a time, in order; how many at the same time is bounded, and made use of."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from zlib import crc32

from contracts.records import State
from tests.system.sidecar_scene import Scene, scene, until
from tests.system.test_sidecar_handler_scene import Call, Cut, Handler, reply


def seen(handlers: list[Handler]) -> dict[str, list[str]]:
    """The bodies by session in the order in which they were first called."""
    found: dict[str, list[str]] = defaultdict(list)
    for handler in handlers:
        for call in handler.calls:
            text = call.body.decode()
            if text not in found[call.session]:
                found[call.session].append(text)
    return found


async def uneven(call: Call) -> bytes:
    """Now at once and now later; some calls fail, some are cut off, each in its first attempt."""
    chance = crc32(call.id.encode())
    for _ in range(chance % 7):
        await asyncio.sleep(0)
    if call.attempt == 1 and chance % 5 == 0:
        return reply(500)
    if call.attempt == 1 and chance % 11 == 0:
        return Cut(b"HTTP/1.1 2")
    return reply(body=call.body)


async def test_every_session_is_handled_in_order_whatever_fails() -> None:
    sessions, messages = [f"s{number}" for number in range(20)], 15
    async with scene(partitions=4, sessions={"concurrencyPerReplica": 8}) as stage:
        handler = await stage.handler(script=uneven)
        stage.start(handler)
        for number in range(messages):
            for session in sessions:
                await stage.send(f"{session}-{number}", session=session, body=b"%d" % number)
        records = [await stage.ended(f"{session}-{number}") for session in sessions for number in range(messages)]
        assert {State.SUCCEEDED} == {record.state for record in records}
        assert set() == handler.overlapped
        assert {session: [str(number) for number in range(messages)] for session in sessions} == seen([handler])
        for session in sessions:
            ids = [call.id for call in handler.calls if call.session == session]
            assert sorted(ids, key=lambda id: int(id.partition("-")[2])) == ids, "a retry goes before what is behind it"
        assert 1 < handler.most <= 8


async def test_a_session_that_waits_for_its_retry_holds_up_no_other() -> None:
    async with scene(delivery={"backoff": {"initialSeconds": 100}}, sessions={"concurrencyPerReplica": 1}) as stage:
        handler = await stage.handler(reply(500), reply())
        stage.start(handler)
        await stage.send("a1", "a2", session="a")
        await stage.failed("a1")
        await stage.send("b1", "b2", session="b")
        await stage.ended("b2")
        assert ["a1", "b1", "b2"] == handler.ids


async def test_messages_without_a_session_are_handled_beside_each_other() -> None:
    async with scene(sessions={"concurrencyPerReplica": 3}) as stage:
        handler = await stage.handler()
        handler.gate.clear()
        stage.start(handler)
        await stage.send("m1", "m2", "m3")
        await until(lambda: handler.in_flight, lambda running: running == 3)


async def one_by_one(stage: Scene, handlers: list[Handler], count: int, most: int) -> None:
    """Messages of as many sessions, answered one after the other; never more than ``most`` run, and so many do."""
    steps = asyncio.Queue[None]()

    async def script(call: Call) -> bytes:
        await steps.get()
        return reply()

    for handler in handlers:
        handler.script = script
    for number in range(count):
        await stage.send(f"m{number}", session=f"s{number}")

    def running() -> int:
        return sum(handler.in_flight for handler in handlers)

    for left in range(count, 0, -1):
        expected = min(most, left)
        assert expected == await until(running, expected.__le__)
        steps.put_nowait(None)
        await until(steps.empty)
    for number in range(count):
        await stage.ended(f"m{number}")
    assert count == sum(len(handler.calls) for handler in handlers)


async def test_a_replica_runs_as_many_as_it_may_and_no_more() -> None:
    async with scene(partitions=4, sessions={"concurrencyPerReplica": 3}) as stage:
        handler = await stage.handler()
        stage.start(handler)
        await one_by_one(stage, [handler], 12, 3)
        assert 3 == handler.most


async def test_all_replicas_together_run_as_many_as_the_queue_may_and_no_more() -> None:
    async with scene(partitions=8, sessions={"concurrencyPerReplica": 8, "maxConcurrent": 5}) as stage:
        handlers = [await stage.handler(), await stage.handler()]
        stage.start(handlers[0], "a")
        stage.start(handlers[1], "b")
        await stage.owners("a", "b")
        await one_by_one(stage, handlers, 24, 5)
        assert all(handler.calls for handler in handlers)


async def test_a_long_session_does_not_hide_the_others_behind_it() -> None:
    """The window over which a replica looks grows while there is room in the handler."""
    async with scene(sessions={"concurrencyPerReplica": 2}) as stage:
        handler = await stage.handler()
        handler.gate.clear()
        await stage.send(*(f"a{number}" for number in range(100)), session="a")
        await stage.send("b1", session="b")
        stage.start(handler)
        await until(lambda: sorted(handler.ids), lambda ids: ids == ["a0", "b1"])


async def test_a_change_of_the_bounds_takes_effect_at_once() -> None:
    async with scene(sessions={"concurrencyPerReplica": 1}) as stage:
        handler = await stage.handler()
        handler.gate.clear()
        sidecar = stage.start(handler)
        await stage.send("m1", "m2", "m3")
        await until(lambda: handler.in_flight, lambda running: running == 1)
        sidecar.redefine(stage.workqueue(sessions={"concurrencyPerReplica": 3}))
        await until(lambda: handler.in_flight, lambda running: running == 3)
