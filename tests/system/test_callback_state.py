"""The state of a session: read and written by attempts, with conditions, and applied with the ack alone."""

from __future__ import annotations

import pytest

from contracts.records import SessionState, State
from tests.system.callback_scene import Stage, Worker, stage
from tests.system.test_sidecar_handler_scene import reply

ONE = SessionState(b"1", "text/plain")


async def second(on: Stage, body: bytes = b"1") -> Worker:
    """A worker on ``m2``, after ``m1`` left this state behind."""
    worker = await on.start("m1")
    assert 204 == (await worker.write(body, Content_Type="text/plain")).status
    await on.end("m1")
    return await on.start("m2")


async def test_a_session_has_none_at_first() -> None:
    async with stage() as on:
        told = await (await on.start()).read()
        assert (404, "unknown-state") == (told.status, told.problem)


async def test_what_is_written_is_read_at_once_and_by_the_next_message_of_the_session() -> None:
    async with stage() as on:
        worker = await on.start("m1")
        written = await worker.write(b"\x00\xff", Content_Type="image/x")
        read = await worker.read()
        assert (204, b"") == (written.status, written.body)
        assert (200, b"\x00\xff", "image/x") == (read.status, read.body, read.headers["Content-Type"])
        assert written.headers["ETag"] == read.headers["ETag"]
        await on.end("m1")
        later = await (await on.start("m2")).read()
        assert (b"\x00\xff", read.headers["ETag"]) == (later.body, later.headers["ETag"])


async def test_another_session_does_not_see_it() -> None:
    async with stage() as on:
        await second(on)
        assert 404 == (await (await on.start("m3", "t")).read()).status


@pytest.mark.parametrize("answer", [reply(500), reply(422)])
async def test_it_is_dropped_where_the_message_is_not_acked(answer: bytes) -> None:
    async with stage(delivery={"maxAttempts": 1}) as on:
        worker = await on.start("m1")
        await worker.write(b"1")
        assert State.DEAD is (await on.end("m1", answer)).state
        assert 404 == (await (await on.start("m2")).read()).status


async def test_the_next_attempt_begins_with_what_is_committed() -> None:
    async with stage() as on:
        await (await second(on)).write(b"2")
        on.end_calls(reply(500))
        on.handler.gate.clear()
        assert b"1" == (await (await on.at_work("m2", 2)).read()).body


async def test_it_is_deleted_with_the_ack() -> None:
    async with stage() as on:
        worker = await second(on)
        assert [204, 404] == [(await worker.call("DELETE", "/session/state")).status, (await worker.read()).status]
        await on.end("m2")
        assert 404 == (await (await on.start("m3")).read()).status


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"If_Match": ONE.etag}, 204),
        ({"If_Match": f'"x", {ONE.etag}'}, 204),
        ({"If_Match": "*"}, 204),
        ({"If_Match": '"x"'}, 412),
        ({"If_None_Match": "*"}, 412),
        ({"If_None_Match": ONE.etag}, 412),
        ({"If_None_Match": '"x"'}, 204),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_write_may_name_the_state_that_it_is_for(method: str, condition: dict[str, str], status: int) -> None:
    async with stage() as on:
        worker = await second(on)
        told = await worker.call(method, "/session/state", b"2" if method == "PUT" else b"", **condition)
        assert status == told.status
        if status == 412:
            assert "precondition-failed" == told.problem
            assert b"1" == (await worker.read()).body


async def test_only_the_first_of_two_makes_it() -> None:
    async with stage() as on:
        worker = await on.start()
        assert [204, 412] == [(await worker.write(body, If_None_Match="*")).status for body in (b"1", b"2")]
        assert b"1" == (await worker.read()).body


async def test_a_message_without_a_session_has_no_state() -> None:
    async with stage() as on:
        worker = await on.start(session=None)
        for told in (await worker.read(), await worker.write(b"1"), await worker.call("DELETE", "/session/state")):
            assert (409, "no-session") == (told.status, told.problem)


async def test_it_is_refused_where_it_is_too_large() -> None:
    async with stage() as on:
        worker = await on.start()
        assert [204, 413] == [(await worker.write(bytes(1024 * 1024 + more))).status for more in (0, 1)]
        assert 1024 * 1024 == len((await worker.read()).body)
