"""What becomes of a message for each answer of its handler: acked, tried again and when, or dead and why."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest

from contracts.records import Record, State
from tests.system.sidecar_scene import WHERE, Scene, scene, until, until_read
from tests.system.test_sidecar_handler_scene import Call, reply

MAX_RESULT_BYTES = 16 * 1024 * 1024
SLOW = {"backoff": {"initialSeconds": 100, "maxSeconds": 300, "multiplier": 2}}


def waits(record: Record) -> float:
    """How long after its last attempt the message is due again."""
    ended_at = record.attempts[-1].ended_at
    assert ended_at is not None
    return record.due_at - ended_at


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_2xx_is_the_end_with_the_answer_as_result(status: int) -> None:
    body = b"" if status == 204 else b'{"sum": 3}'
    async with scene() as stage:
        stage.start(await stage.handler(reply(status, body, Content_Type="application/json")))
        await stage.send("m1", body=b"1 + 2")
        record = await stage.ended("m1")
        assert record.ending is not None
        assert (State.SUCCEEDED, status, "application/json", body) == (
            record.state, record.ending.status, record.ending.content_type, record.ending.body,
        )  # fmt: skip
        assert ["ack"] == [attempt.outcome for attempt in record.attempts]
        await stage.settled()
        assert [] == await stage.broker.browse(*WHERE)


async def test_a_call_says_all_that_the_contract_promises() -> None:
    async with scene() as stage:
        handler = await stage.handler()
        stage.start(handler)
        await stage.send("m1", session="zoë", body=b"\x00\xff")
        await stage.ended("m1")
        (call,) = handler.calls
        assert (b"\x00\xff", "m1", 1) == (call.body, call.key, call.attempt)
        expected = {
            "host": f"127.0.0.1:{handler.port}",
            "kubedaemon-namespace": "default",
            "kubedaemon-queue": "orders",
            "kubedaemon-session": "zo%C3%AB",
            "content-type": "application/octet-stream",
        }
        assert expected == {name: call.headers[name] for name in expected}
        assert call.headers["kubedaemon-enqueued-at"] <= call.headers["kubedaemon-deadline"]


@pytest.mark.parametrize("status", [404, 405, 408, 409, 423, 425, 429, 500, 503, 599])
async def test_a_failure_that_may_pass_is_tried_again_under_the_same_key(status: int) -> None:
    async with scene() as stage:
        handler = await stage.handler(reply(status, b"not yet"), reply(status), reply())
        stage.start(handler)
        await stage.send("m1", session="s")
        record = await stage.ended("m1")
        assert [("m1", 1), ("m1", 2), ("m1", 3)] == [(call.key, call.attempt) for call in handler.calls]
        assert (State.SUCCEEDED, 2, 0) == (record.state, record.failures, record.interruptions)
        assert [(status, "retry"), (status, "retry"), (200, "ack")] == [(a.status, a.outcome) for a in record.attempts]
        assert "not yet" == record.attempts[0].body


async def test_a_failure_waits_for_its_backoff() -> None:
    async with scene(delivery=SLOW) as stage:
        stage.start(await stage.handler(reply(500)))
        await stage.send("m1", session="s")
        assert 100 == pytest.approx(waits(await stage.failed("m1")), rel=0.21)
        assert (0, 1) == (await stage.ready(), await stage.unacked())


async def test_a_message_without_a_session_waits_outside_the_queue_and_comes_back() -> None:
    async with scene(delivery=SLOW) as stage:
        handler = await stage.handler(reply(503, Retry_After="1.1"), reply())
        stage.start(handler)
        await stage.send("m1")
        await until_read(lambda: stage.broker.depth(*WHERE), lambda depth: (depth.scheduled, depth.unacked) == (1, 0))
        first, second = (await stage.ended("m1")).attempts
        assert first.ended_at is not None
        assert first.ended_at + 1.1 <= second.started_at
        assert [("m1", 1), ("m1", 2)] == [(call.key, call.attempt) for call in handler.calls]


async def test_the_last_attempt_that_is_allowed_dead_letters() -> None:
    async with scene(delivery={"maxAttempts": 3}) as stage:
        handler = await stage.handler(reply(500, b"no"), reply(503, b"no"), reply(500, b"never"))
        stage.start(handler)
        await stage.send("m1")
        record = await stage.ended("m1")
        (letter,) = await stage.dead()
        assert "failed 3 times, the last: the handler answered 500: never" == letter.reason
        assert 3 == len(handler.calls)
        assert record.ending is not None
        assert (3, record.ending.ended_at, "m1") == (letter.attempts, letter.dead_at, letter.message.id)
        assert (letter.reason, "dead-letter") == (record.ending.reason, record.attempts[-1].outcome)


@pytest.mark.parametrize("status", [400, 410, 422, 301])
async def test_a_failure_for_good_is_dead_at_once_with_what_was_said(status: int) -> None:
    async with scene() as stage:
        handler = await stage.handler(reply(status, b"no such account"))
        stage.start(handler)
        await stage.send("m1", body=b"keep me")
        (letter,) = await stage.dead()
        assert f"the handler answered {status}: no such account" == letter.reason
        assert (1, b"keep me") == (letter.attempts, letter.message.body)
        record = await stage.ended("m1")
        assert (State.DEAD, 1) == (record.state, len(handler.calls))
        await stage.settled()


async def test_a_dead_letter_is_acked_only_once_it_is_safe() -> None:
    async with scene() as stage:
        stage.broker.buries = False
        handler = await stage.handler(reply(422), reply())
        stage.start(handler)
        await stage.send("m1", "m2", session="s")
        await until(lambda: stage.broker.refused_burials, lambda refused: refused > 1)
        assert (2, [], ["m1"]) == (await stage.unacked(), await stage.broker.browse(*WHERE), handler.ids)
        stage.broker.buries = True
        await stage.ended("m2")
        assert ["m1"] == [letter.message.id for letter in await stage.dead()]


OVERRULED = {
    "ack": (422, "ack", State.SUCCEEDED),
    "Ack, however it is written": (500, " ACK ", State.SUCCEEDED),
    "dead-letter": (200, "dead-letter", State.DEAD),
}


@pytest.mark.parametrize(("status", "outcome", "state"), OVERRULED.values(), ids=OVERRULED)
async def test_the_outcome_overrules_the_status(status: int, outcome: str, state: State) -> None:
    async with scene() as stage:
        handler = await stage.handler(reply(status, Kubedaemon_Outcome=outcome))
        stage.start(handler)
        await stage.send("m1")
        assert (state, 1) == ((await stage.ended("m1")).state, len(handler.calls))


async def test_a_dead_letter_says_that_the_outcome_asked_for_it() -> None:
    async with scene() as stage:
        stage.start(await stage.handler(reply(200, b"gone", Kubedaemon_Outcome="dead-letter")))
        await stage.send("m1")
        (letter,) = await stage.dead()
        assert "the handler answered 200 with Kubedaemon-Outcome: dead-letter: gone" == letter.reason


async def test_the_outcome_can_ask_for_another_attempt() -> None:
    async with scene() as stage:
        handler = await stage.handler(reply(200, Kubedaemon_Outcome="retry"), reply())
        stage.start(handler)
        await stage.send("m1")
        record = await stage.ended("m1")
        assert ([1, 2], 1) == ([call.attempt for call in handler.calls], record.failures)


async def test_an_unknown_outcome_is_a_failed_attempt() -> None:
    async with scene(delivery={"maxAttempts": 2}) as stage:
        handler = await stage.handler(reply(200, Kubedaemon_Outcome="maybe"))
        stage.start(handler)
        await stage.send("m1")
        (letter,) = await stage.dead()
        assert "failed 2 times, the last: unknown Kubedaemon-Outcome: 'maybe': done" == letter.reason
        assert 2 == len(handler.calls)


async def test_an_attempt_that_failed_for_its_unknown_outcome_says_so() -> None:
    async with scene(delivery=SLOW) as stage:
        stage.start(await stage.handler(reply(200, Kubedaemon_Outcome="maybe")))
        await stage.send("m1")
        (attempt,) = (await stage.failed("m1")).attempts
        assert "unknown Kubedaemon-Outcome: 'maybe': done" == attempt.body


async def test_no_answer_in_time_is_a_failed_attempt() -> None:
    async def script(call: Call) -> bytes:
        await asyncio.Event().wait()
        return reply()

    async with scene(delivery={**SLOW, "timeoutSeconds": 0.05}) as stage:
        stage.start(await stage.handler(script=script))
        await stage.send("m1")
        record = await stage.failed("m1")
        assert (1, 0, 1) == (record.failures, record.interruptions, record.attempt)
        (attempt,) = record.attempts
        assert ("retry", None, "timeout") == (attempt.outcome, attempt.status, attempt.body)


async def test_what_is_no_http_is_a_failed_attempt() -> None:
    async with scene(delivery={"maxAttempts": 1}) as stage:
        stage.start(await stage.handler(b"SSH-2.0-OpenSSH_9.6\r\n"))
        await stage.send("m1")
        (letter,) = await stage.dead()
        assert "garbage: " in letter.reason
        assert "SSH-2.0" in letter.reason


async def test_a_result_may_be_16_mib_and_no_longer() -> None:
    async with scene() as stage:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_RESULT_BYTES + 1}\r\n\r\n".encode()
        handler = await stage.handler(reply(body=bytes(MAX_RESULT_BYTES)), head)
        stage.start(handler)
        await stage.send("m1", "m2", session="s")
        ending = (await stage.ended("m1")).ending
        assert ending is not None
        assert MAX_RESULT_BYTES == len(ending.body)
        (letter,) = await stage.dead()
        assert ("m2", f"result-too-large: more than {MAX_RESULT_BYTES} bytes") == (letter.message.id, letter.reason)
        assert ["m1", "m2"] == handler.ids


class TestRetryAfter:
    async def failed(self, stage: Scene, value: str, **headers: str) -> Record:
        stage.start(await stage.handler(reply(503, b"", Retry_After=value, **headers)))
        await stage.send("m1")
        return await stage.failed("m1")

    async def test_seconds_are_waited_for_instead_of_the_backoff(self) -> None:
        async with scene() as stage:
            assert 7 == pytest.approx(waits(await self.failed(stage, "7")))

    async def test_a_date_is_waited_for(self) -> None:
        when = int(time.time()) + 60
        async with scene() as stage:
            assert when == pytest.approx((await self.failed(stage, formatdate(when, usegmt=True))).due_at, abs=0.001)

    @pytest.mark.parametrize("value", ["1000", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
    async def test_no_more_than_max_seconds_are_waited_for(self, value: str) -> None:
        async with scene(delivery=SLOW) as stage:
            assert 300 == pytest.approx(waits(await self.failed(stage, value)))

    @pytest.mark.parametrize("value", ["soon", "-5", "", "1e3", "Fri, 99 Foo"])
    async def test_what_says_nothing_leaves_the_backoff(self, value: str) -> None:
        async with scene(delivery=SLOW) as stage:
            assert 100 == pytest.approx(waits(await self.failed(stage, value)), rel=0.21)

    async def test_it_counts_beside_an_outcome_too(self) -> None:
        async with scene() as stage:
            assert 7 == pytest.approx(waits(await self.failed(stage, "7", Kubedaemon_Outcome="retry")))

    @pytest.mark.parametrize("value", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
    async def test_what_is_due_already_is_tried_at_once(self, value: str) -> None:
        async with scene(delivery=SLOW) as stage:
            stage.start(await stage.handler(reply(503, Retry_After=value), reply()))
            await stage.send("m1")
            assert 2 == (await stage.ended("m1")).attempt

    async def test_nothing_is_tried_before_its_time_and_nothing_behind_it(self) -> None:
        async with scene(delivery=SLOW) as stage:
            handler = await stage.handler(reply(503, Retry_After="0.1"), reply())
            stage.start(handler)
            await stage.send("m1", "m2", session="s")
            await stage.ended("m2")
            assert ["m1", "m1", "m2"] == handler.ids
            first, second = (await stage.ended("m1")).attempts
            assert first.ended_at is not None
            assert first.ended_at + 0.1 <= second.started_at
