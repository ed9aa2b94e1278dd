"""Scheduled messages to their end: handled when they are due, in the order in which they come due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from contracts.timestamps import format_time
from tests.system.live_scene import Live, living


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with living() as live:
        yield live


@pytest.mark.parametrize("seconds", [0.001, 0.05, 1.2])
async def test_it_is_handled_when_it_is_due_and_at_most_a_second_later(live: Live, seconds: float) -> None:
    before = time.time()
    message_id = await live.send(Kubedaemon_Delay=f"{seconds * 1000:g}ms")
    after = time.time()
    shown = await live.ended(message_id)
    due, started = (
        datetime.fromisoformat(text).timestamp() for text in (shown["deliver_at"], shown["attempts"][0]["started_at"])
    )
    assert "succeeded" == shown["state"]
    assert before + seconds - 0.001 <= due <= after + seconds + 0.001
    assert due - 0.001 <= started < due + 1


async def test_its_state_changes_when_it_is_due_and_nothing_can_start_it(live: Live) -> None:
    await live.call("POST", "pause")
    message_id = await live.send(Kubedaemon_Delay="300ms")
    assert [message_id] == [item["id"] for item in (await live.call("GET", "messages?state=scheduled")).json["items"]]
    shown = await live.message(message_id, lambda shown: shown["state"] != "scheduled")
    assert ("queued", True) == (shown["state"], shown["deliver_at"] is not None)
    assert [message_id] == [item["id"] for item in (await live.call("GET", "messages?state=queued")).json["items"]]
    await live.status(lambda status: (status["scheduled"], status["ready"] + status["unacked"]) == (0, 1))


async def test_a_session_takes_it_in_when_it_is_due_and_not_before(live: Live) -> None:
    due = time.time() + 0.4
    last = await live.send(b"3", Kubedaemon_Session="s", Kubedaemon_Deliver_At=format_time(due + 0.2))
    later = await live.send(b"2", Kubedaemon_Session="s", Kubedaemon_Deliver_At=format_time(due))
    at_once = await live.send(b"1", Kubedaemon_Session="s")
    for message_id in (at_once, later, last):
        await live.ended(message_id)
    assert [at_once, later, last] == live.handler.ids


async def test_the_sender_can_wait_for_it(live: Live) -> None:
    headers = {"Kubedaemon-Delay": "200ms", "Prefer": "wait=10"}
    began = time.time()
    reply = await live.call("POST", "messages", data=b"x", headers=headers)
    assert (200, b"done") == (reply.status, reply.body)
    assert time.time() - began >= 0.2


async def test_no_wait_is_long_enough_for_what_is_due_tomorrow(live: Live) -> None:
    headers = {"Kubedaemon-Delay": "1d", "Prefer": "wait=1"}
    reply = await live.call("POST", "messages", data=b"x", headers=headers)
    assert (202, "scheduled", "wait=1") == (reply.status, reply.json["state"], reply.headers["Preference-Applied"])
    result = await live.call("GET", f"messages/{reply.json['id']}/result")
    assert (202, "not-ended", "scheduled") == (result.status, result.problem, result.json["state"])


async def test_a_repeat_is_the_message_as_it_was_scheduled_first(live: Live) -> None:
    headers = {"Idempotency-Key": "k", "Kubedaemon-Delay": "1h"}
    first = await live.call("POST", "messages", data=b"x", headers=headers)
    shown = (await live.call("GET", f"messages/{first.json['id']}")).json
    for other in ({}, {"Kubedaemon-Delay": "2h"}, {"Kubedaemon-Ttl": "1s"}, {"Kubedaemon-Meta-A": "1"}):
        again = await live.call("POST", "messages", data=b"x", headers={"Idempotency-Key": "k", **other})
        assert (202, first.json) == (again.status, again.json)
    assert shown == (await live.call("GET", f"messages/{first.json['id']}")).json
    assert 1 == (await live.status(lambda status: True))["scheduled"]


async def test_many_come_due_at_once(live: Live) -> None:
    due = format_time(time.time() + 0.5)
    sent = await asyncio.gather(*(live.send(b"x", Kubedaemon_Deliver_At=due) for _ in range(100)))
    for message_id in sent:
        assert "succeeded" == (await live.ended(message_id))["state"]
    assert sorted(sent) == sorted(live.handler.ids)


async def test_a_queue_that_is_deleted_takes_what_is_scheduled_with_it(live: Live) -> None:
    await live.send(Kubedaemon_Delay="200ms")
    await live.call("DELETE", "?force=true")
    await live.make()
    await asyncio.sleep(0.4)  # past its time, there is no other sign that nothing comes
    assert (0, 0) == (
        (await live.status(lambda status: True))["ready"],
        len((await live.call("GET", "messages")).json["items"]),
    )
