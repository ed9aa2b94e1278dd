"""Cancel, release and skip over HTTP, on messages that a worker holds, retries or has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contracts.fence import Commit
from contracts.records import Attempt, Ending, Report, State
from contracts.replies import Fenced
from tests.system.api_scene import REPLICA, Api, Worker, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_what_has_not_started_is_cancelled_once_and_for_all(api: Api) -> None:
    message_id = await api.send()
    for _ in range(2):
        reply = await api.call("DELETE", f"messages/{message_id}")
        assert (200, message_id, "cancelled") == (reply.status, reply.json["id"], reply.json["state"])
    result = await api.call("GET", f"messages/{message_id}/result")
    assert (410, "message-cancelled", "cancelled") == (
        result.status,
        result.problem,
        result.headers["Kubedaemon-Status"],
    )


async def test_a_wait_ends_when_the_message_is_cancelled(api: Api) -> None:
    headers = {"Prefer": "wait=30", "Idempotency-Key": "k"}
    first = await api.call("POST", "messages", headers={"Idempotency-Key": "k"})
    await api.call("DELETE", f"messages/{first.json['id']}")
    reply = await api.call("POST", "messages", headers=headers)
    assert (410, "message-cancelled") == (reply.status, reply.problem)


async def test_between_attempts_it_can_be_cancelled(api: Api) -> None:
    worker = Worker(api)
    message_id = await api.send()
    await worker.retry(await worker.start())
    reply = await api.call("DELETE", f"messages/{message_id}")
    assert (200, "cancelled", 1) == (reply.status, reply.json["state"], reply.json["attempt"])


async def test_what_runs_or_has_ended_is_not_cancelled(api: Api) -> None:
    worker = Worker(api)
    message_id = await api.send()
    delivered = await worker.start()
    runs = await api.call("DELETE", f"messages/{message_id}")
    assert (409, "conflict", "running") == (runs.status, runs.problem, runs.json["state"])
    await worker.end(delivered)
    ended = await api.call("DELETE", f"messages/{message_id}")
    assert (409, "conflict", "succeeded") == (ended.status, ended.problem, ended.json["state"])


async def test_only_what_is_known_can_be_cancelled(api: Api) -> None:
    reply = await api.call("DELETE", f"messages/{'0' * 32}")
    assert (404, "unknown-message") == (reply.status, reply.problem)


async def test_a_released_session_goes_on_with_the_same_message(api: Api) -> None:
    worker = Worker(api)
    message_id = await api.send(Kubedaemon_Session="s")
    delivered = await worker.start()
    claimed = worker._epochs[message_id]
    reply = await api.call("POST", "sessions/release", json={"session": "s"})
    assert (200, "s", None) == (reply.status, reply.json["session"], reply.json["replica"])
    late = Attempt(attempt=1, replica="replica-0", started_at=api.clock, outcome="ack")
    commit = Commit(delivered.message, claimed.epoch, late, Ending(state=State.SUCCEEDED, ended_at=api.clock))
    assert [Fenced()] == await api.store.turn("default", "orders", REPLICA, [commit])
    shown = await api.call("GET", f"messages/{message_id}")
    assert ("retrying", ["interrupted"]) == (shown.json["state"], [a["outcome"] for a in shown.json["attempts"]])


async def test_a_skipped_head_is_dead_and_says_who_did_it(api: Api) -> None:
    worker = Worker(api)
    running_id = await api.send(Kubedaemon_Session="runs")
    await worker.start()
    retrying_id = await api.send(Kubedaemon_Session="retries")
    await worker.retry(await worker.start())
    for session, message_id in (("runs", running_id), ("retries", retrying_id)):
        reply = await api.call("POST", "sessions/skip", json={"session": session})
        assert (200, session) == (reply.status, reply.json["session"])
        shown = await api.call("GET", f"messages/{message_id}")
        assert ("dead", "skipped by an operator") == (shown.json["state"], shown.json["reason"])


@pytest.mark.parametrize("order", ["release", "skip"])
async def test_a_session_that_nothing_holds(api: Api, order: str) -> None:
    unknown = await api.call("POST", f"sessions/{order}", json={"session": "nobody"})
    assert (404, "unknown-session") == (unknown.status, unknown.problem)
    worker = Worker(api)
    message_id = await api.send(Kubedaemon_Session="s")
    await worker.report(Report(ready=True, waiting=[("s", message_id, 0)]))
    waits = await api.call("POST", f"sessions/{order}", json={"session": "s"})
    assert (409, "conflict", 1) == (waits.status, waits.problem, waits.json["waiting"])


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"session": 7}', b'{"session": "s", "force": true}', b'{"session": ""}']
)
async def test_an_order_names_one_session(api: Api, body: bytes) -> None:
    reply = await api.call("POST", "sessions/release", data=body)
    assert (400, "malformed-request") == (reply.status, reply.problem)
