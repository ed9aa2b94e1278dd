"""Scheduled messages and time to live over HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from contracts.records import State
from contracts.timestamps import format_time, parse_time
from tests.system.api_scene import Api, Worker, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


@pytest.mark.parametrize(
    ("name", "value", "ahead"),
    [
        ("Kubedaemon-Delay", "1.5h", 5400.0),
        ("Kubedaemon-Delay", "90s", 90.0),
        ("Kubedaemon-Delay", "3650d", 315360000.0),
    ],
)
async def test_a_delayed_message_is_scheduled(api: Api, name: str, value: str, ahead: float) -> None:
    reply = await api.call("POST", "messages", headers={name: value})
    assert (202, "scheduled") == (reply.status, reply.json["state"])
    shown = (await api.call("GET", f"messages/{reply.json['id']}")).json
    assert "scheduled" == shown["state"]
    assert api.clock + ahead == pytest.approx(parse_time(shown["deliver_at"]), abs=0.01)
    status = (await api.call("GET", "")).json["status"]
    assert (0, 1) == (status["ready"], status["scheduled"])
    listed = (await api.call("GET", "messages?state=scheduled")).json["items"]
    assert [shown["id"]] == [item["id"] for item in listed]
    assert [] == (await api.call("GET", "messages?state=queued")).json["items"]


async def test_it_comes_when_it_is_due_and_not_before(api: Api) -> None:
    worker = Worker(api)
    due = time.time() + 0.3
    await api.call("POST", "messages", data=b"later", headers={"Kubedaemon-Deliver-At": format_time(due)})
    await api.call("POST", "messages", data=b"now")
    first = await worker.start()
    second = await worker.start()
    assert (b"now", b"later") == (first.message.body, second.message.body)
    assert time.time() >= due - 0.001
    assert 0 == (await api.call("GET", "")).json["status"]["scheduled"]


async def test_a_time_that_has_passed_means_now(api: Api) -> None:
    for headers in ({"Kubedaemon-Deliver-At": "2001-02-03T04:05:06Z"}, {"Kubedaemon-Delay": "0s"}):
        reply = await api.call("POST", "messages", headers=headers)
        assert (202, "queued") == (reply.status, reply.json["state"])
    assert 2 == (await api.call("GET", "")).json["status"]["ready"]


@pytest.mark.parametrize(
    ("headers", "status", "problem"),
    [
        ({"Kubedaemon-Delay": "soon"}, 400, "malformed-request"),
        ({"Kubedaemon-Delay": "-1s"}, 400, "malformed-request"),
        ({"Kubedaemon-Delay": "90"}, 400, "malformed-request"),
        ({"Kubedaemon-Ttl": ""}, 400, "malformed-request"),
        ({"Kubedaemon-Deliver-At": "tomorrow"}, 400, "malformed-request"),
        ({"Kubedaemon-Deliver-At": "2030-01-01T00:00:00"}, 400, "malformed-request"),
        ({"Kubedaemon-Delay": "1s", "Kubedaemon-Deliver-At": "2030-01-01T00:00:00Z"}, 400, "malformed-request"),
        ({"Kubedaemon-Delay": "999999d"}, 422, "not-allowed"),
        ({"Kubedaemon-Ttl": "999999999999999d"}, 422, "not-allowed"),
    ],
)
async def test_a_time_that_cannot_be_read(api: Api, headers: dict[str, str], status: int, problem: str) -> None:
    reply = await api.call("POST", "messages", headers=headers)
    assert (status, problem) == (reply.status, reply.problem)
    assert next(iter(headers)) in reply.json["detail"]
    assert [] == (await api.call("GET", "messages")).json["items"], "nothing was accepted"


async def test_the_time_to_live_counts_from_the_due_time(api: Api) -> None:
    worker = Worker(api)
    await api.call("POST", "messages", headers={"Kubedaemon-Ttl": "10s"})
    prompt = (await worker.start()).message
    assert api.clock + 10 == pytest.approx(prompt.expires_at)
    await api.call("POST", "messages", headers={"Kubedaemon-Ttl": "10s", "Kubedaemon-Delay": "50ms"})
    scheduled = (await worker.start()).message
    assert scheduled.deliver_at + 10 == pytest.approx(scheduled.expires_at)


async def test_an_expired_message_says_so_to_who_waits(api: Api) -> None:
    worker = Worker(api)
    message_id = await api.send(Kubedaemon_Ttl="1ms")
    await worker.end(await worker.start(), State.EXPIRED, reason="its time to live was over")
    reply = await api.call("GET", f"messages/{message_id}/result")
    assert (504, "message-expired", "expired") == (reply.status, reply.problem, reply.headers["Kubedaemon-Status"])


async def test_a_scheduled_message_can_be_cancelled(api: Api) -> None:
    message_id = await api.send(Kubedaemon_Delay="1h")
    reply = await api.call("DELETE", f"messages/{message_id}")
    assert (200, "cancelled") == (reply.status, reply.json["state"])


async def test_a_queue_with_scheduled_messages_is_not_deleted_by_accident(api: Api) -> None:
    await api.send(Kubedaemon_Delay="1h")
    refused = await api.call("DELETE", "")
    assert (409, "conflict", 1) == (refused.status, refused.problem, refused.json["waiting"])
    assert 204 == (await api.call("DELETE", "?force=true")).status
