"""Waiting for the end: with Prefer while sending, and with ?wait afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge

from contracts.records import State
from dispatcher.waiting import Waits
from tests.system.api_scene import Api, Worker, running, until


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_the_sender_gets_the_handlers_answer(api: Api) -> None:
    worker = Worker(api)
    sending = asyncio.create_task(api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=10"}))
    await worker.end(await worker.start(), body=b'{"ok": true}', content_type="application/json")
    reply = await sending
    assert (200, {"ok": True}, "succeeded") == (reply.status, reply.json, reply.headers["Kubedaemon-Status"])
    assert "wait=10" == reply.headers["Preference-Applied"]
    assert "sandbox; default-src 'none'" == reply.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("state", "status"), [(State.DEAD, 502), (State.EXPIRED, 504), (State.CANCELLED, 410)])
async def test_the_sender_learns_of_a_bad_end(api: Api, state: State, status: int) -> None:
    worker = Worker(api)
    sending = asyncio.create_task(api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=10"}))
    await worker.end(await worker.start(), state, status=400, body=b"bad", reason="the handler answered 400")
    reply = await sending
    assert (status, "wait=10") == (reply.status, reply.headers["Preference-Applied"])
    assert f"message-{state.value}" == reply.problem
    assert [400, "bad"] == [reply.json["handler_status"], reply.json["handler_body"]]


async def test_a_wait_beyond_the_most_is_cut_and_says_so(api: Api) -> None:
    worker = Worker(api)
    sending = asyncio.create_task(api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=301"}))
    await worker.end(await worker.start())
    assert "wait=300" == (await sending).headers["Preference-Applied"]


async def test_no_end_in_time_is_202_with_the_state(api: Api) -> None:
    worker = Worker(api)
    sending = asyncio.create_task(api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=1"}))
    await worker.start()
    reply = await sending
    assert (202, "running", "wait=1") == (reply.status, reply.json["state"], reply.headers["Preference-Applied"])
    assert reply.headers["Location"].endswith(reply.json["id"])


async def test_waiting_no_time_is_202_at_once(api: Api) -> None:
    reply = await api.call("POST", "messages", data=b"x", headers={"Prefer": "respond-async, wait=0"})
    assert (202, "wait=0") == (reply.status, reply.headers["Preference-Applied"])


@pytest.mark.parametrize("path", ["", "/result"])
async def test_looking_waits_for_the_end(api: Api, path: str) -> None:
    worker = Worker(api)
    message_id = await api.send()
    looking = asyncio.create_task(api.call("GET", f"messages/{message_id}{path}?wait=10"))
    await asyncio.wait_for(api.store.waiting.wait(), 10)
    assert not looking.done()
    await worker.end(await worker.start(), body=b"done")
    reply = await looking
    assert 200 == reply.status
    assert b"done" == reply.body if path else "succeeded" == reply.json["state"]


@pytest.mark.parametrize("wait", ["-1", "x", "1.5", ""])
async def test_a_malformed_wait_is_named(api: Api, wait: str) -> None:
    message_id = await api.send()
    reply = await api.call("GET", f"messages/{message_id}?wait={wait}")
    assert (400, "malformed-request", "wait") == (reply.status, reply.problem, reply.json["parameter"])


async def test_a_wait_whose_caller_is_gone_ends(api: Api) -> None:
    waits = Waits(api.store, Gauge("open", "open", registry=CollectorRegistry()), look_seconds=0.01)
    with pytest.raises(ConnectionResetError):
        await waits.until_final("default", "orders", "unknown", 60, lambda: True)
    await until(lambda: not api.store._waits)


async def test_a_dropped_connection_frees_its_wait_and_the_server_goes_on(api: Api) -> None:
    api.dispatcher._context.waits._look_seconds = 0.01
    with pytest.raises(asyncio.TimeoutError):
        timeout = aiohttp.ClientTimeout(total=0.2)
        await api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=60"}, timeout=timeout)
    await until(lambda: not api.store._waits)
    assert 1 == len((await api.call("GET", "messages")).json["items"])


async def test_stopping_ends_every_wait_with_an_answer() -> None:
    async with running() as api:
        sending = asyncio.create_task(api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=300"}))
        await asyncio.wait_for(api.store.waiting.wait(), 10)
        began = time.monotonic()
        await api.dispatcher.stop()
        reply = await sending
        assert (202, "queued") == (reply.status, reply.json["state"])
        assert time.monotonic() - began < 5


async def test_waits_are_counted_while_they_are_open(api: Api) -> None:
    worker = Worker(api)
    sending = asyncio.create_task(api.call("POST", "messages", data=b"x", headers={"Prefer": "wait=10"}))
    await asyncio.wait_for(api.store.waiting.wait(), 10)
    assert 1.0 == api.registry.get_sample_value("kubedaemon_dispatcher_open_waits")
    await worker.end(await worker.start())
    await sending
    assert 0.0 == api.registry.get_sample_value("kubedaemon_dispatcher_open_waits")
