"""Several replicas of one queue: they share its partitions, come and go, and stand in for one another."""

from __future__ import annotations

import asyncio
from collections import Counter

from contracts.fence import Commit
from contracts.replies import DONE, FENCED, HeldBy, Reply
from tests.system.sidecar_scene import scene, until
from tests.system.test_sidecar_handler_scene import reply

LEASE_SECONDS = 15.0


async def test_two_replicas_share_the_partitions() -> None:
    async with scene(partitions=4) as stage:
        handlers = [await stage.handler(), await stage.handler()]
        stage.start(handlers[0], "a")
        stage.start(handlers[1], "b")
        assert [2, 2] == list(Counter(await stage.owners("a", "b")).values())
        ids = [f"m{number}" for number in range(40)]
        await stage.send(*ids)
        for message_id in ids:
            await stage.ended(message_id)
        assert sorted(ids) == sorted(handlers[0].ids + handlers[1].ids)
        assert all(handler.ids for handler in handlers)


async def test_one_that_leaves_hands_its_partitions_over() -> None:
    async with scene(partitions=4) as stage:
        handler = await stage.handler()
        leaving = stage.start(handler, "a")
        stage.start(handler, "b")
        await stage.owners("a", "b")
        await leaving.drain(30)
        await stage.owners("b")
        await stage.send("m1", "m2", "m3", "m4")
        for message_id in ("m1", "m2", "m3", "m4"):
            assert "b" == (await stage.ended(message_id)).attempts[0].replica


async def test_order_holds_while_replicas_come_and_go() -> None:
    sessions, messages = [f"s{number}" for number in range(12)], 20
    async with scene(partitions=8) as stage:
        handler = await stage.handler()
        first = stage.start(handler, "a")
        for number in range(messages):
            for session in sessions:
                await stage.send(f"{session}-{number}", session=session)
            if number == 5:
                stage.start(handler, "b")
                await stage.owners("a", "b")
            if number == 10:
                draining = asyncio.create_task(first.drain(30))
            if number == 15:
                stage.start(handler, "c")
        await draining
        for session in sessions:
            await stage.ended(f"{session}-{messages - 1}")
            expected = [f"{session}-{number}" for number in range(messages)]
            assert expected == [call.id for call in handler.calls if call.session == session]
        assert set() == handler.overlapped


async def test_what_a_crashed_replica_had_is_taken_over_after_its_lease() -> None:
    async with scene(delivery={"maxAttempts": 1}) as stage:
        dying, heir = await stage.handler(), await stage.handler()
        dying.gate.clear()
        crashing = stage.start(dying, "a")
        await stage.send("m1", "m2", session="s")
        await until(lambda: dying.in_flight)
        stage.start(heir, "b")
        await stage.send("other")
        await crashing.close()
        await stage.ended("other")
        await until(lambda: stage.store.claims(HeldBy))
        assert ["other"] == heir.ids
        stage.store.ahead_seconds = LEASE_SECONDS
        await stage.ended("m2")
        assert [("m1", 2), ("m2", 1)] == [(call.id, call.attempt) for call in heir.calls if call.session]
        record = await stage.ended("m1")
        assert (0, 1) == (record.failures, record.interruptions)
        assert [("a", "interrupted"), ("b", "ack")] == [(a.replica, a.outcome) for a in record.attempts]
        await stage.owners("b")


async def test_a_replica_that_was_cut_off_for_longer_than_its_lease_changes_nothing() -> None:
    async with scene() as stage:
        late, heir = await stage.handler(reply(body=b"late")), await stage.handler(reply(body=b"heir"))
        late.gate.clear()
        stage.start(late, "a")
        await stage.send("m1", session="s")
        await until(lambda: late.in_flight)
        stage.start(heir, "b")
        stage.store.away_for.add("a")
        stage.broker.cut_off("a")
        await until(lambda: stage.store.claims(HeldBy))
        stage.store.ahead_seconds = LEASE_SECONDS
        await stage.ended("m1")
        late.gate.set()
        await until(lambda: not late.in_flight)
        stage.store.away_for.clear()

        def commits() -> list[tuple[str, Reply]]:
            return [(replica, answer) for replica, op, answer in stage.store.answered if isinstance(op, Commit)]

        assert [("b", DONE), ("a", FENCED)] == await until(commits, lambda found: len(found) == 2)
        ending = (await stage.ended("m1")).ending
        assert ending is not None
        assert b"heir" == ending.body
        assert [1] == [call.attempt for call in late.calls if call.id == "m1"]


async def test_a_store_that_is_away_for_a_moment_costs_no_attempt() -> None:
    async with scene(delivery={"maxAttempts": 1}) as stage:
        handler = await stage.handler(reply(body=b"done"))
        handler.gate.clear()
        stage.start(handler)
        await stage.send("m1", "m2", session="s")
        await until(lambda: handler.in_flight)
        stage.store.away_for.add("orders-1")
        handler.gate.set()
        await until(lambda: stage.value("store_failures_total"))
        stage.store.away_for.clear()
        await stage.ended("m2")
        assert (["m1", "m2"], 0) == (handler.ids, (await stage.ended("m1")).interruptions)
