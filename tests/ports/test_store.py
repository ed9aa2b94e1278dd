"""What a store must guarantee: attempts fenced by epochs, endings kept once, repeats recognised, readers served."""

from __future__ import annotations

import asyncio

import pytest

from backends.ports import Store
from contracts.errors import PermanentError
from contracts.fence import Claim, Commit, Fail, Leave, Operation, Propose, Renew, Settle, Withdraw
from contracts.message import Message
from contracts.records import Attempt, Ending, Plan, Report, State
from contracts.replies import (
    DONE,
    FENCED,
    FULL,
    IDLE,
    Claimed,
    Ended,
    Freed,
    HeldBy,
    Later,
    Planned,
    Push,
    Renewed,
    Reply,
)
from contracts.workqueue import WorkQueue

WHERE = ("default", "q")
A, B = "q-1#a", "q-2#b"


def message(name: str = "m1", session: str | None = "s", generation: int = 1) -> Message:
    return Message(namespace="default", queue="q", id=name, session=session, generation=generation)


def claim(what: Message, nonce: int = 1, most: int = 64, start: bool = True) -> Claim:
    return Claim(what, nonce, most, 1.0, start)


def ending(state: State = State.SUCCEEDED, body: bytes = b"done") -> Ending:
    return Ending(state=state, ended_at=2.0, body=body)


def attempt(number: int = 1) -> Attempt:
    return Attempt(attempt=number, replica="q-1", started_at=1.0, ended_at=2.0, outcome="ack")


async def ask(store: Store, who: str, *operations: Operation) -> list[Reply]:
    return await store.turn(*WHERE, who, operations)


async def claimed(store: Store, who: str, operation: Claim) -> Claimed:
    (reply,) = await ask(store, who, operation)
    assert isinstance(reply, Claimed), reply
    return reply


@pytest.fixture
async def joined(store: Store) -> Store:
    for who in (A, B):
        await ask(store, who, Renew(60, Report(ready=True)))
    return store


async def test_who_has_no_lease_may_not_start(store: Store) -> None:
    assert [FENCED] == await ask(store, A, claim(message()))


async def test_a_session_is_held_by_one_attempt_and_freed_by_its_end(joined: Store) -> None:
    first = await claimed(joined, A, claim(message("m1")))
    assert [HeldBy("q-1")] == await ask(joined, B, claim(message("m2")))
    assert [DONE] == await ask(joined, A, Commit(message("m1"), first.epoch, attempt(), ending()))
    second = await claimed(joined, B, claim(message("m2"), nonce=2))
    assert second.epoch > first.epoch


async def test_who_waits_for_a_session_is_told_when_it_is_free(joined: Store) -> None:
    told: asyncio.Queue[Push] = asyncio.Queue()
    joined.subscribe(*WHERE, B, told.put_nowait)
    first = await claimed(joined, A, claim(message("m1")))
    await ask(joined, B, claim(message("m2")))
    await ask(joined, A, Withdraw(message("m1"), first.epoch))
    assert Freed("s:s") == await asyncio.wait_for(told.get(), 10)


async def test_an_ended_message_is_never_claimed_again(joined: Store) -> None:
    first = await claimed(joined, A, claim(message()))
    await ask(joined, A, Commit(message(), first.epoch, attempt(), ending()))
    assert [Ended(ending(), 1, marked=True)] == await ask(joined, B, claim(message(), nonce=9))


async def test_repeats_are_recognised(joined: Store) -> None:
    first = await claimed(joined, A, claim(message()))
    assert first == await claimed(joined, A, claim(message())), "the same nonce is the same try"
    commit = Commit(message(), first.epoch, attempt(), ending())
    assert [DONE] == await ask(joined, A, commit)
    assert [DONE] == await ask(joined, A, commit)
    record = await joined.message(*WHERE, "m1")
    assert record is not None
    assert (State.SUCCEEDED, 1) == (record.state, len(record.attempts))


async def test_a_stale_epoch_writes_nothing(joined: Store) -> None:
    stale = await claimed(joined, A, claim(message()))
    await ask(joined, A, Leave())
    current = await claimed(joined, B, claim(message(), nonce=2))
    assert (2, 1) == (current.attempt, current.interruptions), "the attempt that never ended was an interruption"
    assert [FENCED] == await ask(joined, A, Commit(message(), stale.epoch, attempt(), ending(body=b"stale")))
    assert [FENCED] == await ask(joined, A, Fail(message(), stale.epoch, attempt(), False, 0.0))
    assert [DONE] == await ask(joined, B, Commit(message(), current.epoch, attempt(2), ending(body=b"current")))
    record = await joined.message(*WHERE, "m1")
    assert record is not None
    assert ending(body=b"current") == record.ending


async def test_failures_and_interruptions_are_counted_apart_and_waited_for(joined: Store) -> None:
    first = await claimed(joined, A, claim(message()))
    await ask(joined, A, Fail(message(), first.epoch, attempt(), False, 0.0))
    second = await claimed(joined, A, claim(message(), nonce=2))
    assert (2, 1, 0) == (second.attempt, second.failures, second.interruptions)
    await ask(joined, A, Fail(message(), second.epoch, attempt(2), True, 4e12))
    (later,) = await ask(joined, A, claim(message(), nonce=3))
    assert isinstance(later, Later)
    assert later.seconds > 1000


async def test_a_withdrawn_attempt_was_never_made(joined: Store) -> None:
    first = await claimed(joined, A, claim(message()))
    assert [DONE] == await ask(joined, A, Withdraw(message(), first.epoch))
    second = await claimed(joined, A, claim(message(), nonce=2))
    assert (1, 0, 0) == (second.attempt, second.failures, second.interruptions)


async def test_no_more_attempts_run_than_the_queue_allows(joined: Store) -> None:
    told: asyncio.Queue[Push] = asyncio.Queue()
    joined.subscribe(*WHERE, B, told.put_nowait)
    first = await claimed(joined, A, claim(message("m1", "s1"), most=1))
    assert [FULL] == await ask(joined, B, claim(message("m2", "s2"), most=1))
    await ask(joined, A, Commit(message("m1", "s1"), first.epoch, attempt(), ending()))
    assert Freed(None) == await asyncio.wait_for(told.get(), 10)
    await claimed(joined, B, claim(message("m2", "s2"), nonce=2, most=1))


async def test_asking_without_starting_records_nothing(joined: Store) -> None:
    assert [IDLE] == await ask(joined, A, claim(message(), start=False))
    assert 1 == (await claimed(joined, B, claim(message()))).attempt


async def test_a_new_generation_starts_anew_and_its_predecessors_are_over(joined: Store) -> None:
    first = await claimed(joined, A, claim(message()))
    await ask(joined, A, Commit(message(), first.epoch, attempt(), ending(State.DEAD)))
    await joined.redriven(message(generation=2))
    assert [Ended(None)] == await ask(joined, A, claim(message(generation=1), nonce=2))
    again = await claimed(joined, A, claim(message(generation=2), nonce=3))
    assert (1, 0, 0) == (again.attempt, again.failures, again.interruptions)


async def test_settled_records_expire_and_others_do_not(joined: Store) -> None:
    for name in ("m1", "m2"):
        got = await claimed(joined, A, claim(message(name, name)))
        await ask(joined, A, Commit(message(name, name), got.epoch, attempt(), ending()))
    await ask(joined, A, Settle([("m1", 1)], 0.0))
    await ask(joined, A, Renew(60, Report()))
    assert await joined.message(*WHERE, "m1") is None
    assert await joined.message(*WHERE, "m2") is not None


async def test_members_and_plan_are_agreed_on(joined: Store) -> None:
    [renewed] = await ask(joined, A, Renew(60, Report()))
    assert isinstance(renewed, Renewed)
    assert ((A, B), Plan(), 0.0) == (renewed.members, renewed.plan, renewed.quarantine_seconds)
    mine, late = Plan(1, (A, B)), Plan(1, (B, A))
    assert [Planned(mine)] == await ask(joined, A, Propose(mine))
    assert [Planned(mine)] == await ask(joined, B, Propose(late)), "the first of two proposals holds"
    [renewed] = await ask(joined, A, Renew(60, Report(), member=False))
    assert isinstance(renewed, Renewed)
    assert ((B,), mine) == (renewed.members, renewed.plan)


async def test_a_wait_ends_with_the_message(joined: Store) -> None:
    waiting = asyncio.create_task(joined.wait(*WHERE, "m1", 30))
    got = await claimed(joined, A, claim(message()))
    await ask(joined, A, Commit(message(), got.epoch, attempt(), ending()))
    record = await asyncio.wait_for(waiting, 10)
    assert record is not None
    assert State.SUCCEEDED == record.state
    assert await joined.wait(*WHERE, "nobody", 0.01) is None


async def test_lists_are_paged_newest_first_and_filtered(store: Store) -> None:
    await store.confirm([message(f"m{number}", f"s{number % 2}") for number in range(5)])
    page, cursor = await store.messages(*WHERE, state=None, session=None, limit=2, after=None)
    assert ["m4", "m3"] == [record.id for record in page]
    rest, end = await store.messages(*WHERE, state=None, session=None, limit=10, after=cursor)
    assert (["m2", "m1", "m0"], None) == ([record.id for record in rest], end)
    ones, _ = await store.messages(*WHERE, state=State.QUEUED, session="s1", limit=10, after=None)
    assert ["m3", "m1"] == [record.id for record in ones]
    with pytest.raises(PermanentError):
        await store.messages(*WHERE, state=None, session=None, limit=10, after="x")


async def test_a_key_is_admitted_once(store: Store) -> None:
    assert await store.admit(message(), b"digest") is None
    assert not await store.is_confirmed(*WHERE, "m1")
    known = await store.admit(message(), b"digest")
    assert known is not None
    assert b"digest" == known.digest
    await store.confirm([message()])
    assert await store.is_confirmed(*WHERE, "m1")


async def test_definitions_are_kept_and_watched(store: Store) -> None:
    seen: list[tuple[str, bool]] = []
    await store.put(WorkQueue(name="b"))
    stop = store.watch(lambda namespace, name, workqueue: seen.append((name, workqueue is not None)))
    await store.put(WorkQueue(name="a"))
    await store.delete("default", "b")
    await store.delete("default", "b")
    stop()
    await store.put(WorkQueue(name="c"))
    assert [("b", True), ("a", True), ("b", False)] == seen
    assert ["a", "c"] == [workqueue.name for workqueue in await store.list("default")]
