"""What the log of a queue's events must guarantee: order, places that hold, and saying so where something is missing."""

from __future__ import annotations

import asyncio

import pytest

from backends.ports import Store
from contracts.events import Stretch
from contracts.fence import Claim, Commit, Fail, Operation, Renew, Withdraw
from contracts.message import Message
from contracts.records import Attempt, Ending, Report, State
from contracts.replies import Claimed, Reply

WHERE = ("default", "q")
WHO = "q-1#a"
KEPT = 100_000


def message(name: str = "m", session: str | None = "s", generation: int = 1) -> Message:
    return Message(namespace="default", queue="q", id=name, session=session, generation=generation)


def attempt(number: int = 1) -> Attempt:
    return Attempt(attempt=number, replica="q-1", started_at=1.0, ended_at=2.0, outcome="ack")


def states(stretch: Stretch) -> list[tuple[str, State, int]]:
    return [(event.id, event.state, event.attempt) for _, event in stretch.entries]


async def ask(store: Store, *operations: Operation) -> list[Reply]:
    return await store.turn(*WHERE, WHO, operations)


async def claim(store: Store, nonce: int, what: Message) -> int:
    await ask(store, Renew(60, Report(ready=True)))
    (reply,) = await ask(store, Claim(what, nonce, 64, 1.0))
    assert isinstance(reply, Claimed), reply
    return reply.epoch


async def test_a_log_begins_empty_and_its_end_is_a_place(store: Store) -> None:
    place = await store.tail(*WHERE)
    assert Stretch([], place) == await store.events(*WHERE, place, limit=10)


async def test_a_life_is_told_in_order(store: Store) -> None:
    start = await store.tail(*WHERE)
    await store.confirm([message()])
    await ask(store, Fail(message(), await claim(store, 1, message()), attempt(1), False, 0.0))
    await ask(store, Withdraw(message(), await claim(store, 2, message())))
    ending = Ending(state=State.DEAD, ended_at=2.0, reason="no")
    await ask(store, Commit(message(), await claim(store, 3, message()), attempt(2), ending))
    await store.redriven(message(generation=2))
    expected = [
        (State.QUEUED, 0),
        (State.RUNNING, 1),
        (State.RETRYING, 1),
        (State.RUNNING, 2),
        (State.RETRYING, 1),
        (State.RUNNING, 2),
        (State.DEAD, 2),
        (State.QUEUED, 0),
    ]
    told = await store.events(*WHERE, start, limit=100)
    assert [("m", *one) for one in expected] == states(told)
    assert {"s"} == {event.session for _, event in told.entries}
    assert all(event.at > 0 for _, event in told.entries)


async def test_an_attempt_that_was_never_made_takes_the_message_back_to_the_queue(store: Store) -> None:
    await store.confirm([message()])
    start = await store.tail(*WHERE)
    await ask(store, Withdraw(message(), await claim(store, 1, message())))
    assert [("m", State.RUNNING, 1), ("m", State.QUEUED, 0)] == states(await store.events(*WHERE, start, limit=9))


async def test_what_is_ordered_is_told(store: Store) -> None:
    await store.confirm([message("a", None), message("b", "s"), message("c", "t")])
    await claim(store, 1, message("b", "s"))
    await claim(store, 2, message("c", "t"))
    start = await store.tail(*WHERE)
    await store.cancel(*WHERE, "a")
    await store.release(*WHERE, "s", 5.0)
    await store.skip(*WHERE, "t", "skipped")
    assert [("a", State.CANCELLED, 0), ("b", State.RETRYING, 1), ("c", State.DEAD, 1)] == states(
        await store.events(*WHERE, start, limit=9)
    )


async def test_a_blocking_head_that_is_redriven_in_its_place_is_told_once(store: Store) -> None:
    epoch = await claim(store, 1, message())
    ending = Ending(state=State.DEAD, ended_at=2.0, reason="no")
    await ask(store, Commit(message(), epoch, attempt(), ending, block=True))
    start = await store.tail(*WHERE)
    assert await store.redrive_in_place(message(generation=2))
    await claim(store, 2, message())
    assert await store.redrive_in_place(message(generation=2))
    assert [("m", State.QUEUED, 0), ("m", State.RUNNING, 1)] == states(await store.events(*WHERE, start, limit=9))


async def test_what_is_confirmed_twice_is_told_once_and_what_runs_already_is_not_queued_again(store: Store) -> None:
    start = await store.tail(*WHERE)
    await store.admit(message(), b"digest")
    assert [] == (await store.events(*WHERE, start, limit=9)).entries, "nobody has accepted it yet"
    await store.confirm([message()])
    await store.confirm([message()])
    await claim(store, 1, message("early", "t"))
    await store.confirm([message("early", "t")])
    assert [("m", State.QUEUED, 0), ("early", State.RUNNING, 1)] == states(await store.events(*WHERE, start, limit=9))


async def test_every_id_is_the_place_behind_its_event(store: Store) -> None:
    start = await store.tail(*WHERE)
    await store.confirm([message(f"m{n}") for n in range(5)])
    told = await store.events(*WHERE, start, limit=3)
    assert (["m0", "m1", "m2"], told.entries[-1][0]) == ([event.id for _, event in told.entries], told.end)
    for n, (place, _) in enumerate(told.entries):
        rest = await store.events(*WHERE, place, limit=100)
        assert ([f"m{k}" for k in range(n + 1, 5)], False) == ([event.id for _, event in rest.entries], rest.gap)
    until = await store.events(*WHERE, start, until=told.entries[1][0], limit=100)
    assert (["m0", "m1"], told.entries[1][0]) == ([event.id for _, event in until.entries], until.end)
    behind = await store.events(*WHERE, told.end, until=start, limit=100)
    assert Stretch([], told.end) == behind


@pytest.mark.parametrize("place", ["", "x", "x-1", "-", "0-0", "\x00", "9" * 50, "é"])
async def test_a_place_that_it_never_had_is_a_gap(store: Store, place: str) -> None:
    await store.confirm([message()])
    told = await store.events(*WHERE, place, limit=9)
    assert (True, ["m"]) == (told.gap, [event.id for _, event in told.entries])


async def test_a_place_of_the_future_is_a_gap(store: Store) -> None:
    tail = await store.tail(*WHERE)
    told = await store.events(*WHERE, tail[:-1] + "7", limit=9)
    assert Stretch([], tail, gap=True) == told


async def test_a_place_of_another_queue_or_of_one_that_was_forgotten_is_a_gap(store: Store) -> None:
    other = await store.tail("default", "other")
    assert (await store.events(*WHERE, other, limit=9)).gap
    before = await store.tail(*WHERE)
    await store.forget(*WHERE)
    assert (await store.events(*WHERE, before, limit=9)).gap


async def test_the_last_hundred_thousand_are_kept(store: Store) -> None:
    start = await store.tail(*WHERE)
    await store.confirm([message("first")])
    second = (await store.events(*WHERE, start, limit=1)).end
    await store.confirm([message(f"m{n}") for n in range(KEPT)])
    whole = await store.events(*WHERE, second, limit=2 * KEPT)
    assert (KEPT, False) == (len(whole.entries), whole.gap)
    assert ("m0", f"m{KEPT - 1}") == (whole.entries[0][1].id, whole.entries[-1][1].id)
    late = await store.events(*WHERE, start, limit=1)
    assert (True, "m0") == (late.gap, late.entries[0][1].id)


async def test_waiting_ends_with_the_first_event_or_with_the_time(store: Store) -> None:
    start = await store.tail(*WHERE)
    assert [] == (await store.events(*WHERE, start, limit=9, wait_seconds=0.01)).entries
    waiting = [asyncio.create_task(store.events(*WHERE, start, limit=9, wait_seconds=30)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.sleep(0)
    await store.confirm([message()])
    for task in (waiting[0], waiting[2]):
        assert [("m", State.QUEUED, 0)] == states(await asyncio.wait_for(task, 10))
    assert [("m", State.QUEUED, 0)] == states(await store.events(*WHERE, start, limit=9, wait_seconds=30))
