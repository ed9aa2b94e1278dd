"""Batches, end to end: each message settled on its own, and one that fails as a whole is no attempt for anybody."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from contracts.records import State
from tests.system.callback_scene import Stage, Worker, stage
from tests.system.test_sidecar_handler_scene import Call, Cut, reply

TWO = b'{"batch": {"maxMessages": 2, "maxWaitMs": 10000}}'
PACKED = b'{"batch": {"maxMessages": 2, "maxWaitMs": 10000}, "format": "msgpack"}'
SLOW = {"backoff": {"initialSeconds": 100, "maxSeconds": 300, "multiplier": 1}}

Entries = list[dict[str, Any]]
Answering = Callable[[Entries], object]


def answer_batches(on: Stage, answer: Answering) -> None:
    """The handler answers each batch with what this makes of its entries."""

    async def script(headers: dict[str, str], body: bytes) -> bytes:
        if headers["content-type"] == "application/msgpack":
            return reply(200, msgspec.msgpack.encode(answer(msgspec.msgpack.decode(body))))
        said = answer(json.loads(body))
        return said if isinstance(said, bytes) else reply(200, json.dumps(said).encode())

    on.handler.batch_script = script
    on.end_calls()


def fine(entry: dict[str, Any]) -> dict[str, Any]:
    return {"id": entry["id"], "status": 200}


def batches(on: Stage) -> list[Entries]:
    return [json.loads(body) for _, body in on.handler.batches]


async def body_of(on: Stage, name: str) -> tuple[bytes, str | None]:
    ending = (await on.scene.ended(name)).ending
    assert ending is not None
    return ending.body, ending.content_type


async def test_messages_of_different_sessions_are_called_together() -> None:
    async with stage(init=TWO) as on:
        answer_batches(on, lambda entries: [fine(entry) for entry in entries])
        await on.scene.send("m1", session="zoë")
        await on.scene.send("m2")
        assert [State.SUCCEEDED] * 2 == [(await on.scene.ended(name)).state for name in ("m1", "m2")]
        ((one, two),) = batches(on)
        assert ("m1", "zoë", 1, "hello", "application/octet-stream") == (
            one["id"], one["session"], one["attempt"], one["data"], one["content_type"],
        )  # fmt: skip
        assert ("m2", None) == (two["id"], two["session"])
        assert [] == on.handler.calls


async def test_each_message_is_settled_by_its_own_entry() -> None:
    answers: dict[str, dict[str, Any]] = {
        "m1": {"status": 200, "data": {"n": 1}},
        "m2": {"status": 503, "retry_after": 250},
        "m3": {"status": 422, "data": "never"},
        "m4": {"status": 500, "outcome": "ack", "data_base64": "/w=="},
    }
    async with stage(init=TWO) as on:
        answer_batches(on, lambda entries: [{"id": entry["id"], **answers[entry["id"]]} for entry in entries])
        await on.scene.send(*answers)
        assert (b'{"n":1}', "application/json") == await body_of(on, "m1")
        assert (b"\xff", "application/octet-stream") == await body_of(on, "m4")
        retried = await on.scene.failed("m2")
        assert 240 < retried.due_at - time.time() <= 250
        dead = (await on.scene.ended("m3")).ending
        assert dead is not None
        assert (State.DEAD, "the handler answered 422: never") == (dead.state, dead.reason)


async def test_a_lonely_message_goes_when_it_has_waited() -> None:
    async with stage(init=b'{"batch": {"maxMessages": 64, "maxWaitMs": 20}}') as on:
        answer_batches(on, lambda entries: [fine(entry) for entry in entries])
        await on.scene.send("m1")
        await on.scene.ended("m1")
        assert [["m1"]] == [[entry["id"] for entry in batch] for batch in batches(on)]


async def test_msgpack_where_init_says_so() -> None:
    async with stage(init=PACKED) as on:
        answer_batches(on, lambda entries: [{"id": e["id"], "status": 200, "data": e["data"]} for e in entries])
        await on.scene.send("m1", body=b"\xff\x00")
        await on.scene.send("m2", body="caffè".encode())
        assert [b"\xff\x00", "caffè".encode()] == [(await body_of(on, name))[0] for name in ("m1", "m2")]
        ((headers, body),) = on.handler.batches
        assert "application/msgpack" == headers["content-type"]
        assert [b"\xff\x00", "caffè"] == [entry["data"] for entry in msgspec.msgpack.decode(body)]


@pytest.mark.parametrize(
    "answer",
    [
        lambda entries: [fine(entry) for entry in entries][:1],
        lambda entries: [fine(entry) for entry in entries] + [{"id": "m3", "status": 200}],
        lambda entries: [{"id": "x", "status": 200} for _ in entries],
        lambda entries: {"items": []},
        lambda entries: reply(500, b"[]"),
        lambda entries: reply(404),
        lambda entries: reply(200, b"not json"),
        lambda entries: b"SSH-2.0\r\n",
        lambda entries: Cut(b"HTTP/1.1 200"),
    ],
    ids=["short", "long", "strange", "object", "500", "404", "nonsense", "no http", "cut off"],
)
async def test_one_that_fails_as_a_whole_is_tried_one_by_one_and_was_no_attempt(answer: Answering) -> None:
    async with stage(init=TWO) as on:
        answer_batches(on, answer)
        await on.scene.send("m1", "m2")
        for name in ("m1", "m2"):
            record = await on.scene.ended(name)
            assert (State.SUCCEEDED, 1, 0, 0) == (record.state, record.attempt, record.failures, record.interruptions)
        assert (1, {("m1", 1), ("m2", 1)}) == (
            len(on.handler.batches), {(call.id, call.attempt) for call in on.handler.calls},
        )  # fmt: skip


async def test_only_the_guilty_message_pays() -> None:
    async with stage(init=TWO, delivery={**SLOW, "maxAttempts": 1}) as on:
        answer_batches(on, lambda entries: reply(500))

        async def script(call: Call) -> bytes:
            return reply(500, b"poison") if call.id == "m2" else reply()

        on.handler.script = script
        await on.scene.send("m1", "m2")
        assert [State.SUCCEEDED, State.DEAD] == [(await on.scene.ended(name)).state for name in ("m1", "m2")]


async def test_a_timeout_is_one_of_the_batch() -> None:
    async with stage(init=TWO, delivery={"timeoutSeconds": 0.1}) as on:

        async def script(headers: dict[str, str], body: bytes) -> bytes:
            await asyncio.sleep(60)
            return reply()

        on.end_calls()
        on.handler.batch_script = script
        await on.scene.send("m1", "m2")
        record = await on.scene.ended("m2")
        assert (State.SUCCEEDED, 1, 0) == (record.state, record.attempt, record.failures)


async def test_each_entry_may_be_accepted_and_completed_with_its_own_token() -> None:
    async with stage(init=TWO) as on:
        await on.make("other")
        answer_batches(on, lambda entries: [{"id": e["id"], "status": 202, "outcome": "accepted"} for e in entries])
        await on.scene.send("m1", session="s")
        await on.scene.send("m2", session="t")
        for name in ("m1", "m2"):
            await on.scene.known(name, lambda r: bool(r.attempts) and r.attempts[-1].outcome == "accepted")
        url = (await on.init()).url
        ((one, two),) = batches(on)
        first, second = (Worker(on.session, url, entry["token"]) for entry in (one, two))
        assert 202 == (await first.emit("other", b"from m1")).status
        assert 204 == (await first.write(b"state")).status
        assert [200, 200] == [(await first.complete(b"1")).status, (await second.fail("dead-letter")).status]
        assert [State.SUCCEEDED, State.DEAD] == [(await on.scene.ended(name)).state for name in ("m1", "m2")]
        await on.scene.settled()
        assert 1 == await on.waiting("other")


async def test_a_handler_that_starts_again_without_batches_is_called_one_by_one() -> None:
    async with stage(init=TWO) as on:
        answer_batches(on, lambda entries: [fine(entry) for entry in entries])
        await on.scene.send("m1", "m2")
        await on.scene.ended("m2")
        on.handler.init_body = b""
        on.sidecar.detach("exit 1")
        on.sidecar.attach("127.0.0.1", on.handler.port)
        await on.scene.send("m3")
        await on.scene.ended("m3")
        assert (["m3"], 1) == (on.handler.ids, len(on.handler.batches))
