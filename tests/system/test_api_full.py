"""A queue with a greatest length: how many it takes, from whom, and what does not count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.system.api_scene import Api, Worker, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running(limits={"maxLength": 5}) as api:
        yield api


async def test_it_takes_exactly_so_many_however_many_send_at_once(api: Api) -> None:
    replies = await asyncio.gather(*(api.call("POST", "messages", data=b"x") for _ in range(40)))
    assert {202: 5, 429: 35} == Counter(reply.status for reply in replies)
    refused = next(reply for reply in replies if reply.status == 429)
    assert ("queue-full", "1", 5) == (refused.problem, refused.headers["Retry-After"], refused.json["limit"])
    assert 5 == len(api.broker.published)


async def test_keys_are_no_way_round_it(api: Api) -> None:
    calls = (api.call("POST", "messages", data=b"x", headers={"Idempotency-Key": f"k{n}"}) for n in range(20))
    assert {202: 5, 429: 15} == Counter(reply.status for reply in await asyncio.gather(*calls))


async def test_what_a_replica_holds_counts_until_it_is_settled(api: Api) -> None:
    worker = Worker(api)
    for _ in range(5):
        await api.send()
    delivered = await worker.start()
    assert 429 == (await api.call("POST", "messages", data=b"x")).status
    await worker.end(delivered)
    assert 202 == (await api.call("POST", "messages", data=b"x")).status


async def test_what_is_scheduled_counts_once_it_is_due(api: Api) -> None:
    for _ in range(10):
        await api.send(Kubedaemon_Delay="1h")
    for _ in range(5):
        await api.send()
    later = await api.call("POST", "messages", data=b"x", headers={"Kubedaemon-Delay": "1h"})
    assert (429, "queue-full") == (later.status, later.problem), "nothing at all is taken while it is full"


async def test_dead_letters_do_not_count(api: Api) -> None:
    worker = Worker(api)
    for _ in range(5):
        await api.send()
    await worker.kill(5)
    await api.send()


async def test_a_limit_that_is_raised_holds_at_once(api: Api) -> None:
    for _ in range(5):
        await api.send()
    assert 429 == (await api.call("POST", "messages", data=b"x")).status
    await api.call("PATCH", "", json={"spec": {"limits": {"maxLength": 6}}})
    await api.send()
    assert 429 == (await api.call("POST", "messages", data=b"x")).status
    await api.call("PATCH", "", json={"spec": {"limits": {"maxLength": 0}}})
    await api.send()
