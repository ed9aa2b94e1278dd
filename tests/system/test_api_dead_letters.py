"""Dead letters over HTTP: looked at, sent back as a new generation, purged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.errors import KubedaemonError, TransientError
from contracts.message import DeadLetter, Message
from contracts.problems import BASE
from tests.system.api_scene import Api, Worker, running

REDRIVE = "dead-letters/redrive"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_a_dead_letter_is_the_message_and_why_it_died(api: Api) -> None:
    died = api.clock
    message_id = await api.send(Kubedaemon_Session="s", Kubedaemon_Meta_A="1")
    await Worker(api).kill(1)
    (item,) = (await api.call("GET", "dead-letters")).json["items"]
    assert (message_id, "s", "dead", 1, {"a": "1"}, 1, "the handler answered 422") == tuple(
        item[name] for name in ("id", "session", "state", "attempt", "meta", "generation", "reason")
    )
    assert round(died, 3) == datetime.fromisoformat(item["dead_at"]).timestamp()
    assert [(422, "no such account")] == [(one["status"], one["body"]) for one in item["attempts"]]
    assert 1 == (await api.call("GET", "")).json["status"]["dead"]


async def test_they_are_listed_newest_first_in_pages(api: Api) -> None:
    sent = [await api.send(Kubedaemon_Session=f"s{n % 2}") for n in range(5)]
    await Worker(api).kill(5)
    first = (await api.call("GET", "dead-letters?limit=3")).json
    await api.call("POST", REDRIVE, json={"filter": {"ids": [first["items"][-1]["id"]]}})
    second = (await api.call("GET", f"dead-letters?limit=3&after={first['next']}")).json
    assert [sent[:1:-1], sent[1::-1]] == [[item["id"] for item in page["items"]] for page in (first, second)]
    assert second["next"] is None
    assert [sent[3], sent[1]] == [i["id"] for i in (await api.call("GET", "dead-letters?session=s1")).json["items"]]


async def test_redriven_messages_come_again_in_order_with_their_counters_at_the_start(api: Api) -> None:
    sent = [await api.send(Kubedaemon_Session="s") for _ in range(3)]
    worker = Worker(api)
    await worker.kill(3)
    reply = await api.call("POST", REDRIVE, json={"all": True})
    assert (200, {"redriven": 3}) == (reply.status, reply.json)
    assert [] == (await api.call("GET", "dead-letters")).json["items"]
    shown = (await api.call("GET", f"messages/{sent[0]}")).json
    assert ("queued", 0, [], None) == (shown["state"], shown["attempt"], shown["attempts"], shown["ended_at"])
    for message_id in sent:
        delivered = await worker.start()
        assert (message_id, 2) == (delivered.message.id, delivered.message.generation)
        await worker.end(delivered, body=b"at last")
    assert b"at last" == (await api.call("GET", f"messages/{sent[0]}/result")).body


async def test_what_dies_again_is_one_dead_letter_of_the_next_generation(api: Api) -> None:
    await api.send()
    worker = Worker(api)
    await worker.kill(1)
    await api.call("POST", REDRIVE, json={"all": True})
    await worker.kill(1)
    (item,) = (await api.call("GET", "dead-letters")).json["items"]
    assert (2, 1) == (item["generation"], item["attempt"])


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"ids": [1, 3]}, [1, 3]),
        ({"ids": []}, []),
        ({"session": "s1"}, [1, 3]),
        ({"reason": "gone"}, [2, 3]),
        ({"before": 2}, [0, 1]),
        ({"after": 1}, [2, 3]),
        ({"session": "s1", "reason": "gone"}, [3]),
        ({"after": 0, "before": 2}, [1]),
    ],
)
async def test_a_filter_chooses(api: Api, chosen: dict[str, Any], expected: list[int]) -> None:
    api.clock = began = 1_900_000_000.0
    sent = [await api.send(Kubedaemon_Session=f"s{n % 2}") for n in range(4)]
    worker = Worker(api)
    await worker.kill(2)
    await worker.kill(2, "the account is gone")
    if "ids" in chosen:
        chosen = {"ids": [sent[n] for n in chosen["ids"]]}
    times = {
        name: datetime.fromtimestamp(began + chosen[name], UTC).isoformat()
        for name in ("before", "after")
        if name in chosen
    }
    reply = await api.call("POST", REDRIVE, json={"filter": chosen | times})
    assert (200, {"redriven": len(expected)}) == (reply.status, reply.json)
    assert [sent[n] for n in expected] == [m.id for m in api.broker.published if m.generation == 2]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "the body"),
        ([], "the body"),
        ({"all": True, "filter": {"session": "s"}}, "the body"),
        ({"all": False}, "all"),
        ({"filter": {}}, "filter"),
        ({"filter": {"sesion": "s"}}, "filter.sesion"),
        ({"filter": {"ids": "abc"}}, "filter.ids"),
        ({"filter": {"ids": [1]}}, "filter.ids"),
        ({"filter": {"session": 1}}, "filter.session"),
        ({"filter": {"reason": ""}}, "filter.reason"),
        ({"filter": {"before": "yesterday"}}, "filter.before"),
        ({"filter": {"after": 5}}, "filter.after"),
    ],
)
async def test_a_malformed_redrive_names_the_field_and_does_nothing(api: Api, body: Any, field: str) -> None:
    await api.send()
    await Worker(api).kill(1)
    reply = await api.call("POST", REDRIVE, json=body)
    assert (400, "malformed-request", field) == (reply.status, reply.problem, reply.json["field"])
    assert 1 == len((await api.call("GET", "dead-letters")).json["items"])


async def test_what_the_broker_does_not_take_stays_dead(api: Api) -> None:
    await api.send()
    await Worker(api).kill(1)
    api.broker.away = True
    reply = await api.call("POST", REDRIVE, json={"all": True})
    assert (503, "unavailable", 0) == (reply.status, reply.problem, reply.json["redriven"])
    api.broker.away = False
    assert 1 == len((await api.call("GET", "dead-letters")).json["items"])
    assert {"redriven": 1} == (await api.call("POST", REDRIVE, json={"all": True})).json


async def test_purging_is_asked_for_in_so_many_words(api: Api) -> None:
    await api.send()
    await api.send()
    await Worker(api).kill(2)
    for query in ("", "?all=false", "?all=1", "?all=true&session=s"):
        reply = await api.call("DELETE", f"dead-letters{query}")
        assert (400, "malformed-request") == (reply.status, reply.problem)
    reply = await api.call("DELETE", "dead-letters?all=true")
    assert (200, {"purged": 2}) == (reply.status, reply.json)
    assert [] == (await api.call("GET", "dead-letters")).json["items"]
    assert {"purged": 0} == (await api.call("DELETE", "dead-letters?all=true")).json


def _orphan(message_id: str, queue: str = "gone", **more: Any) -> DeadLetter:
    """A message that was emitted to a queue that vanished, as the queue of its parent keeps it."""
    message = Message(namespace="default", queue=queue, id=message_id, body=b"orphan", **more)
    reason = f"no-queue: parent of queue orders emitted it to {queue}, which is not there any more"
    return DeadLetter(message=message, reason=reason, dead_at=5.0, kept_by="orders")


async def test_an_emitted_message_goes_to_its_own_queue_once_that_is_there(api: Api) -> None:
    await api.send()
    await Worker(api).kill(1)
    await api.broker.bury([_orphan("child")])
    refused = await api.call("POST", REDRIVE, json={"all": True})
    assert (200, 1) == (refused.status, refused.json["redriven"])
    (problem,) = refused.json["problems"]
    assert ("child", 404, BASE + "unknown-queue") == (problem["id"], problem["status"], problem["type"])
    assert "'gone'" in problem["detail"]
    (kept,) = (await api.call("GET", "dead-letters")).json["items"]
    assert ("child", "gone", 1) == (kept["id"], kept["queue"], kept["generation"])
    await api.make("gone")
    assert {"redriven": 1} == (await api.call("POST", REDRIVE, json={"all": True})).json
    assert [] == (await api.call("GET", "dead-letters")).json["items"]
    delivered = await Worker(api, "gone").start()
    assert ("child", b"orphan", 2) == (delivered.message.id, delivered.message.body, delivered.message.generation)
    shown = await api.call("GET", "/v1/namespaces/default/queues/gone/messages/child")
    assert ("running", 1) == (shown.json["state"], shown.json["attempt"])


async def test_an_emitted_message_that_is_not_due_yet_still_waits_for_its_time(api: Api) -> None:
    await api.make("gone")
    await api.broker.bury([_orphan("child", deliver_at=api.clock + 3600)])
    assert {"redriven": 1} == (await api.call("POST", REDRIVE, json={"all": True})).json
    assert [] == api.broker.published
    status = (await api.call("GET", "/v1/namespaces/default/queues/gone")).json["status"]
    assert (0, 1) == (status["ready"], status["scheduled"])


async def test_a_redrive_that_is_cut_off_goes_on_where_it_was(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [await api.send() for _ in range(3)]
    await Worker(api).kill(3)
    publish = api.broker.publish

    async def at_most_one(messages: Sequence[Message]) -> list[KubedaemonError | None]:
        return [*await publish(messages[:1]), *(TransientError("away") for _ in messages[1:])]

    monkeypatch.setattr(api.broker, "publish", at_most_one)
    cut_off = await api.call("POST", REDRIVE, json={"all": True})
    assert (503, "unavailable", 1) == (cut_off.status, cut_off.problem, cut_off.json["redriven"])
    monkeypatch.undo()
    assert {"redriven": 2} == (await api.call("POST", REDRIVE, json={"all": True})).json
    assert sent == [message.id for message in api.broker.published if message.generation == 2]


async def test_without_the_store_nobody_knows_what_blocks_and_all_stay(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.send()
    await Worker(api).kill(1)

    async def away(message: Message) -> bool:
        raise TransientError("the store is away")

    monkeypatch.setattr(api.store, "redrive_in_place", away)
    refused = await api.call("POST", REDRIVE, json={"all": True})
    assert (503, "unavailable", 0) == (refused.status, refused.problem, refused.json["redriven"])
    assert 1 == len((await api.call("GET", "dead-letters")).json["items"])
