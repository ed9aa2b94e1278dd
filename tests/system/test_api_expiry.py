"""Time to live: past it no attempt starts, the message ends as expired, and whoever waits is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.system.live_scene import Live, living
from tests.system.test_sidecar_handler_scene import reply


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with living() as live:
        yield live


async def _busy(live: Live) -> str:
    """The session ``s`` is held by a call that is open; the message's id."""
    live.handler.gate.clear()
    message_id = await live.send(Kubedaemon_Session="s")
    await live.called(message_id)
    return message_id


async def test_it_expires_without_a_call_and_everybody_is_told(live: Live) -> None:
    first = await _busy(live)
    headers = {"Kubedaemon-Session": "s", "Kubedaemon-Ttl": "50ms", "Prefer": "wait=10"}
    waiting = asyncio.create_task(live.call("POST", "messages", data=b"x", headers=headers))
    await live.session_of("s", lambda found: found["waiting"] == 1)
    await asyncio.sleep(0.06)
    live.handler.gate.set()
    told = await waiting
    assert (504, "message-expired", "expired") == (told.status, told.problem, told.headers["Kubedaemon-Status"])
    shown = (await live.call("GET", f"messages/{told.json['id']}")).json
    assert ("expired", 0, [], "its time to live was over") == tuple(
        shown[name] for name in ("state", "attempt", "attempts", "reason")
    )
    result = await live.call("GET", f"messages/{told.json['id']}/result")
    assert (504, "message-expired") == (result.status, result.problem)
    assert [told.json["id"]] == [i["id"] for i in (await live.call("GET", "messages?state=expired")).json["items"]]
    assert [first] == live.handler.ids
    assert [] == await live.letters(0), "what expired is no dead letter"


async def test_an_attempt_that_started_in_time_goes_on(live: Live) -> None:
    live.handler.gate.clear()
    message_id = await live.send(Kubedaemon_Ttl="100ms")
    await live.called(message_id)
    await asyncio.sleep(0.15)
    live.handler.gate.set()
    assert "succeeded" == (await live.ended(message_id))["state"]


async def test_no_other_attempt_starts_past_it() -> None:
    async with living(delivery={"maxAttempts": 1000}) as live:
        live.answer(reply(500))
        message_id = await live.send(Kubedaemon_Session="s", Kubedaemon_Ttl="100ms")
        shown = await live.ended(message_id)
        assert "expired" == shown["state"]
        assert {"retry"} == {attempt["outcome"] for attempt in shown["attempts"]}


async def test_it_counts_from_the_due_time_of_what_is_scheduled(live: Live) -> None:
    message_id = await live.send(Kubedaemon_Delay="300ms", Kubedaemon_Ttl="200ms")
    assert "succeeded" == (await live.ended(message_id))["state"]


async def test_no_time_at_all_is_over_at_once(live: Live) -> None:
    message_id = await live.send(Kubedaemon_Ttl="0s")
    assert "expired" == (await live.ended(message_id))["state"]
    assert [] == live.handler.calls


async def test_the_session_goes_on_behind_it(live: Live) -> None:
    first = await _busy(live)
    second = await live.send(Kubedaemon_Session="s", Kubedaemon_Ttl="1ms")
    third = await live.send(Kubedaemon_Session="s")
    await asyncio.sleep(0.01)
    live.handler.gate.set()
    assert "expired" == (await live.ended(second))["state"]
    assert "succeeded" == (await live.ended(third))["state"]
    assert [first, third] == live.handler.ids


async def test_a_redrive_does_not_give_it_more_time(live: Live) -> None:
    live.answer(reply(422), reply())
    message_id = await live.send(Kubedaemon_Ttl="1s")
    await live.letters(1)
    expired_at = (await live.broker.browse("default", "orders"))[0].message.expires_at
    await asyncio.sleep(max(0.0, expired_at - time.time()))
    assert {"redriven": 1} == (await live.call("POST", "dead-letters/redrive", json={"all": True})).json
    assert "expired" == (await live.message(message_id, lambda shown: shown["state"] == "expired"))["state"]
