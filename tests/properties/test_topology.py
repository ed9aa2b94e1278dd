"""Partitions: every message has its place, a session one place, and owners share them with few moves."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from backends.embedded.broker import EmbeddedBroker
from contracts.deliveries import Delivered, Depth, Happening
from contracts.message import Message
from contracts.topology import Partition
from contracts.workqueue import WorkQueue, parse_spec
from sidecar.core.ownership import assign, standby

COUNTS = (1, 2, 4, 8, 16, 32)
counts = st.sampled_from(COUNTS)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
replicas = st.lists(st.sampled_from([f"r{number}" for number in range(9)]), unique=True)
owner_lists = st.lists(st.none() | st.sampled_from([f"r{number}" for number in range(12)]), max_size=64)
partition_counts = st.integers(1, 64)


def queue_of(partitions: int) -> WorkQueue:
    return WorkQueue(name="q", spec=parse_spec({"partitions": partitions}))


def place(partitions: int, message: Message) -> int:
    """The partition that the broker puts the message into."""

    async def ready() -> Depth:
        broker = EmbeddedBroker()
        await broker.declare(queue_of(partitions))
        await broker.publish([message])
        return await broker.depth("default", "q")

    counted = asyncio.run(ready()).ready
    assert partitions == len(counted)
    return counted.index(1)


def sets(*sizes: int) -> list[Partition]:
    return [Partition(of, number) for of in sizes for number in range(of)]


def message(name: str, session: str | None) -> Message:
    return Message(namespace="default", queue="q", id=name, session=session)


@given(names, names, st.none() | names, counts)
def test_messages_of_one_session_share_a_partition(one: str, two: str, session: str | None, partitions: int) -> None:
    first, second = place(partitions, message(one, session)), place(partitions, message(two, session))
    if session is not None or one == two:
        assert first == second


@given(names, st.none() | names, st.integers(0, 4))
def test_doubling_moves_a_session_to_its_partition_or_the_new_one_beside_it(
    name: str, session: str | None, power: int
) -> None:
    before, after = (place(COUNTS[power + more], message(name, session)) for more in (0, 1))
    assert after in (before, before + COUNTS[power])


def test_sessions_spread_over_all_partitions() -> None:
    found = Counter(place(8, message("m", f"customer-{number}")) for number in range(200))
    assert set(range(8)) == set(found)


@given(st.lists(st.tuples(names, st.none() | names), max_size=20), st.integers(0, 3))
def test_a_session_keeps_its_order_when_partitions_are_doubled(sent: list[tuple[str, str | None]], power: int) -> None:
    received: list[Message] = []

    def take(happenings: list[Happening]) -> None:
        received.extend(one.message for one in happenings if isinstance(one, Delivered))

    async def doubled() -> None:
        broker = EmbeddedBroker()
        await broker.declare(queue_of(COUNTS[power]))
        await broker.publish([message(name, session) for name, session in sent])
        await broker.declare(queue_of(COUNTS[power + 1]))
        await broker.publish([message(f"later {name}", session) for name, session in sent])
        consumer = broker.consumer("default", "q", "r", take)
        for channel, partition in enumerate(sets(COUNTS[power], COUNTS[power + 1]), 1):
            consumer.open(channel, partition, 100)
        await asyncio.sleep(0)

    asyncio.run(doubled())
    assert 2 * len(sent) == len(received)
    for session in {session for _, session in sent if session is not None}:
        names = [name for name, other in sent if other == session]
        assert names + [f"later {name}" for name in names] == [m.id for m in received if m.session == session]


# Owners


def placed(owners: list[str | None], partitions: int) -> list[str | None]:
    return [owners[partition] if partition < len(owners) else None for partition in range(partitions)]


@given(owner_lists, replicas, partition_counts)
def test_owners_have_equally_many_give_or_take_one(owners: list[str | None], members: list[str], count: int) -> None:
    plan = assign(owners, members, count)
    assert count == len(plan)
    if members:
        shares = [plan.count(member) for member in members]
        assert (count, True) == (sum(shares), max(shares) - min(shares) <= 1)
    else:
        assert (None,) * count == plan


@given(owner_lists, replicas.filter(bool), partition_counts)
def test_as_few_partitions_move_as_a_balance_allows(owners: list[str | None], members: list[str], count: int) -> None:
    plan, before = assign(owners, members, count), placed(owners, count)
    stayed = sum(old == new for old, new in zip(before, plan, strict=True))
    had = sorted((before.count(member) for member in members), reverse=True)
    low, more = divmod(count, len(members))
    assert sum(min(share, low + (rank < more)) for rank, share in enumerate(had)) == stayed


@given(owner_lists, replicas, partition_counts)
def test_whoever_computes_a_plan_computes_the_same(owners: list[str | None], members: list[str], count: int) -> None:
    plan = assign(owners, members, count)
    assert plan == assign(owners, members[::-1], count)
    assert plan == assign(plan, sorted(members), count), "and a plan that holds stays as it is"


@given(replicas.filter(lambda members: len(members) > 1), partition_counts)
def test_a_replica_that_goes_and_comes_back_moves_nothing_between_the_others(members: list[str], count: int) -> None:
    plan = assign((), members, count)
    gone, *rest = members
    without = assign(plan, rest, count)
    assert all(old == new for old, new in zip(plan, without, strict=True) if old != gone)
    again = assign(without, members, count)
    assert all(new in (old, gone) for old, new in zip(without, again, strict=True))


@given(st.none() | st.sampled_from([f"r{number}" for number in range(12)]), replicas, partition_counts)
def test_whoever_stands_by_is_another_living_replica(owner: str | None, members: list[str], partition: int) -> None:
    found = standby(owner, members, partition)
    assert found == standby(owner, members[::-1], partition)
    if owner is None or not set(members) - {owner}:
        assert None is found
    else:
        assert found in set(members) - {owner}


@given(replicas.filter(lambda members: len(members) > 1))
def test_standing_by_is_spread_over_all_that_are_left(members: list[str]) -> None:
    others = set(members) - {members[0]}
    shares = Counter(standby(members[0], members, partition) for partition in range(8 * len(others)))
    assert dict.fromkeys(others, 8) == shares
