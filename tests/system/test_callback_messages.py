"""What a handler says of the message at work: how far it is, that it is done, that it gives up; and for how long."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from contracts.records import Progress, Record, State
from tests.system.callback_scene import Stage, Worker, stage
from tests.system.test_sidecar_handler_scene import answering, reply

SLOW = {"backoff": {"initialSeconds": 100, "maxSeconds": 300, "multiplier": 1}}


async def progress(on: Stage, wanted: Progress) -> Record:
    return await on.scene.known("m1", lambda record: record.progress == wanted)


class TestHeads:
    async def test_a_message_says_where_to_call_back_and_with_what(self) -> None:
        async with stage() as on:
            worker = await on.start()
            init = await on.init()
            assert worker.url == init.url
            assert worker.url.startswith("http://127.0.0.1:")
            assert worker.url.endswith("/v1/callback")
            assert worker.token != init.token

    async def test_each_attempt_has_a_token_of_its_own(self) -> None:
        async with stage() as on:
            on.end_calls(reply(500))
            first, second = await on.start(), await on.at_work("m1", 2)
            assert first.token != second.token


class TestProgress:
    async def test_it_is_kept_for_people(self) -> None:
        async with stage() as on:
            worker = await on.accept()
            told = await worker.beat(b'{"percent": 40, "note": "half of it"}')
            assert (200, {"percent": 40.0, "note": "half of it"}) == (told.status, told.json)
            await progress(on, Progress(40, "half of it"))

    @pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"percent": null, "note": null}', b'{"percent": 0.5}'])
    async def test_it_may_say_little(self, body: bytes) -> None:
        async with stage() as on:
            assert 200 == (await (await on.start()).beat(body)).status

    @pytest.mark.parametrize(
        "body",
        [b"40", b"[]", b"{", b"\xff", b'{"percent": 101}', b'{"percent": -1}', b'{"percent": "1"}', b'{"per": 1}'],
    )
    async def test_what_is_no_progress_is_refused(self, body: bytes) -> None:
        async with stage() as on:
            told = await (await on.start()).beat(body)
            assert (400, "malformed-request") == (told.status, told.problem)
            assert '{"percent": 0 to 100' in told.json["detail"]

    async def test_a_heartbeat_puts_silence_off(self) -> None:
        async with stage(delivery={"heartbeatTimeoutSeconds": 0.5}) as on:
            worker = await on.accept()
            until_when = time.monotonic() + 1
            while time.monotonic() < until_when:
                assert 200 == (await worker.beat()).status
                await asyncio.sleep(0.02)
            assert 200 == (await worker.complete()).status
            assert 1 == (await on.scene.ended("m1")).attempt

    async def test_silence_is_a_failed_attempt_and_its_late_thread_can_do_no_harm(self) -> None:
        async with stage(delivery={"heartbeatTimeoutSeconds": 0.2}) as on:
            late = await on.accept()
            on.handler.script = answering(reply(200, b"the second one"))
            record = await on.scene.ended("m1")
            assert ["retry", "ack"] == [attempt.outcome for attempt in record.attempts]
            assert record.attempts[0].body.startswith("silent")
            for told in (await late.beat(), await late.complete(b"late"), await late.emit("orders"), await late.read()):
                assert (409, "attempt-over") == (told.status, told.problem)
            assert record == await on.scene.ended("m1")


class TestEnds:
    async def test_accepted_work_ends_as_it_says(self) -> None:
        async with stage() as on:
            worker = await on.accept()
            assert State.RUNNING is (await on.scene.known("m1")).state
            told = await worker.complete(b"done later", Content_Type="text/plain")
            assert (200, {"outcome": "ack"}) == (told.status, told.json)
            record = await on.scene.ended("m1")
            assert record.ending is not None
            assert (State.SUCCEEDED, b"done later", "text/plain", None) == (
                record.ending.state, record.ending.body, record.ending.content_type, record.ending.status,
            )  # fmt: skip
            assert ["ack"] == [attempt.outcome for attempt in record.attempts]
            await on.scene.settled()

    async def test_the_session_is_held_until_then(self) -> None:
        async with stage() as on:
            worker = await on.accept("m1")
            await on.scene.send("m2", session="s")
            await on.scene.send("other", session="t")
            await on.at_work("other")
            assert ["m1", "other"] == on.handler.ids
            await worker.complete()
            await on.at_work("m2")

    async def test_init_can_say_that_a_202_is_an_acceptance(self) -> None:
        async with stage(init=b'{"async": true}') as on:
            on.end_calls(reply(202))
            worker = await on.start()
            await on.scene.known(
                "m1", lambda record: bool(record.attempts) and record.attempts[-1].outcome == "accepted"
            )
            await worker.complete(b"x")
            assert State.SUCCEEDED is (await on.scene.ended("m1")).state

    async def test_without_that_a_202_is_done(self) -> None:
        async with stage() as on:
            on.end_calls(reply(202, b"taken"))
            await on.start()
            ending = (await on.scene.ended("m1")).ending
            assert ending is not None
            assert b"taken" == ending.body

    @pytest.mark.parametrize(("outcome", "state"), [("retry", State.RETRYING), ("dead-letter", State.DEAD)])
    async def test_giving_up_says_how_and_why(self, outcome: str, state: State) -> None:
        async with stage(delivery=SLOW) as on:
            worker = await on.accept()
            told = await worker.fail(outcome, b"no paper")
            assert (200, {"outcome": outcome}) == (told.status, told.json)
            record = await on.scene.known("m1", lambda record: record.state is state)
            assert [(outcome, "no paper")] == [(attempt.outcome, attempt.body) for attempt in record.attempts]

    async def test_without_an_outcome_giving_up_is_a_retry_after_the_time_it_names(self) -> None:
        async with stage(delivery=SLOW) as on:
            worker = await on.accept()
            assert 200 == (await worker.call("POST", "/message/fail", Retry_After="0")).status
            await on.at_work("m1", 2)

    async def test_an_outcome_that_is_none_is_refused(self) -> None:
        async with stage() as on:
            told = await (await on.start()).fail("maybe")
            assert (400, "malformed-request", "outcome") == (told.status, told.problem, told.json["parameter"])

    async def test_said_before_the_202_it_holds_and_wins_over_its_body(self) -> None:
        async with stage() as on:
            worker = await on.start()
            assert 200 == (await worker.complete(b"mine")).status
            assert State.RUNNING is (await on.scene.known("m1")).state
            on.end_calls(reply(200, b"the answer"))
            ending = (await on.scene.ended("m1")).ending
            assert ending is not None
            assert b"mine" == ending.body

    async def test_the_same_end_again_is_harmless_and_another_is_too_late(self) -> None:
        async with stage() as on:
            worker = await on.accept()
            assert [200, 200, 409] == [
                (await worker.complete(b"1")).status, (await worker.complete(b"2")).status, (await worker.fail()).status,
            ]  # fmt: skip
            ending = (await on.scene.ended("m1")).ending
            assert ending is not None
            assert b"1" == ending.body
            await on.scene.settled()
            assert [200, 409] == [(await worker.complete(b"3")).status, (await worker.fail("dead-letter")).status]

    async def test_an_interrupted_attempt_is_told_that_it_is_over(self) -> None:
        async with stage(delivery=SLOW) as on:
            worker = await on.accept()
            on.sidecar.detach("exit 1")
            await on.scene.failed("m1")
            assert [409, 409, 409] == [
                (await worker.beat()).status, (await worker.complete()).status, (await worker.fail()).status,
            ]  # fmt: skip

    async def test_a_restart_changes_nothing(self) -> None:
        """Another sidecar, with the same keys, knows from the store how the attempt ended."""
        async with stage() as on:
            worker = await on.accept()
            await worker.complete()
            await on.scene.settled()
            await on.sidecar.close()
            heir = await on.restarted()
            again = Worker(on.session, heir, worker.token)
            assert [200, 409] == [(await again.complete()).status, (await again.fail()).status]


class TestLimits:
    async def test_a_result_that_is_too_large_is_refused_here_and_not_after_the_ack(self) -> None:
        async with stage() as on:
            worker = await on.accept()
            told = await worker.complete(bytes(16 * 1024 * 1024 + 1))
            assert (413, "payload-too-large", 16 * 1024 * 1024) == (told.status, told.problem, told.json["limit"])
            assert State.RUNNING is (await on.scene.known("m1")).state
            assert 200 == (await worker.complete(bytes(16 * 1024 * 1024))).status
            assert State.SUCCEEDED is (await on.scene.ended("m1")).state

    async def test_a_type_that_could_be_no_header_is_refused(self) -> None:
        async with stage() as on:
            told = await (await on.start()).complete(b"x", Content_Type="text/é")
            assert (400, "Content-Type") == (told.status, told.json["header"])

    async def test_what_is_json_is_told_as_a_problem(self) -> None:
        async with stage() as on:
            told = await (await on.start()).beat(b"[")
            assert json.loads(told.body) == told.json
