"""Release and skip with a replica at work: a stuck session goes on, and nothing takes effect twice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.system.live_scene import Live, living
from tests.system.sidecar_scene import until
from tests.system.test_sidecar_handler_scene import Call, reply

S = {"session": "s"}


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with living() as live:
        yield live


async def _number(call: Call) -> bytes:
    return reply(body=b"%d" % call.attempt)


async def _send(live: Live, count: int) -> list[str]:
    return [await live.send(Kubedaemon_Session="s") for _ in range(count)]


async def test_a_released_message_is_handled_again_and_its_old_answer_counts_for_nothing(live: Live) -> None:
    live.handler.gate.clear()
    live.answer(script=_number)
    first, second = await _send(live, 2)
    await live.called(first)
    answered = await live.call("POST", "sessions/release", json=S)
    assert (200, "s", first) == (answered.status, answered.json["session"], answered.json["message_id"])
    await live.called(first, 2)
    assert 2 == len([call for call in live.handler.calls if call.id == first])
    live.handler.gate.set()
    shown = await live.ended(first)
    assert ("succeeded", 2) == (shown["state"], shown["attempt"])
    assert ["interrupted", "ack"] == [attempt["outcome"] for attempt in shown["attempts"]]
    assert b"2" == (await live.call("GET", f"messages/{first}/result")).body
    assert "succeeded" == (await live.ended(second))["state"]
    assert [first, first, second] == live.handler.ids


async def test_a_release_waits_as_long_as_an_interruption_does() -> None:
    async with living(delivery={"backoff": {"initialSeconds": 300}}) as live:
        live.handler.gate.clear()
        first, second = await _send(live, 2)
        await live.called(first)
        await live.session_of("s", lambda found: found["waiting"] == 1)
        answered = await live.call("POST", "sessions/release", json=S)
        assert {"session": "s", "replica": None, "message_id": first, "since": None, "waiting": 2} == answered.json
        for order in ("release", "skip"):
            answered = await live.call("POST", f"sessions/{order}", json=S)
            assert (409 if order == "release" else 200) == answered.status
        live.handler.gate.set()
        assert "succeeded" == (await live.ended(second))["state"]
        assert "dead" == (await live.ended(first))["state"]


async def test_a_skipped_call_is_abandoned_and_its_message_is_a_dead_letter(live: Live) -> None:
    live.handler.gate.clear()
    first, second, third = await _send(live, 3)
    await live.called(first)
    answered = await live.call("POST", "sessions/skip", json=S)
    assert (200, "s", 2) == (answered.status, answered.json["session"], answered.json["waiting"])
    assert second == answered.json["message_id"]
    await live.called(second)
    live.handler.gate.set()
    (letter,) = await live.letters(1)
    assert (first, "skipped by an operator", 1) == (letter["id"], letter["reason"], letter["generation"])
    assert ["interrupted"] == [attempt["outcome"] for attempt in letter["attempts"]]
    assert "succeeded" == (await live.ended(third))["state"]
    assert "dead" == (await live.ended(first))["state"]
    result = await live.call("GET", f"messages/{first}/result")
    assert (502, "skipped by an operator") == (result.status, result.json["reason"])


async def test_a_head_that_waits_for_its_retry_is_skipped() -> None:
    async with living(delivery={"backoff": {"initialSeconds": 300}}) as live:
        live.answer(reply(500), reply())
        first, second = await _send(live, 2)
        await live.message(first, lambda shown: shown["state"] == "retrying")
        assert 409 == (await live.call("POST", "sessions/release", json=S)).status
        assert 200 == (await live.call("POST", "sessions/skip", json=S)).status
        assert "succeeded" == (await live.ended(second))["state"]
        (letter,) = await live.letters(1)
        assert (first, "skipped by an operator") == (letter["id"], letter["reason"])


async def test_what_was_skipped_can_be_redriven_to_the_end_of_its_session(live: Live) -> None:
    live.handler.gate.clear()
    first, second = await _send(live, 2)
    await live.called(first)
    await live.call("POST", "sessions/skip", json=S)
    await live.letters(1)
    await live.called(second)
    assert {"redriven": 1} == (await live.call("POST", "dead-letters/redrive", json={"all": True})).json
    live.handler.gate.set()
    shown = await live.message(first, lambda shown: shown["state"] == "succeeded")
    assert (1, "succeeded") == (shown["attempt"], shown["state"])
    assert [first, second, first] == live.handler.ids


async def test_with_two_replicas_the_one_that_holds_it_lets_go(live: Live) -> None:
    await live.start()
    live.handler.gate.clear()
    live.answer(script=_number)
    (first,) = await _send(live, 1)
    await live.called(first)
    assert 200 == (await live.call("POST", "sessions/release", json=S)).status
    live.handler.gate.set()
    assert 2 == (await live.ended(first))["attempt"]


class TestADeadHeadThatBlocks:
    """With ``onDead: block`` a session waits behind its dead head."""

    @pytest.fixture
    async def live(self) -> AsyncIterator[Live]:
        async with living(delivery={"onDead": "block"}) as live:
            live.answer(reply(422), reply())
            yield live

    async def _blocked(self, live: Live) -> list[str]:
        sent = await _send(live, 3)
        await live.letters(1)
        await live.session_of("s", lambda found: (found["replica"], found["waiting"]) == (None, 3))
        return sent

    async def test_it_holds_up_its_session_alone(self, live: Live) -> None:
        first, *_ = await self._blocked(live)
        other = await live.send(Kubedaemon_Session="t")
        assert "succeeded" == (await live.ended(other))["state"]
        assert [first, other] == live.handler.ids
        assert first == (await live.session_of("s"))["message_id"]
        refused = await live.call("POST", "sessions/release", json=S)
        assert (409, "conflict") == (refused.status, refused.problem)

    async def test_redriven_it_goes_before_what_waits_behind_it(self, live: Live) -> None:
        first, second, third = await self._blocked(live)
        answered = await live.call("POST", "dead-letters/redrive", json={"filter": {"ids": [first]}})
        assert {"redriven": 1} == answered.json
        assert "succeeded" == (await live.ended(third))["state"]
        assert [first, first, second, third] == live.handler.ids
        assert [1, 1] == [call.attempt for call in live.handler.calls if call.id == first]
        assert [first, second, third] == [message.id for message in live.broker.published], "it never left its place"
        assert [] == await live.letters(0)

    async def test_redriven_in_vain_it_blocks_again(self, live: Live) -> None:
        first, second, _ = await self._blocked(live)
        live.answer(reply(422), reply(422), reply())
        for generation in (2, 3):
            assert {"redriven": 1} == (await live.call("POST", "dead-letters/redrive", json={"all": True})).json
            await until(lambda: live.handler.ids.count(first), lambda count: count >= generation)  # noqa: B023
            (letter,) = await live.letters(1)
            assert generation == letter["generation"]
        assert {"redriven": 1} == (await live.call("POST", "dead-letters/redrive", json={"all": True})).json
        assert "succeeded" == (await live.ended(second))["state"]

    async def test_skipped_it_stays_dead_and_the_session_goes_on(self, live: Live) -> None:
        first, second, third = await self._blocked(live)
        answered = await live.call("POST", "sessions/skip", json=S)
        assert (200, second, 2) == (answered.status, answered.json["message_id"], answered.json["waiting"])
        assert "succeeded" == (await live.ended(third))["state"]
        assert [first, second, third] == live.handler.ids
        (letter,) = await live.letters(1)
        assert (first, "the handler answered 422: done") == (letter["id"], letter["reason"])
        assert {"redriven": 1} == (await live.call("POST", "dead-letters/redrive", json={"all": True})).json
        assert "succeeded" == (await live.message(first, lambda shown: shown["state"] == "succeeded"))["state"]

    async def test_purged_it_still_blocks_until_it_is_skipped(self, live: Live) -> None:
        first, second, _ = await self._blocked(live)
        assert {"purged": 1} == (await live.call("DELETE", "dead-letters?all=true")).json
        assert first == (await live.session_of("s"))["message_id"]
        assert 200 == (await live.call("POST", "sessions/skip", json=S)).status
        assert "succeeded" == (await live.ended(second))["state"]
