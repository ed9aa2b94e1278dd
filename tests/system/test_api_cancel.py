"""Cancelling with a replica at work: what no attempt has taken up never reaches the handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.records import State
from tests.system.api_scene import Worker, running
from tests.system.live_scene import Live, living
from tests.system.test_sidecar_handler_scene import reply


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with living() as live:
        yield live


async def _cancel(live: Live, message_id: str) -> None:
    answer = await live.call("DELETE", f"messages/{message_id}")
    assert (200, message_id, "cancelled") == (answer.status, answer.json["id"], answer.json["state"])


async def test_what_waits_in_its_session_is_passed_over(live: Live) -> None:
    live.handler.gate.clear()
    first, second, third = [await live.send(Kubedaemon_Session="s") for _ in range(3)]
    await live.called(first)
    await _cancel(live, second)
    live.handler.gate.set()
    assert "succeeded" == (await live.ended(third))["state"]
    assert [first, third] == live.handler.ids
    await live.status(lambda status: status["unacked"] == 0)
    assert "cancelled" == (await live.ended(second))["state"]


async def test_what_is_scheduled_never_comes(live: Live) -> None:
    message_id = await live.send(Kubedaemon_Delay="300ms")
    await _cancel(live, message_id)
    await live.status(lambda status: (status["scheduled"], status["ready"], status["unacked"]) == (0, 0, 0))
    assert [] == live.handler.calls
    await _cancel(live, message_id)


@pytest.mark.parametrize("session", ["", "s"])
async def test_between_two_attempts_it_ends_at_once(session: str) -> None:
    async with living(delivery={"backoff": {"initialSeconds": 300}}) as live:
        live.answer(reply(500), reply())
        named = {"Kubedaemon_Session": session} if session else {}
        message_id = await live.send(b"x", **named)
        await live.message(message_id, lambda shown: shown["state"] == "retrying")
        await _cancel(live, message_id)
        if session:
            behind = await live.send(b"x", **named)
            assert "succeeded" == (await live.ended(behind))["state"]
        assert 1 == live.handler.ids.count(message_id)


async def test_who_waits_for_it_is_told(live: Live) -> None:
    headers = {"Kubedaemon-Delay": "1h", "Idempotency-Key": "k", "Prefer": "wait=20"}
    waiting = asyncio.create_task(live.call("POST", "messages", data=b"x", headers=headers))
    await asyncio.wait_for(live.store.waiting.wait(), 10)
    (item,) = (await live.call("GET", "messages")).json["items"]
    await _cancel(live, item["id"])
    told = await waiting
    assert (410, "message-cancelled", "cancelled") == (told.status, told.problem, told.headers["Kubedaemon-Status"])
    again = await live.call("POST", "messages", data=b"x", headers=headers)
    assert (410, item["id"]) == (again.status, again.json["id"])


async def test_a_call_that_is_open_is_not_cancelled_and_ends_as_it_would(live: Live) -> None:
    live.handler.gate.clear()
    message_id = await live.send()
    await live.called(message_id)
    refused = await live.call("DELETE", f"messages/{message_id}")
    assert (409, "conflict", "running") == (refused.status, refused.problem, refused.json["state"])
    live.handler.gate.set()
    assert "succeeded" == (await live.ended(message_id))["state"]


@pytest.mark.parametrize(
    ("state", "session", "advice"),
    [
        (None, "", "wait for this one to end"),
        (None, "s", "skip the message in its session"),
        (State.SUCCEEDED, "s", "nothing left to cancel"),
        (State.EXPIRED, "s", "nothing left to cancel"),
        (State.DEAD, "s", "unless it is redriven"),
    ],
)
async def test_a_refusal_says_what_to_do_instead(state: State | None, session: str, advice: str) -> None:
    async with running() as api:
        worker = Worker(api)
        message_id = await api.send(b"x", **({"Kubedaemon_Session": session} if session else {}))
        delivered = await worker.start()
        if state is not None:
            await worker.end(delivered, state)
        refused = await api.call("DELETE", f"messages/{message_id}")
        assert (409, "conflict", message_id) == (refused.status, refused.problem, refused.json["id"])
        assert (state or State.RUNNING).value == refused.json["state"]
        assert advice in refused.json["detail"]
