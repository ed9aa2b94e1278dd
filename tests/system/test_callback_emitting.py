"""Messages that a handler sends: with its own message's ack and not without it, or at once."""

from __future__ import annotations

import pytest

from contracts.deliveries import Delivered, Happening
from contracts.message import Message
from contracts.records import State
from contracts.topology import Partition
from tests.system.callback_scene import Stage, Told, stage
from tests.system.sidecar_scene import until, until_read
from tests.system.test_sidecar_handler_scene import reply

RETRIED = {"backoff": {"initialSeconds": 0.01, "maxSeconds": 300, "multiplier": 1}}


async def held(on: Stage, count: int = 1) -> list[Message]:
    """What waits in the queue ``other``, which nobody handles, in order, once there is so much and all has settled."""
    await until_read(lambda: on.waiting("other"), lambda waiting: waiting == count)
    await on.scene.settled()
    happened: list[Happening] = []
    consumer = on.scene.broker.consumer("default", "other", "reader", happened.extend)
    consumer.open(1, Partition(1, 0), 10_000)
    await until(lambda: len(happened) >= count)
    consumer.stop()
    return [one.message for one in happened if isinstance(one, Delivered)]


class TestStaged:
    async def test_it_is_sent_with_the_ack_and_once(self) -> None:
        async with stage() as on:
            await on.make("other")
            worker = await on.start()
            told = await worker.emit("other", b"hello", Content_Type="text/plain", Kubedaemon_Session="zo%C3%AB")
            assert {
                "id": told.json["id"],
                "namespace": "default",
                "queue": "other",
                "session": "zoë",
                "state": "staged",
            } == (told.json)
            location = f"/v1/namespaces/default/queues/other/messages/{told.json['id']}"
            assert (202, location) == (told.status, told.headers["Location"])
            assert 0 == await on.waiting("other")
            on.end_calls()
            (message,) = await held(on)
            assert (told.json["id"], b"hello", "zoë", "text/plain") == (
                message.id, message.body, message.session, message.content_type,
            )  # fmt: skip

    async def test_it_is_known_to_readers_once_it_is_sent(self) -> None:
        async with stage() as on:
            await on.make("other")
            told = await (await on.start()).emit("other", b"hello")
            on.end_calls()
            await held(on)
            record = await on.scene.store.message("default", "other", told.json["id"])
            assert record is not None
            assert State.QUEUED is record.state

    @pytest.mark.parametrize("answer", [reply(422), reply(500)])
    async def test_it_is_dropped_where_the_message_is_not_acked(self, answer: bytes) -> None:
        async with stage(delivery={**RETRIED, "maxAttempts": 1}) as on:
            await on.make("other")
            await (await on.start()).emit("other", b"hello")
            on.end_calls(answer)
            assert State.DEAD is (await on.scene.ended("m1")).state
            await on.scene.settled()
            assert 0 == await on.waiting("other")

    async def test_it_goes_with_accepted_work_too(self) -> None:
        async with stage() as on:
            await on.make("other")
            worker = await on.accept()
            await worker.emit("other", b"1")
            await worker.complete()
            assert [b"1"] == [message.body for message in await held(on)]

    async def test_those_of_one_session_keep_their_order(self) -> None:
        async with stage() as on:
            await on.make("other")
            worker = await on.start()
            for number in range(5):
                await worker.emit("other", str(number).encode(), Kubedaemon_Session="one")
            on.end_calls()
            assert [b"0", b"1", b"2", b"3", b"4"] == [message.body for message in await held(on, 5)]

    async def test_a_key_names_the_same_message_as_anywhere(self) -> None:
        async with stage() as on:
            await on.make("other")
            worker = await on.start()
            staged = [(await worker.emit("other", b"x", Idempotency_Key="k")).json["id"] for _ in range(2)]
            at_once = await worker.emit("other", b"x", query="?immediate=true", Idempotency_Key="k")
            assert [at_once.json["id"]] * 2 == staged
            on.end_calls()
            assert {at_once.json["id"]} == {message.id for message in await held(on, 2)}, "twins, handled once"

    async def test_it_may_go_to_the_queue_at_work_itself(self) -> None:
        async with stage() as on:
            told = await (await on.start()).emit("orders", b"next")
            on.end_calls()
            assert State.SUCCEEDED is (await on.scene.ended(told.json["id"])).state

    async def test_what_is_scheduled_comes_when_it_is_due(self) -> None:
        async with stage() as on:
            await on.make("other")
            worker = await on.start()
            later = await worker.emit("other", b"later", Kubedaemon_Delay="1h")
            await worker.emit("other", b"now")
            on.end_calls()
            assert [b"now"] == [message.body for message in await held(on)]
            assert 1 == (await on.scene.broker.depth("default", "other")).scheduled
            record = await on.scene.store.message("default", "other", later.json["id"])
            assert record is not None
            assert State.SCHEDULED is record.state

    async def test_a_queue_that_vanished_leaves_it_in_the_dead_letters(self) -> None:
        async with stage() as on:
            await on.make("other")
            told = await (await on.start()).emit("other", b"x")
            await on.scene.broker.delete("default", "other")
            on.end_calls()
            (letter,) = await on.scene.dead()
            assert (told.json["id"], "other") == (letter.message.id, letter.message.queue)
            assert letter.reason.startswith("no-queue")
            assert State.SUCCEEDED is (await on.scene.ended("m1")).state


class TestAtOnce:
    async def test_it_waits_for_nothing(self) -> None:
        async with stage() as on:
            await on.make("other")
            told = await (await on.start()).emit("other", b"now", query="?immediate=true")
            assert (202, "queued", 1) == (told.status, told.json["state"], await on.waiting("other"))

    async def test_the_token_of_init_sends_at_once(self) -> None:
        async with stage() as on:
            await on.make("other")
            told = await (await on.init()).emit("other", b"now")
            assert (202, "queued") == (told.status, told.json["state"])
            assert [b"now"] == [message.body for message in await held(on)]

    async def test_a_key_is_sent_once_and_for_one_body(self) -> None:
        async with stage() as on:
            await on.make("other")
            init = await on.init()
            first, again, other = [await init.emit("other", body, Idempotency_Key="k") for body in (b"1", b"1", b"2")]
            assert (202, 202, first.json["id"]) == (first.status, again.status, again.json["id"])
            assert (422, "idempotency-conflict", first.json["id"]) == (other.status, other.problem, other.json["id"])
            assert [b"1"] == [message.body for message in await held(on)]

    async def test_a_late_thread_sends_nothing(self) -> None:
        async with stage() as on:
            await on.make("other")
            worker = await on.start()
            on.end_calls()
            await on.scene.ended("m1")
            told = await worker.emit("other", b"late", query="?immediate=true")
            assert (409, "attempt-over", 0) == (told.status, told.problem, await on.waiting("other"))

    async def test_a_full_queue_takes_it_all_the_same(self) -> None:
        async with stage() as on:
            await on.make("other", limits={"maxLength": 1})
            init = await on.init()
            assert [202, 202] == [(await init.emit("other", b"x")).status for _ in range(2)]


class TestRefusals:
    @pytest.mark.parametrize("query", ["", "?immediate=true"])
    async def test_an_unknown_queue(self, query: str) -> None:
        async with stage() as on:
            told = await (await on.start()).emit("nowhere", b"x", query=query)
            assert (404, "unknown-queue") == (told.status, told.problem)

    @pytest.mark.parametrize(
        ("given", "status", "problem"),
        [
            ({"Kubedaemon_Session": "%zz"}, 400, "malformed-request"),
            ({"Kubedaemon_Sesion": "s"}, 400, "malformed-request"),
            ({"Idempotency_Key": "k" * 256}, 400, "malformed-request"),
            ({"Content_Encoding": "gzip"}, 422, "not-allowed"),
        ],
    )
    async def test_headers_are_judged_as_anywhere(self, given: dict[str, str], status: int, problem: str) -> None:
        async with stage() as on:
            told = await (await on.start()).emit("orders", b"x", **given)
            assert (status, problem) == (told.status, told.problem)

    @pytest.mark.parametrize(
        ("query", "named"),
        [("?immediate=yes", "immediate"), ("?imediate=true", "imediate"), ("?outcome=retry", "outcome")],
    )
    async def test_parameters_are_judged(self, query: str, named: str) -> None:
        async with stage() as on:
            told = await (await on.start()).emit("orders", b"x", query=query)
            assert (400, "malformed-request", named) == (told.status, told.problem, told.json["parameter"])

    @pytest.mark.parametrize("query", ["", "?immediate=true"])
    async def test_a_payload_larger_than_its_queue_takes(self, query: str) -> None:
        async with stage() as on:
            await on.make("small", limits={"maxMessageBytes": 10})
            worker = await on.start()
            told = [await worker.emit("small", bytes(size), query=query) for size in (10, 11)]
            assert [202, 413] == [one.status for one in told]
            assert ("payload-too-large", 10) == (told[1].problem, told[1].json["limit"])

    async def test_more_bytes_than_a_message_emits(self) -> None:
        async with stage() as on:
            await on.make("large", limits={"maxMessageBytes": 64 * 1024 * 1024})
            worker = await on.start()
            half = bytes(9 * 1024 * 1024)
            told = [await worker.emit("large", half) for _ in range(2)]
            whole = await worker.emit("large", bytes(16 * 1024 * 1024 + 1))
            assert [202, 413, 413] == [one.status for one in [*told, whole]]
            assert ["payload-too-large"] * 2 == [told[1].problem, whole.problem]
            assert 202 == (await worker.emit("large", bytes(16 * 1024 * 1024 + 1), query="?immediate=true")).status

    async def test_more_messages_than_a_message_emits(self) -> None:
        async with stage() as on:
            await on.make("other")
            worker = await on.start()
            told: list[Told] = [await worker.emit("other", b"x", Idempotency_Key=str(number)) for number in range(1001)]
            assert [202] * 1000 + [413] == [one.status for one in told]
            on.end_calls()
            assert 1000 == len(await held(on, 1000))
