"""Queues with a replica at work: halted after too many dead letters, and started again."""

from __future__ import annotations

from tests.system.live_scene import living
from tests.system.test_sidecar_handler_scene import reply


async def test_resuming_starts_a_replica_that_halted_although_the_queue_was_not_paused() -> None:
    async with living(sessions={"concurrencyPerReplica": 1}) as live:
        live.answer(reply(422))
        sent = [await live.send() for _ in range(22)]
        status = await live.status(lambda status: "halted" in status["reason"])
        assert (False, 20, 2) == (status["paused"], status["dead"], status["unacked"])
        live.answer(reply())
        answered = await live.call("POST", "resume")
        assert (200, False) == (answered.status, answered.json["spec"]["paused"])
        for message_id in sent[20:]:
            assert "succeeded" == (await live.ended(message_id))["state"]
        await live.status(lambda status: "halted" not in status["reason"])


async def test_a_second_halt_needs_a_second_resumption() -> None:
    async with living(sessions={"concurrencyPerReplica": 1}) as live:
        live.answer(reply(422))
        for halts in (1, 2):
            for _ in range(21):
                await live.send()
            await live.status(lambda status: "halted" in status["reason"])
            await live.call("PUT", "", json={"spec": {"partitions": 1, "sessions": {"concurrencyPerReplica": 1}}})
            assert 20 * halts == (await live.status(lambda status: True))["dead"]
            await live.call("POST", "resume")
        await live.status(lambda status: status["dead"] == 42)


async def test_pausing_lets_what_runs_end_and_holds_what_waits_until_it_is_resumed() -> None:
    async with living(sessions={"concurrencyPerReplica": 1}) as live:
        live.handler.gate.clear()
        first, second = await live.send(), await live.send()
        await live.called(first)
        paused = await live.call("POST", "pause")
        assert (200, True, True) == (paused.status, paused.json["spec"]["paused"], paused.json["status"]["paused"])
        live.handler.gate.set()
        assert "succeeded" == (await live.ended(first))["state"]
        assert "queued" == (await live.call("GET", f"messages/{second}")).json["state"]
        await live.call("POST", "resume")
        assert "succeeded" == (await live.ended(second))["state"]
