"""Partitions doubled while messages come: real sidecars and a handler, over HTTP."""

from __future__ import annotations

import asyncio

from tests.system.live_scene import Live, living

SESSIONS = [f"s{number}" for number in range(10)]


async def send_to_all(live: Live, numbers: range) -> list[str]:
    return [
        await live.send(Kubedaemon_Session=session, body=f"{session}-{number}".encode())
        for number in numbers
        for session in SESSIONS
    ]


async def double(live: Live, partitions: int) -> None:
    reply = await live.call("PATCH", "", json={"spec": {"partitions": partitions}})
    assert (200, partitions) == (reply.status, reply.json["spec"]["partitions"])


async def test_every_session_keeps_its_order_and_every_message_is_handled_once() -> None:
    async with living(replicas=2, partitions=2) as live:
        sent = []
        sending = asyncio.create_task(send_to_all(live, range(20)))
        await asyncio.sleep(0)
        for partitions in (4, 16):
            await double(live, partitions)
            sent += await send_to_all(live, range(100 * partitions, 100 * partitions + 5))
        sent += await sending
        for message_id in sent:
            assert "succeeded" == (await live.ended(message_id))["state"]
        assert sorted(sent) == sorted(live.handler.ids)
        handled = [call.body.decode().split("-") for call in live.handler.calls]
        for session in SESSIONS:
            first = [int(number) for name, number in handled if name == session and int(number) < 100]
            later = [int(number) for name, number in handled if name == session and int(number) >= 100]
            assert (sorted(first), sorted(later)) == (first, later), "as each sender sent them"


async def test_a_long_call_holds_up_its_own_session_only() -> None:
    async with living(partitions=1) as live:
        live.handler.gate.clear()
        long = await live.send(Kubedaemon_Session="long")
        await live.called(long)
        await double(live, 2)
        behind = await live.send(Kubedaemon_Session="long")
        others = [await live.send(Kubedaemon_Session=session) for session in SESSIONS[:5]]
        for message_id in others:
            await live.called(message_id)
        assert "queued" == (await live.call("GET", f"messages/{behind}")).json["state"]
        live.handler.gate.set()
        for message_id in (long, behind, *others):
            assert "succeeded" == (await live.ended(message_id))["state"]
        assert [long, behind] == [call.id for call in live.handler.calls if call.session == "long"]
