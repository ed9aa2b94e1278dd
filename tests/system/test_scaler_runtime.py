"""The scaler's shell: waking by the bell, sizing with the reason in words, and going to sleep."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contracts.fence import Emptied, Leave
from contracts.records import Report
from contracts.topology import Partition
from tests.system.sidecar_scene import WHERE, until, until_read
from tests.system.test_scaler_scene import QUICK, scene


class TestWaking:
    async def test_a_sleeping_queue_is_not_looked_at_and_wakes_by_the_bell(self) -> None:
        async with scene() as stage:
            await stage.asleep()
            looks = stage.broker.looks
            await stage.send()
            await until(lambda: stage.replicas.count)
            assert (looks + 1, [1]) == (stage.broker.looks, stage.replicas.scaled)

    async def test_it_wakes_again_and_again(self) -> None:
        async with scene() as stage:
            for _ in range(2):
                await stage.asleep()
                await stage.send()
                await until(lambda: stage.replicas.count)
                stage.take()
            await stage.asleep()
            assert [1, 0, 1, 0] == stage.replicas.scaled

    async def test_what_waited_before_it_was_there_needs_no_bell(self) -> None:
        async with scene(waiting=3) as stage:
            await until(lambda: stage.replicas.count)

    async def test_a_paused_queue_does_not_wake(self) -> None:
        async with scene(paused=True) as stage:
            await stage.asleep()
            await stage.send()
            await until(lambda: stage.value("backlog_messages"), lambda backlog: backlog == 1.0)
            await stage.asleep()
            assert [] == stage.replicas.scaled
            stage.scaler.redefine(stage.workqueue(paused=False))
            await until(lambda: stage.replicas.count)

    async def test_a_bell_that_cannot_be_armed_is_armed_later(self) -> None:
        async with scene() as stage:
            stage.broker.refused_arms = 1
            await stage.asleep()


class TestSize:
    async def test_min_replicas_are_there_without_work(self) -> None:
        async with scene(scaling={**QUICK, "minReplicas": 2}) as stage:
            scale = await stage.said(lambda scale: scale.observed == 2)
            assert (2, "nothing waits; minReplicas is 2") == (scale.desired, scale.reason)

    async def test_idle_goes_to_zero_only_after_a_while(self) -> None:
        async with scene(scaling={"idleSeconds": 0.6}) as stage:
            await stage.send()
            await until(lambda: stage.replicas.count)
            stage.take()
            scale = await stage.said(lambda scale: scale.reason.startswith("idle"))
            assert (1, "idle, waiting 0.6 s before scaling down") == (scale.desired, scale.reason)
            await stage.asleep()
            assert [1, 0] == stage.replicas.scaled

    BOUNDS: dict[str, tuple[dict[str, Any], int, str]] = {
        "maxReplicas": ({"scaling": {**QUICK, "maxReplicas": 3}}, 3, "held to 3 by maxReplicas"),
        "sessions": (
            {"sessions": {"maxConcurrent": 4, "concurrencyPerReplica": 2}},
            2,
            "held to 2 by sessions.maxConcurrent",
        ),
        "as many as there are partitions": ({"partitions": 4}, 4, "held to 4 by maxReplicas"),
    }

    @pytest.mark.parametrize(("spec", "most", "reason"), BOUNDS.values(), ids=BOUNDS)
    async def test_much_work_is_bounded_and_the_reason_names_the_bound(
        self, spec: dict[str, Any], most: int, reason: str
    ) -> None:
        async with scene(**spec) as stage:
            await stage.asleep()
            await stage.send(1000)
            scale = await stage.said(lambda scale: scale.observed > 0)
            assert (most, most) == (scale.desired, scale.observed)
            assert reason in scale.reason

    async def test_it_is_bounded_by_the_partitions_that_hold_work(self) -> None:
        async with scene(sessions={"concurrencyPerReplica": 1}) as stage:
            await stage.asleep()
            await stage.send(100, session="one")
            scale = await stage.said(lambda scale: scale.observed > 0)
            assert 1 == scale.desired
            assert scale.reason.endswith("held to 1 by the partitions that hold work")

    async def test_it_is_bounded_by_the_sessions_that_wait(self) -> None:
        async with scene(sessions={"concurrencyPerReplica": 1}) as stage:
            await stage.asleep()
            report = Report(ready=True, running=1, unacked=2, lanes=2, handled=10, busy_seconds=100.0, partitions=[0])
            await stage.report("orders-1#a", report)
            await stage.send(100)
            scale = await stage.said(lambda scale: scale.observed > 0)
            assert 2 == scale.desired
            assert scale.reason.endswith("held to 2 by the sessions that wait")

    async def test_the_time_a_message_takes_decides_once_it_is_known(self) -> None:
        async with scene(scaling={**QUICK, "targetDelaySeconds": 1}) as stage:
            await stage.asleep()
            await stage.report("orders-1#a", Report(handled=10, busy_seconds=2.0))
            await stage.send(100)
            scale = await stage.said(lambda scale: scale.observed > 0)
            assert (3, "100 waiting or running at 200 ms each, to be worked off within 1 s") == (
                scale.desired, scale.reason,
            )  # fmt: skip
            await stage.store.turn(*WHERE, "orders-1#a", [Leave()])

    async def test_a_new_definition_takes_effect_at_once_also_while_it_sleeps(self) -> None:
        async with scene() as stage:
            await stage.asleep()
            stage.scaler.redefine(stage.workqueue(scaling={**QUICK, "minReplicas": 3}))
            await until(lambda: stage.replicas.count, lambda count: count == 3)
            stage.scaler.redefine(stage.workqueue(scaling=QUICK))
            await stage.asleep()
            assert [3, 0] == stage.replicas.scaled


class TestTrouble:
    async def test_a_broker_that_is_away_never_scales_down(self) -> None:
        async with scene(scaling={"idleSeconds": 0}) as stage:
            await stage.send(3)
            before = await until(lambda: stage.replicas.count)
            stage.take()
            stage.broker.away = True
            looks = stage.broker.looks
            await until(lambda: stage.broker.looks, lambda now: now >= looks + 2)
            assert before == stage.replicas.count
            stage.broker.away = False
            await stage.asleep()
            assert 0 == stage.replicas.count

    async def test_a_broker_that_is_away_from_the_first_is_waited_for(self) -> None:
        async with scene() as stage:
            stage.broker.away = True
            await until(lambda: stage.broker.looks)
            stage.broker.away = False
            await stage.send()
            await until(lambda: stage.replicas.count)


class TestWhatIsTold:
    async def test_decisions_are_told_with_their_reason_when_the_number_changes(self) -> None:
        async with scene() as stage:
            await stage.asleep()
            await stage.send()
            await until(lambda: stage.replicas.count)
            stage.take()
            await stage.asleep()
            waking = "1 waiting, no handling time known yet: a replica for each partition with work"
            assert [("orders", 1, waking), ("orders", 0, "nothing waits")] == stage.decisions

    async def test_metrics_count_what_happened(self) -> None:
        async with scene() as stage:
            await stage.asleep()
            await stage.send(2)
            await stage.said(lambda scale: scale.observed > 0)
            assert 2.0 == stage.value("backlog_messages")
            assert (1.0, 1.0) == (stage.value("wakes_total"), stage.value("decisions_total"))
            assert 1.0 == stage.value("wake_decision_seconds_count")
            stage.take()
            await stage.asleep()
            assert (1.0, 2.0) == (stage.value("wakes_total"), stage.value("decisions_total"))
            assert 0.0 == stage.value("backlog_messages")


class TestOlderSetsOfPartitions:
    async def test_one_is_taken_away_once_nothing_is_left_in_any_of_its_partitions(self) -> None:
        async with scene(partitions=2) as stage:
            doubled = stage.workqueue(partitions=4)
            assert (2, 4) == await stage.broker.declare(doubled)
            stage.scaler.redefine(msgspec.structs.replace(doubled, older=(2,)))
            await stage.report("orders-1#a", Report())
            first, second = (Emptied(Partition(2, number), []) for number in (0, 1))
            left = Emptied(Partition(2, 1), ["s:long"])
            await stage.store.turn(*WHERE, "orders-1#a", [first, left])
            await stage.asleep()
            assert (2, 4) == await stage.broker.declare(doubled)
            await stage.store.turn(*WHERE, "orders-1#a", [second])
            stage.scaler.redefine(msgspec.structs.replace(doubled, older=(2,)))
            kept = await until_read(lambda: stage.store.get(*WHERE), bool)
            assert kept is not None
            assert ((), 4) == (kept.older, kept.spec.partitions)
            assert (4,) == await stage.broker.declare(doubled)
