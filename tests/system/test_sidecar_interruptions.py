"""A handler that dies or is not there: attempts cut off are counted apart, and no connection is no attempt at all."""

from __future__ import annotations

import pytest

from contracts.records import State
from tests.system.sidecar_scene import scene, until
from tests.system.test_sidecar_handler_scene import Cut, reply

ONE_ATTEMPT = {"maxAttempts": 1}
"""A failure would be the end, an interruption is not."""

SLOW = {"backoff": {"initialSeconds": 100}}

CUTS = {
    "no byte of an answer": Cut(b""),
    "half a head": Cut(b"HTTP/1.1 200"),
    "half a body": Cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_connection_lost_in_a_call_is_an_interruption(cut: Cut) -> None:
    async with scene(delivery=ONE_ATTEMPT) as stage:
        handler = await stage.handler(cut, reply())
        handler.keeps_alive = False
        stage.start(handler)
        await stage.send("m1")
        record = await stage.ended("m1")
        assert (State.SUCCEEDED, 0, 1) == (record.state, record.failures, record.interruptions)
        assert ["interrupted", "ack"] == [attempt.outcome for attempt in record.attempts]
        assert record.attempts[0].body.startswith("lost: the connection ended")
        assert [("m1", 1), ("m1", 2)] == [(call.key, call.attempt) for call in handler.calls]


async def test_a_used_connection_that_ends_without_a_byte_is_the_same_attempt_again() -> None:
    async with scene() as stage:
        handler = await stage.handler(Cut(b""), reply())
        stage.start(handler)
        await stage.send("m1")
        record = await stage.ended("m1")
        assert [("m1", 1), ("m1", 1)] == [(call.key, call.attempt) for call in handler.calls]
        assert (1, 0, 0) == (record.attempt, record.failures, record.interruptions)


async def test_an_interruption_waits_as_long_as_the_first_failure() -> None:
    async with scene(delivery=SLOW) as stage:
        handler = await stage.handler(CUTS["half a head"])
        stage.start(handler)
        await stage.send("m1")
        record = await stage.failed("m1")
        assert record.attempts[0].ended_at is not None
        assert 100 == pytest.approx(record.due_at - record.attempts[0].ended_at)


async def test_who_is_interrupted_too_often_is_dead() -> None:
    async with scene(delivery={**ONE_ATTEMPT, "maxInterruptions": 2}) as stage:
        handler = await stage.handler(CUTS["half a head"])
        stage.start(handler)
        await stage.send("m1")
        (letter,) = await stage.dead()
        assert ("interrupted 3 times: its handler dies or is cut off", 3) == (letter.reason, letter.attempts)
        record = await stage.ended("m1")
        assert ["interrupted", "interrupted", "dead-letter"] == [attempt.outcome for attempt in record.attempts]
        assert 3 == len(handler.calls)


async def test_a_handler_that_is_killed_is_asked_to_be_ready_before_it_goes_on() -> None:
    async with scene() as stage:
        handler = await stage.handler()
        handler.gate.clear()
        stage.start(handler)
        await stage.send("m1", session="s")
        await until(lambda: handler.in_flight)
        await handler.down()
        await stage.failed("m1")
        handler.gate.set()
        handler.asked.clear()
        await handler.up()
        record = await stage.ended("m1")
        assert ([1, 2], 1) == ([call.attempt for call in handler.calls], record.interruptions)
        assert ["/healthz", "/init", "/message"] == handler.asked


async def test_a_connection_that_is_refused_is_no_attempt() -> None:
    async with scene(delivery=ONE_ATTEMPT) as stage:
        handler = await stage.handler()
        stage.start(handler)
        await until(lambda: handler.inits)
        await handler.down()
        await stage.send("m1")
        await until(lambda: stage.value("handler_checks_total"), lambda checks: checks == 2)
        record = await stage.known("m1", lambda record: record.state is not State.RUNNING)
        assert (State.QUEUED, 0, []) == (record.state, record.attempt, record.attempts)
        await handler.up()
        assert (1, 0) == ((await stage.ended("m1")).attempt, record.interruptions)
        assert [1] == [call.attempt for call in handler.calls]


async def test_a_handler_that_refuses_is_not_ready_and_the_report_says_why() -> None:
    async with scene() as stage:
        handler = await stage.handler()
        stage.start(handler)
        await stage.report(lambda report: report.ready)
        await handler.down()
        await stage.send("m1")
        report = await stage.report(lambda report: not report.ready)
        assert report.reason.startswith("refused")
        await handler.up()
        assert "" == (await stage.report(lambda report: report.ready)).reason


async def test_a_handler_that_stays_away_is_reported_with_what_it_said_last() -> None:
    async with scene(delivery={"initTimeoutSeconds": 0.05}) as stage:
        handler = await stage.handler()
        await handler.down()
        stage.start(handler)
        report = await stage.report(lambda report: "not ready after" in report.reason)
        assert not report.ready
        assert report.reason.startswith("the handler is not ready after 0.05 s: /healthz: refused (")


async def test_a_handler_that_was_detached_is_replaced_by_the_next() -> None:
    async with scene() as stage:
        first, second = await stage.handler(), await stage.handler()
        first.gate.clear()
        sidecar = stage.start(first)
        await stage.send("m1")
        await until(lambda: first.in_flight)
        await stage.report(lambda report: report.ready)
        sidecar.detach("the handler exited with 3")
        report = await stage.report(lambda report: not report.ready)
        assert "the handler exited with 3" == report.reason
        record = await stage.failed("m1")
        assert (["interrupted"], []) == ([attempt.outcome for attempt in record.attempts], second.asked)
        sidecar.attach("127.0.0.1", second.port)
        await stage.ended("m1")
        assert ["/healthz", "/init", "/message"] == second.asked
        assert [2] == [call.attempt for call in second.calls]


async def test_a_handler_that_replaces_another_is_not_called_before_it_is_ready() -> None:
    async with scene() as stage:
        first, second = await stage.handler(), await stage.handler()
        sidecar = stage.start(first)
        await stage.send("m1")
        await stage.ended("m1")
        second.health = [503, 503]
        sidecar.attach("127.0.0.1", second.port)
        await stage.send("m2")
        await stage.ended("m2")
        assert ["/healthz", "/healthz", "/healthz", "/init", "/message"] == second.asked
