"""/healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.system.api_scene import QUEUE, Api, running

ROUTE = "/v1/namespaces/{namespace}/queues/{queue}/messages"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_it_is_alive_whatever_happens(api: Api) -> None:
    api.broker.away = api.store.away = True
    reply = await api.call("GET", "/healthz")
    assert (200, {"status": "ok"}) == (reply.status, reply.json)


async def test_it_is_ready_while_the_broker_answers(api: Api) -> None:
    assert (200, {"status": "ready"}) == ((reply := await api.call("GET", "/readyz")).status, reply.json)
    api.broker.away = True
    reply = await api.call("GET", "/readyz")
    assert (503, "unavailable") == (reply.status, reply.problem)


async def test_it_is_ready_without_any_queue(api: Api) -> None:
    await api.call("DELETE", "")
    assert 200 == (await api.call("GET", "/readyz")).status


async def test_metrics_count_by_template_and_class(api: Api) -> None:
    await api.send()
    await api.send()
    await api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=x"})
    await api.call("GET", "/nope/at/all")
    await api.call("BREW", "/healthz")
    reply = await api.call("GET", "/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain")
    value = api.registry.get_sample_value
    requests = "kubedaemon_dispatcher_requests_total"
    assert 2.0 == value(requests, {"route": ROUTE, "method": "POST", "status": "2xx"})
    assert 1.0 == value(requests, {"route": ROUTE, "method": "POST", "status": "4xx"})
    assert 1.0 == value(requests, {"route": "none", "method": "none", "status": "4xx"})
    where = {"namespace": "default", "queue": "orders"}
    assert 2.0 == value("kubedaemon_dispatcher_messages_accepted_total", where)
    assert "/nope" not in reply.body.decode()
    assert "BREW" not in reply.body.decode()


async def test_refusals_are_counted_by_problem(api: Api) -> None:
    await api.make(limits={"maxLength": 1, "maxMessageBytes": 5})
    await api.send()
    await api.call("POST", f"{QUEUE}/messages", data=b"x")
    await api.call("POST", f"{QUEUE}/messages", data=b"x" * 6)
    for problem in ("queue-full", "payload-too-large"):
        labels = {"namespace": "default", "queue": "orders", "problem": problem}
        assert 1.0 == api.registry.get_sample_value("kubedaemon_dispatcher_messages_refused_total", labels)
