"""Results over HTTP: the handler's own answer, or what became of the message instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contracts.records import State
from tests.system.api_scene import Api, Worker, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_the_result_is_the_handlers_own_and_sandboxed(api: Api) -> None:
    worker = Worker(api)
    message_id = await api.send()
    await worker.end(await worker.start(), body=b"<script>", content_type="text/html")
    reply = await api.call("GET", f"messages/{message_id}/result")
    assert (200, b"<script>", "text/html") == (reply.status, reply.body, reply.headers["Content-Type"])
    assert "succeeded" == reply.headers["Kubedaemon-Status"]
    assert "nosniff" == reply.headers["X-Content-Type-Options"]
    assert "sandbox; default-src 'none'" == reply.headers["Content-Security-Policy"]


async def test_a_result_without_a_type_is_bytes(api: Api) -> None:
    worker = Worker(api)
    message_id = await api.send()
    await worker.end(await worker.start(), body=b"", content_type="text/\r\nX: y")
    reply = await api.call("GET", f"messages/{message_id}/result")
    assert (200, b"", "application/octet-stream") == (reply.status, reply.body, reply.headers["Content-Type"])


async def test_a_result_before_the_end_is_202(api: Api) -> None:
    message_id = await api.send()
    reply = await api.call("GET", f"messages/{message_id}/result")
    assert (202, "not-ended", "queued", message_id) == (
        reply.status,
        reply.problem,
        reply.json["state"],
        reply.json["id"],
    )


async def test_a_result_is_gone_after_its_retention(api: Api) -> None:
    await api.make(results={"retentionSeconds": 10})
    worker = Worker(api)
    message_id = await api.send()
    await worker.end(await worker.start())
    api.clock += 9
    assert 200 == (await api.call("GET", f"messages/{message_id}/result")).status
    api.clock += 1
    reply = await api.call("GET", f"messages/{message_id}/result")
    assert (410, "result-gone") == (reply.status, reply.problem)


@pytest.mark.parametrize(
    ("state", "status", "problem"),
    [
        (State.DEAD, 502, "message-dead"),
        (State.EXPIRED, 504, "message-expired"),
        (State.CANCELLED, 410, "message-cancelled"),
    ],
)
async def test_what_ended_badly_says_why(api: Api, state: State, status: int, problem: str) -> None:
    worker = Worker(api)
    message_id = await api.send()
    await worker.end(await worker.start(), state, status=422, body=b"no" * 1000, reason="the handler answered 422")
    reply = await api.call("GET", f"messages/{message_id}/result")
    assert (status, problem, state.value) == (reply.status, reply.problem, reply.headers["Kubedaemon-Status"])
    said = [reply.json[name] for name in ("id", "reason", "handler_status", "handler_body")]
    assert [message_id, "the handler answered 422", 422, "no" * 256] == said
