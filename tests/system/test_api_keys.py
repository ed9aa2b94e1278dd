"""Idempotency-Key: the same id and one message for every repeat, and never another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from contracts.records import State
from tests.system.api_scene import Api, Worker, running

KEY = {"Idempotency-Key": "order-17"}


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_a_repeat_is_the_same_message_published_once(api: Api) -> None:
    first = await api.call("POST", "messages", data=b"x", headers=KEY)
    second = await api.call("POST", "messages", data=b"x", headers=KEY)
    assert (202, 202) == (first.status, second.status)
    assert first.json == second.json
    assert first.headers["Location"] == second.headers["Location"]
    assert 1 == len(api.broker.published)


@pytest.mark.parametrize(
    "other",
    [
        {"data": b"y", "headers": KEY},
        {"data": b"x", "headers": KEY | {"Content-Type": "text/plain"}},
        {"data": b"x", "headers": KEY | {"Kubedaemon-Session": "s"}},
    ],
)
async def test_another_message_under_the_same_key_is_422(api: Api, other: dict[str, object]) -> None:
    first = await api.call("POST", "messages", data=b"x", headers=KEY)
    reply = await api.call("POST", "messages", **other)
    assert (422, "idempotency-conflict", first.json["id"]) == (reply.status, reply.problem, reply.json["id"])
    assert 1 == len(api.broker.published)


async def test_keys_are_of_one_queue(api: Api) -> None:
    await api.make("other")
    first = await api.send(Idempotency_Key="k")
    second = await api.call("POST", "/v1/namespaces/default/queues/other/messages", data=b"y", headers=KEY)
    assert first != second.json["id"]


async def test_a_try_that_the_broker_never_confirmed_is_published_again(api: Api) -> None:
    api.broker.away = True
    assert 503 == (await api.call("POST", "messages", data=b"x", headers=KEY)).status
    api.broker.away = False
    accepted = await api.call("POST", "messages", data=b"x", headers=KEY)
    again = await api.call("POST", "messages", data=b"x", headers=KEY)
    assert accepted.json["id"] == again.json["id"]
    assert [accepted.json["id"]] == [message.id for message in api.broker.published]


async def test_a_key_needs_the_store(api: Api) -> None:
    api.store.away = True
    reply = await api.call("POST", "messages", data=b"x", headers=KEY)
    assert (503, "unavailable") == (reply.status, reply.problem)
    assert "Idempotency-Key" in reply.json["detail"]
    assert [] == api.broker.published


async def test_a_repeat_tells_how_far_the_message_is(api: Api) -> None:
    worker = Worker(api)
    await api.send(Idempotency_Key="order-17")
    await worker.end(await worker.start(), State.DEAD, status=422, reason="no")
    reply = await api.call("POST", "messages", data=b"hello", headers=KEY)
    assert (202, "dead") == (reply.status, reply.json["state"])


async def test_a_repeat_that_waits_gets_the_kept_result(api: Api) -> None:
    worker = Worker(api)
    await api.send(Idempotency_Key="order-17")
    await worker.end(await worker.start(), body=b"42")
    reply = await api.call("POST", "messages", data=b"hello", headers=KEY | {"Prefer": "wait=5"})
    assert (200, b"42", "wait=5") == (reply.status, reply.body, reply.headers["Preference-Applied"])
    assert 1 == len(api.broker.published)


async def test_a_repeat_is_not_refused_by_a_queue_that_its_first_try_filled(api: Api) -> None:
    await api.make(limits={"maxLength": 1})
    await api.send(Idempotency_Key="order-17")
    assert 202 == (await api.call("POST", "messages", data=b"hello", headers=KEY)).status
    assert 429 == (await api.call("POST", "messages", data=b"hello", headers={"Idempotency-Key": "new"})).status


async def test_a_key_that_was_refused_for_a_full_queue_is_free_for_another_body(api: Api) -> None:
    await api.make(limits={"maxLength": 1})
    worker = Worker(api)
    await api.send()
    assert 429 == (await api.call("POST", "messages", data=b"x", headers=KEY)).status
    await worker.end(await worker.start())
    assert 202 == (await api.call("POST", "messages", data=b"y", headers=KEY)).status


async def test_many_at_once_are_one_id_and_at_most_twins(api: Api) -> None:
    replies = await asyncio.gather(*(api.call("POST", "messages", data=b"x", headers=KEY) for _ in range(20)))
    assert {202} == {reply.status for reply in replies}
    assert 1 == len({reply.json["id"] for reply in replies})
    assert 1 == len({(message.id, message.generation) for message in api.broker.published})
