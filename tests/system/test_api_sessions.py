"""Sessions over HTTP: who holds them, since when, and what waits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contracts.records import Report
from contracts.timestamps import format_time
from tests.system.api_scene import Api, Worker, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_who_holds_and_what_waits(api: Api) -> None:
    worker = Worker(api)
    running_id = await api.send(Kubedaemon_Session="busy")
    await worker.start()
    report = Report(ready=True, waiting=[("busy", running_id, 2), ("blocked", "m7", 1), (None, "m8", 0)])
    await worker.report(report)
    items = (await api.call("GET", "sessions")).json["items"]
    assert [
        {"session": "blocked", "replica": None, "message_id": "m7", "since": None, "waiting": 2},
        {
            "session": "busy",
            "replica": "replica-0",
            "message_id": running_id,
            "since": format_time(api.clock),
            "waiting": 2,
        },
    ] == items


async def test_one_session_is_a_list_of_none_or_one(api: Api) -> None:
    worker = Worker(api)
    await api.send(Kubedaemon_Session="Zo%C3%AB")
    await worker.start()
    found = (await api.call("GET", "sessions?session=Zo%C3%AB")).json
    assert (["Zoë"], None) == ([item["session"] for item in found["items"]], found["next"])
    assert {"items": [], "next": None} == (await api.call("GET", "sessions?session=other")).json


async def test_messages_without_a_session_hold_none(api: Api) -> None:
    worker = Worker(api)
    await api.send()
    await worker.start()
    assert [] == (await api.call("GET", "sessions")).json["items"]


async def test_they_come_in_pages(api: Api) -> None:
    worker = Worker(api)
    for name in "cab":
        await api.send(Kubedaemon_Session=name)
        await worker.start()
    first = (await api.call("GET", "sessions?limit=2")).json
    second = (await api.call("GET", f"sessions?limit=2&after={first['next']}")).json
    assert ["a", "b", "c"] == [item["session"] for page in (first, second) for item in page["items"]]
    assert second["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "after=x", "session=", "sesion=a"])
async def test_a_malformed_query_is_refused(api: Api, query: str) -> None:
    reply = await api.call("GET", f"sessions?{query}")
    assert (400, "malformed-request") == (reply.status, reply.problem)
