"""What a durable adapter guarantees besides: what was confirmed is there after the process is gone, and nothing else."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from backends.durable.directory import FILE, DataDirectory
from backends.durable.log import KeptLog
from backends.ports import Broker, Store
from contracts.deliveries import NothingFollows, Proven
from contracts.fence import Claim, Commit, Fail, Operation, ReadState, Renew, Settle, StateWrite
from contracts.message import DeadLetter, Message
from contracts.records import Attempt, Ending, Record, Report, SessionState, State
from contracts.replies import Claimed, Ended, Reply, StateFound
from contracts.replies import Later as NotYet
from contracts.topology import Partition
from contracts.workqueue import WorkQueue, parse_spec
from tests.ports.listening import ONLY, WHERE, Listener, message, publish, queue

A = "q-1#a"


@asynccontextmanager
async def after_a_kill(data: DataDirectory) -> AsyncIterator[DataDirectory]:
    """What a process finds that starts now, had this one been killed: the files as they are."""
    place = data.path.with_name(f"{data.path.name}-later")
    shutil.copytree(data.path, place)
    async with AsyncExitStack() as stack:
        opened = DataDirectory(place)
        stack.push_async_callback(opened.close)
        yield opened


async def ask(store: Store, *operations: Operation) -> list[Reply]:
    return await store.turn(*WHERE, A, operations)


async def claimed(store: Store, what: Message, nonce: int = 1) -> Claimed:
    await ask(store, Renew(60, Report(ready=True)))
    (reply,) = await ask(store, Claim(what, nonce, 64, 1.0))
    assert isinstance(reply, Claimed), reply
    return reply


def attempt(number: int = 1) -> Attempt:
    return Attempt(attempt=number, replica="q-1", started_at=1.0, ended_at=2.0, outcome="ack")


async def delivered(broker: Broker, count: int, of: int = 1) -> list[str]:
    listener = Listener(broker, "b")
    listener.consumer.open(1, Partition(of, 0), count + 10)
    await listener.until(lambda: len(listener.delivered(1)) >= count)
    return listener.delivered(1)


async def test_what_was_published_and_not_proven_is_there_in_order(data: DataDirectory) -> None:
    await data.broker.declare(queue())
    await publish(data.broker, *(message(number) for number in range(700)))
    listener = Listener(data.broker, "a")
    listener.consumer.open(1, ONLY, 10)
    await listener.until(lambda: len(listener.delivered(1)) == 10)
    listener.consumer.ack(1, [1, 3])
    await listener.until(lambda: listener.saw(Proven))
    async with after_a_kill(data) as later:
        depth = await later.broker.depth(*WHERE)
        assert (698, 0) == (sum(depth.ready), depth.unacked)
        left = [f"m{number}" for number in range(700) if number not in (0, 2)]
        assert left == await delivered(later.broker, 698)
        await publish(later.broker, message(700))
        assert 699 == (await later.broker.depth(*WHERE)).unacked + sum((await later.broker.depth(*WHERE)).ready)


async def test_large_messages_wait_on_disk_and_come_in_order(data: DataDirectory) -> None:
    await data.broker.declare(queue())
    large = [
        Message(namespace="default", queue="q", id=f"m{n}", session="s", body=bytes(20_000)) for n in range(0, 9, 2)
    ]
    small = [message(number) for number in range(1, 9, 2)]
    await publish(data.broker, *sorted([*large, *small], key=lambda one: one.id))
    assert [f"m{number}" for number in range(9)] == await delivered(data.broker, 9)


async def test_dead_letters_and_what_comes_later_are_there(data: DataDirectory) -> None:
    await data.broker.declare(queue())
    await data.broker.bury([DeadLetter(message=message(n), reason=f"r{n}", dead_at=1.0) for n in (1, 2)])
    await data.broker.remove(*WHERE, [("m1", 1)])
    soon = time.time() + 0.2
    await data.broker.delay([(message(3), soon), (message(4), soon + 4e8)])
    async with after_a_kill(data) as later:
        assert ["m2"] == [letter.message.id for letter in await later.broker.browse(*WHERE)]
        depth = await later.broker.depth(*WHERE)
        assert (1, 2) == (depth.dead, depth.scheduled + sum(depth.ready))
        assert ["m3"] == await delivered(later.broker, 1)
        assert time.time() >= soon
        assert 1 == (await later.broker.depth(*WHERE)).scheduled


async def test_what_came_due_is_not_due_again(data: DataDirectory) -> None:
    await data.broker.declare(queue())
    await data.broker.delay([(message(number), 1.0) for number in range(200)])
    assert 200 == len(set(await delivered(data.broker, 200)))
    async with after_a_kill(data) as later:
        assert (0, 200) == ((depth := await later.broker.depth(*WHERE)).scheduled, sum(depth.ready))


async def test_sets_of_partitions_are_there_and_older_ones_are_still_over(data: DataDirectory) -> None:
    await data.broker.declare(queue(1))
    await publish(data.broker, message(1))
    await data.broker.declare(queue(2))
    await publish(data.broker, message(2))
    async with after_a_kill(data) as later:
        assert (1, 2) == await later.broker.declare(queue(2))
        listener = Listener(later.broker, "a")
        listener.consumer.open(1, ONLY, 10)
        await listener.until(lambda: listener.saw(NothingFollows))
        assert ["m1"] == listener.delivered(1)
        listener.consumer.ack(1, listener.tags(1))
        await listener.until(lambda: listener.saw(Proven))
        await later.broker.retire(*WHERE, 1)
        assert (2,) == await later.broker.declare(queue(2))


async def test_a_deleted_queue_leaves_nothing_to_the_next_of_its_name(data: DataDirectory) -> None:
    await data.broker.declare(queue())
    await publish(data.broker, message(1))
    await data.broker.bury([DeadLetter(message=message(2), reason="r", dead_at=1.0)])
    await data.broker.delay([(message(3), time.time() + 4e8)])
    await data.store.confirm([message(1)])
    await data.broker.delete(*WHERE)
    await data.store.forget(*WHERE)
    async with after_a_kill(data) as later:
        await later.broker.declare(queue())
        depth = await later.broker.depth(*WHERE)
        assert (0, 0, 0) == (sum(depth.ready), depth.dead, depth.scheduled)
        assert await later.store.message(*WHERE, "m1") is None


async def test_endings_and_session_state_are_there(data: DataDirectory) -> None:
    ending = Ending(state=State.SUCCEEDED, ended_at=2.0, body=b"done")
    state = SessionState(b"kept", "text/plain")
    got = await claimed(data.store, message(1))
    await ask(data.store, Commit(message(1), got.epoch, attempt(), ending, write=StateWrite(state, 600)))
    async with after_a_kill(data) as later:
        record = await later.store.message(*WHERE, "m1")
        assert record is not None
        assert (State.SUCCEEDED, ending, [attempt()]) == (record.state, record.ending, record.attempts)
        await ask(later.store, Renew(60, Report()))
        assert [Ended(ending, 1, marked=True)] == await ask(later.store, Claim(message(1), 1, 64, 1.0))
        second = await claimed(later.store, message(2))
        assert second.epoch > got.epoch
        assert [StateFound(state)] == await ask(later.store, ReadState(message(2), second.epoch))


async def test_an_attempt_that_was_open_was_an_interruption(data: DataDirectory) -> None:
    await claimed(data.store, message(1))
    async with after_a_kill(data) as later:
        record = await later.store.message(*WHERE, "m1")
        assert record is not None
        assert (State.RETRYING, ["interrupted"]) == (record.state, [one.outcome for one in record.attempts])
        again = await claimed(later.store, message(1))
        assert (2, 0, 1) == (again.attempt, again.failures, again.interruptions)


async def test_a_retry_is_still_waited_for_and_its_session_can_be_skipped(data: DataDirectory) -> None:
    got = await claimed(data.store, message(1))
    await ask(data.store, Fail(message(1), got.epoch, attempt(), False, time.time() + 4e8))
    async with after_a_kill(data) as later:
        await ask(later.store, Renew(60, Report()))
        (reply,) = await ask(later.store, Claim(message(1), 1, 64, 1.0))
        assert isinstance(reply, NotYet)
        skipped = await later.store.skip(*WHERE, "s", "enough")
        assert skipped is not None
        assert State.DEAD == skipped.state


async def test_settled_records_expire_when_they_would_have(data: DataDirectory) -> None:
    for number, keep_seconds in ((2, 4e8), (1, 0.0)):
        got = await claimed(data.store, message(number), number)
        ending = Ending(state=State.SUCCEEDED, ended_at=2.0)
        await ask(data.store, Commit(message(number), got.epoch, attempt(), ending))
        await ask(data.store, Settle([(f"m{number}", 1)], keep_seconds))
    async with after_a_kill(data) as later:
        assert await later.store.message(*WHERE, "m1") is None
        assert await later.store.message(*WHERE, "m2") is not None


async def test_keys_definitions_and_places_in_the_log_are_there(data: DataDirectory) -> None:
    begin = await data.store.tail(*WHERE)
    await data.store.admit(message(1), b"digest")
    await data.store.confirm([message(1)])
    workqueue = WorkQueue(name="q", spec=parse_spec({"paused": True}), resumes=3)
    await data.store.put(workqueue)
    await data.store.put(WorkQueue(name="gone"))
    await data.store.delete("default", "gone")
    async with after_a_kill(data) as later:
        known = await later.store.admit(message(1), b"other")
        assert known is not None
        assert b"digest" == known.digest
        assert await later.store.is_confirmed(*WHERE, "m1")
        assert [workqueue] == await later.store.list()
        stretch = await later.store.events(*WHERE, begin, limit=10)
        assert (False, ["m1"]) == (stretch.gap, [event.id for _, event in stretch.entries])
        assert (later.keys.ids, later.keys.tokens) == (data.keys.ids, data.keys.tokens)


async def test_the_file_does_not_grow_with_what_went_through(data: DataDirectory) -> None:
    await data.broker.declare(queue())
    listener = Listener(data.broker, "a")
    listener.consumer.open(1, ONLY, 200)
    body, through = bytes(32_000), 0
    for turn in range(20):
        batch = [Message(namespace="default", queue="q", id=f"m{turn}-{n}", body=body) for n in range(100)]
        through += len(batch) * len(body)
        await publish(data.broker, *batch)
        await data.store.confirm(batch)
        await listener.until(lambda turn=turn: len(listener.delivered(1)) == 100 * (turn + 1))  # type: ignore[misc]
        await asyncio.gather(*(data.store.cancel(*WHERE, one.id) for one in batch))
        await ask(data.store, Settle([(one.id, 1) for one in batch], 0.0))
        listener.consumer.ack(1, listener.tags(1)[-100:])
    await data.journal.on_disk()
    kept = sum((data.path / name).stat().st_size for name in (FILE, f"{FILE}-wal"))
    assert kept < through / 2


@pytest.mark.parametrize("kept", [3, 5])
async def test_a_log_that_has_let_go_of_its_beginning_goes_on(data: DataDirectory, kept: int) -> None:
    log = KeptLog(data.journal, 77, kept=kept)
    for number in range(kept + 2):
        log.note(Record(id=f"m{number}"), 1.0)
        log.save()
    await data.journal.on_disk()
    again = KeptLog(data.journal, 77, log.name, kept=kept)
    assert log.read("", None, 99) == again.read("", None, 99)
    again.note(Record(id="next"), 1.0)
    expected = [*(f"m{number}" for number in range(3, kept + 2)), "next"]
    assert expected == [event.id for _, event in again.read("", None, 99).entries]
