"""Who may call back: the tokens of /init and of attempts, what they are worth, for how long, and what is none."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest

from contracts.timestamps import format_time, parse_time
from contracts.tokens import AttemptToken, ReplicaToken, Token, derive_keys, read_token, signer
from tests.system.callback_scene import Worker, stage
from tests.system.sidecar_scene import KEYS, until
from tests.system.test_sidecar_handler_scene import reply

CALLS = [
    ("POST", "/queues/orders/messages"),
    ("PUT", "/message/progress"),
    ("POST", "/message/complete"),
    ("POST", "/message/fail"),
    ("GET", "/session/state"),
    ("PUT", "/session/state"),
    ("DELETE", "/session/state"),
    ("POST", "/token"),
]


def said(token: str) -> Token:
    found = read_token(KEYS, token)
    assert found is not None
    return found


def changed(token: str, **changes: object) -> str:
    return signer(KEYS)(msgspec.structs.replace(said(token), **changes))


def aged(worker: Worker) -> Worker:
    """The same with a token whose time is over."""
    return Worker(worker._session, worker.url, changed(worker.token, expires_at=int(time.time()) - 1))


class TestWrong:
    @pytest.mark.parametrize(("method", "path"), CALLS)
    @pytest.mark.parametrize(
        ("given", "challenge"),
        [
            ("", "Bearer"),
            ("Basic dTpw", "Bearer"),
            ("Bearer", "Bearer"),
            ("Bearer x", 'Bearer error="invalid_token"'),
            (f"Bearer {signer(derive_keys([b'x' * 32]))(ReplicaToken('default', 'orders', 'r', 1 << 40))}",
             'Bearer error="invalid_token"'),
        ],
        ids=["none", "other scheme", "empty", "nonsense", "of others"],
    )  # fmt: skip
    async def test_without_a_right_one_nothing_is_done(
        self, method: str, path: str, given: str, challenge: str
    ) -> None:
        async with stage() as on:
            told = await (await on.init()).call(method, path, Authorization=given)
            assert (401, "unauthorized") == (told.status, told.problem)
            assert told.headers["WWW-Authenticate"].startswith(challenge)
            assert 0 == await on.waiting("orders")

    async def test_the_scheme_may_be_written_in_any_case(self) -> None:
        async with stage() as on:
            worker = await on.start()
            assert (
                200 == (await worker.call("PUT", "/message/progress", Authorization=f"bEaReR  {worker.token}")).status
            )

    @pytest.mark.parametrize(("method", "path"), CALLS[1:-1])
    async def test_that_of_init_speaks_for_no_message(self, method: str, path: str) -> None:
        async with stage() as on:
            told = await (await on.init()).call(method, path)
            assert (401, "unauthorized") == (told.status, told.problem)

    @pytest.mark.parametrize(
        "change",
        [
            lambda token: changed(token, epoch=1),
            lambda token: changed(token, attempt=2),
            lambda token: changed(token, generation=2),
            lambda token: changed(token, id="m2"),
            lambda token: changed(token, queue="other"),
        ],
        ids=["epoch", "attempt", "generation", "id", "queue"],
    )
    async def test_that_of_another_attempt_is_over(self, change: Callable[[str], str]) -> None:
        async with stage() as on:
            worker = await on.start()
            other = Worker(on.session, worker.url, change(worker.token))
            for told in (await other.beat(), await other.complete(), await other.write(b"1")):
                assert (409, "attempt-over") == (told.status, told.problem)
            assert 200 == (await worker.beat()).status


class TestTime:
    async def test_an_attempts_lasts_ten_minutes_longer_than_its_attempt_can(self) -> None:
        async with stage(delivery={"timeoutSeconds": 30, "heartbeatTimeoutSeconds": 20}) as on:
            before = time.time()
            token = said((await on.start()).token)
            assert before + 30 + 20 + 600 <= token.expires_at <= time.time() + 30 + 20 + 600 + 1

    async def test_that_of_init_says_when_it_expires(self) -> None:
        async with stage() as on:
            token = said((await on.init()).token)
            assert isinstance(token, ReplicaToken)
            assert ("default", "orders", "orders-1") == (token.namespace, token.queue, token.replica)
            assert format_time(token.expires_at) == on.handler.inits[0]["token_expires_at"]
            assert time.time() + 3500 < token.expires_at

    async def test_an_expired_one_of_init_is_refused(self) -> None:
        async with stage() as on:
            told = await aged(await on.init()).emit("orders", b"x")
            assert (401, "unauthorized") == (told.status, told.problem)
            assert "expired" in told.json["detail"]

    async def test_an_expired_one_of_an_attempt_that_is_over_is_refused_also_for_a_repeat(self) -> None:
        async with stage() as on:
            worker = await on.accept()
            await worker.complete()
            await on.scene.settled()
            late = aged(worker)
            assert [401] * 3 == [(await late.complete()).status, (await late.fail()).status, (await late.beat()).status]

    async def test_work_that_goes_on_for_long_is_not_ended_by_its_token(self) -> None:
        async with stage() as on:
            worker = aged(await on.accept())
            assert [200, 200] == [(await worker.beat()).status, (await worker.complete()).status]


class TestFresh:
    async def test_one_is_exchanged_for_one_that_lasts_longer(self) -> None:
        async with stage() as on:
            worker = await on.start()
            soon = Worker(on.session, worker.url, changed(worker.token, expires_at=int(time.time()) + 5))
            told = await soon.call("POST", "/token")
            fresh = said(told.json["token"])
            assert isinstance(fresh, AttemptToken)
            assert (200, fresh.expires_at) == (told.status, parse_time(told.json["token_expires_at"]))
            assert time.time() + 60 + 60 + 590 < fresh.expires_at
            again = Worker(on.session, worker.url, told.json["token"])
            assert 200 == (await again.complete()).status

    async def test_that_of_init_too(self) -> None:
        async with stage() as on:
            init = await on.init()
            soon = Worker(on.session, init.url, changed(init.token, expires_at=int(time.time()) + 5))
            told = await soon.call("POST", "/token", b"{}")
            fresh = said(told.json["token"])
            assert isinstance(fresh, ReplicaToken)
            assert time.time() + 3500 < fresh.expires_at
            assert 202 == (await Worker(on.session, init.url, told.json["token"]).emit("orders", b"x")).status

    async def test_none_is_given_for_an_attempt_that_is_over(self) -> None:
        async with stage() as on:
            worker = await on.start()
            on.end_calls()
            await on.scene.ended("m1")
            told = await worker.call("POST", "/token")
            assert (409, "attempt-over") == (told.status, told.problem)


class TestInit:
    async def test_a_handler_that_starts_again_is_told_again(self) -> None:
        async with stage() as on:
            await on.init()
            on.sidecar.detach("exit 1")
            on.sidecar.attach("127.0.0.1", on.handler.port)
            await until(lambda: len(on.handler.inits) == 2)
            assert on.handler.inits[0].keys() == on.handler.inits[1].keys()

    async def test_options_that_cannot_be_keep_it_from_being_ready(self) -> None:
        async with stage(init=b'{"batch": {"maxMessages": 0}}', delivery={"initTimeoutSeconds": 0.05}) as on:
            report = await on.scene.report(lambda report: "not ready after" in report.reason)
            assert report.reason.endswith(
                "/init answered options that cannot be: Expected `int` >= 1 - at `$.batch.maxMessages`"
            )
            assert not report.ready
            on.handler.init_body = b'{"batch": null}'
            await on.scene.report(lambda report: report.ready)

    async def test_options_of_an_answer_that_says_there_is_no_init_do_not_count(self) -> None:
        async with stage(init=b'{"async": true}') as on:
            on.handler.init = [404]
            on.end_calls(reply(202))
            await on.start()
            await on.scene.ended("m1")
