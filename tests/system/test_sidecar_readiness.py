"""Before its first message a handler passes /healthz and /init, and again whenever it may be another one."""

from __future__ import annotations

import pytest

from sidecar import probe
from tests.system.sidecar_scene import scene, until
from tests.system.test_sidecar_handler_scene import Cut, reply


async def test_nothing_is_called_before_the_handler_is_healthy() -> None:
    async with scene() as stage:
        handler = await stage.handler()
        handler.health = [503, 500, 429, 200]
        await stage.send("m1")
        stage.start(handler)
        await stage.ended("m1")
        assert ["/healthz", "/healthz", "/healthz", "/healthz", "/init", "/message"] == handler.asked


async def test_init_tells_whom_the_handler_serves() -> None:
    async with scene() as stage:
        handler = await stage.handler()
        stage.start(handler, "orders-7")
        await until(lambda: handler.inits)
        expected = {"contract": "v1", "namespace": "default", "queue": "orders", "replica": "orders-7"}
        assert [expected] == [{name: init[name] for name in expected} for init in handler.inits]


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_handler_may_do_without_init_and_without_healthz(status: int) -> None:
    async with scene() as stage:
        handler = await stage.handler()
        handler.health, handler.init = [status], [status]
        stage.start(handler)
        await stage.send("m1")
        await stage.ended("m1")
        assert ["/healthz", "/init", "/message"] == handler.asked


@pytest.mark.parametrize("status", [500, 503, 400])
async def test_init_that_fails_is_tried_again(status: int) -> None:
    async with scene() as stage:
        handler = await stage.handler()
        handler.init = [status, status]
        stage.start(handler)
        await stage.send("m1")
        await stage.ended("m1")
        assert 3 == len(handler.inits)
        assert ["/healthz", "/init"] * 3 + ["/message"] == handler.asked


async def test_a_handler_that_does_not_get_ready_in_time_is_reported_and_asked_on() -> None:
    async with scene(delivery={"initTimeoutSeconds": 0.05}) as stage:
        handler = await stage.handler()
        handler.health = [503] * 1000
        sidecar = stage.start(handler)
        report = await stage.report(lambda report: "not ready after" in report.reason)
        assert "the handler is not ready after 0.05 s: /healthz answered 503" == report.reason
        handler.health.clear()
        report = await stage.report(lambda report: report.ready)
        assert ("", False) == (report.reason, sidecar.left.done())


async def test_the_first_word_of_it_comes_long_before_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_FIRST_WORD_SECONDS", 0.05)
    async with scene(delivery={"initTimeoutSeconds": 1000}) as stage:
        handler = await stage.handler()
        handler.health = [503] * 1000
        stage.start(handler)
        report = await stage.report(lambda report: "not ready after" in report.reason)
        assert "the handler is not ready after 0.05 s: /healthz answered 503" == report.reason


async def test_init_is_repeated_when_the_handler_was_lost() -> None:
    async with scene() as stage:
        handler = await stage.handler(Cut(b"HTTP/1.1 200"), reply())
        stage.start(handler)
        await stage.send("m1")
        await stage.ended("m1")
        assert ["/healthz", "/init", "/message"] * 2 == handler.asked


async def test_init_is_not_repeated_for_answers_of_whatever_kind() -> None:
    async with scene(delivery={"timeoutSeconds": 0.2}) as stage:
        handler = await stage.handler(reply(500), b"SSH-2.0\r\n", reply(429), reply())
        stage.start(handler)
        await stage.send("m1")
        await stage.ended("m1")
        assert ["/healthz", "/init", *["/message"] * 4] == handler.asked
        assert 1.0 == stage.value("handler_checks_total")
