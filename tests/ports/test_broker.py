"""What a broker must guarantee: order, redelivery in order, one served channel a partition, confirms, the doorbell."""

from __future__ import annotations

import asyncio

import pytest

from backends.ports import Broker
from contracts.deliveries import ChannelLost, NothingFollows, Proven
from contracts.errors import PermanentError, TransientError
from contracts.message import DeadLetter, Message
from contracts.topology import Partition
from tests.ports.listening import ONLY, WHERE, Listener, message, publish, queue


async def test_a_session_comes_in_the_order_in_which_it_was_published(broker: Broker) -> None:
    await broker.declare(queue())
    await publish(broker, *(message(number) for number in range(50)))
    listener = Listener(broker, "a")
    listener.consumer.open(1, ONLY, 100)
    await listener.until(lambda: len(listener.delivered(1)) == 50)
    assert [f"m{number}" for number in range(50)] == listener.delivered(1)
    assert sorted(set(listener.tags(1))) == listener.tags(1)


async def test_a_session_stays_in_one_partition_and_sessions_spread(broker: Broker) -> None:
    await broker.declare(queue(8))
    await publish(broker, *(message(number, f"s{number % 40}") for number in range(400)))
    depth = await broker.depth(*WHERE)
    assert 400 == sum(depth.ready)
    assert all(count % 10 == 0 for count in depth.ready), "each session's ten messages are together"
    assert sum(1 for count in depth.ready if count) >= 4


async def test_a_window_bounds_what_is_unacked_and_can_be_widened(broker: Broker) -> None:
    await broker.declare(queue())
    await publish(broker, *(message(number) for number in range(10)))
    listener = Listener(broker, "a")
    listener.consumer.open(1, ONLY, 3)
    await listener.until(lambda: len(listener.delivered(1)) == 3)
    depth = await broker.depth(*WHERE)
    assert (7, 3) == (sum(depth.ready), depth.unacked)
    listener.consumer.widen(1, 5)
    await listener.until(lambda: len(listener.delivered(1)) == 5)
    listener.consumer.ack(1, listener.tags(1)[:2])
    await listener.until(lambda: len(listener.delivered(1)) == 7)


async def test_what_was_not_acked_goes_to_the_next_in_line_in_order(broker: Broker) -> None:
    await broker.declare(queue())
    await publish(broker, *(message(number) for number in range(6)))
    first, second = Listener(broker, "a"), Listener(broker, "b")
    first.consumer.open(1, ONLY, 4)
    second.consumer.open(1, ONLY, 10)
    await first.until(lambda: len(first.delivered(1)) == 4)
    assert [] == second.delivered(1), "one channel is served at a time"
    first.consumer.ack(1, first.tags(1)[:1])
    await first.until(lambda: first.saw(Proven))
    first.consumer.close(1)
    await second.until(lambda: len(second.delivered(1)) == 5)
    assert ["m1", "m2", "m3", "m4", "m5"] == second.delivered(1)


async def test_an_ack_is_proven_and_final(broker: Broker) -> None:
    await broker.declare(queue())
    await publish(broker, message(1), message(2))
    listener = Listener(broker, "a")
    listener.consumer.open(1, ONLY, 10)
    await listener.until(lambda: len(listener.delivered(1)) == 2)
    listener.consumer.ack(1, listener.tags(1)[:1])
    await listener.until(lambda: listener.saw(Proven))
    listener.consumer.close(1)
    listener.consumer.open(2, ONLY, 10)
    await listener.until(lambda: len(listener.delivered(2)) == 1)
    assert ["m2"] == listener.delivered(2)


async def test_nothing_happens_on_a_channel_after_it_was_closed(broker: Broker) -> None:
    await broker.declare(queue())
    await publish(broker, message(1))
    listener = Listener(broker, "a")
    listener.consumer.open(1, ONLY, 10)
    listener.consumer.close(1)
    listener.consumer.open(2, ONLY, 10)
    await listener.until(lambda: bool(listener.delivered(2)))
    assert [] == listener.delivered(1)
    assert not listener.saw(ChannelLost)


async def test_a_partition_that_is_not_there_is_a_lost_channel(broker: Broker) -> None:
    await broker.declare(queue())
    listener = Listener(broker, "a")
    listener.consumer.open(1, Partition(1, 7), 10)
    await listener.until(lambda: listener.saw(ChannelLost))


async def test_publishing_to_no_queue_is_an_error_of_that_message_alone(broker: Broker) -> None:
    await broker.declare(queue())
    lost = Message(namespace="default", queue="nowhere", id="x")
    first, second, third = await broker.publish([message(1), lost, message(2)])
    assert (None, None) == (first, third)
    assert isinstance(second, PermanentError)
    with pytest.raises(PermanentError):
        await broker.depth("default", "nowhere")


async def test_declaring_again_keeps_messages_and_halving_is_refused(broker: Broker) -> None:
    assert (2,) == await broker.declare(queue(2))
    await publish(broker, message(1))
    assert (2,) == await broker.declare(queue(2))
    assert 1 == sum((await broker.depth(*WHERE)).ready)
    with pytest.raises(PermanentError, match="doubled"):
        await broker.declare(queue(1))


async def test_doubling_leaves_what_was_there_and_says_that_nothing_follows(broker: Broker) -> None:
    await broker.declare(queue(1))
    listener = Listener(broker, "a")
    listener.consumer.open(1, ONLY, 5)
    await publish(broker, *(message(number, f"s{number % 7}") for number in range(10)))
    await listener.until(lambda: len(listener.delivered(1)) == 5)
    assert (1, 2) == await broker.declare(queue(2))
    await publish(broker, *(message(number, f"s{number % 7}") for number in range(10, 70)))
    assert 65 == sum((await broker.depth(*WHERE)).ready)
    assert not listener.saw(NothingFollows), "something does: the window is full"
    listener.consumer.widen(1, 100)
    await listener.until(lambda: listener.saw(NothingFollows))
    assert NothingFollows(1) == listener.happened[-1]
    assert [f"m{number}" for number in range(10)] == listener.delivered(1)
    listener.consumer.open(2, Partition(2, 0), 100)
    listener.consumer.open(3, Partition(2, 1), 100)
    await listener.until(lambda: len(listener.delivered(2) + listener.delivered(3)) == 60)
    for session in range(7):
        wanted = [f"m{number}" for number in range(10, 70) if number % 7 == session]
        for channel in (2, 3):
            got = [name for name in listener.delivered(channel) if int(name[1:]) % 7 == session]
            assert got in ([], wanted)


async def test_nothing_follows_not_even_what_was_published_at_the_same_time(broker: Broker) -> None:
    await broker.declare(queue(1))
    listener = Listener(broker, "a")
    listener.consumer.open(1, ONLY, 10)
    await asyncio.gather(publish(broker, message(1)), broker.declare(queue(2)))
    await listener.until(lambda: listener.saw(NothingFollows))
    assert (["m1"], NothingFollows(1)) == (listener.delivered(1), listener.happened[-1])


async def test_each_channel_that_is_served_hears_that_nothing_follows_behind_what_it_is_given(broker: Broker) -> None:
    await broker.declare(queue(1))
    await publish(broker, message(1), message(2))
    await broker.declare(queue(4))
    first, second = Listener(broker, "a"), Listener(broker, "b")
    first.consumer.open(1, ONLY, 10)
    await first.until(lambda: first.saw(NothingFollows))
    first.consumer.ack(1, first.tags(1)[:1])
    await first.until(lambda: first.saw(Proven))
    second.consumer.open(1, ONLY, 10)
    first.consumer.close(1)
    await second.until(lambda: second.saw(NothingFollows))
    assert (["m2"], NothingFollows(1)) == (second.delivered(1), second.happened[-1])


async def test_a_set_is_taken_away_only_when_it_is_older_and_empty(broker: Broker) -> None:
    await broker.declare(queue(1))
    await publish(broker, message(1))
    with pytest.raises(PermanentError):
        await broker.retire(*WHERE, 1)
    await broker.declare(queue(2))
    listener = Listener(broker, "a")
    listener.consumer.open(1, ONLY, 10)
    await listener.until(lambda: bool(listener.tags(1)))
    with pytest.raises(TransientError):
        await broker.retire(*WHERE, 1)
    listener.consumer.ack(1, listener.tags(1))
    await listener.until(lambda: listener.saw(Proven))
    await broker.retire(*WHERE, 1)
    await listener.until(lambda: listener.saw(ChannelLost))
    await broker.retire(*WHERE, 1)
    assert (2,) == await broker.declare(queue(2))


async def test_the_doorbell_rings_once_for_the_first_message(broker: Broker) -> None:
    await broker.declare(queue())
    rings: list[int] = []
    rang = asyncio.Event()

    def ring() -> None:
        rings.append(1)
        rang.set()

    await broker.arm(*WHERE, ring)
    await publish(broker, message(1), message(2))
    await asyncio.wait_for(rang.wait(), 10)
    await publish(broker, message(3))
    assert [1] == rings
    await broker.arm(*WHERE, ring)
    await broker.disarm(*WHERE)
    await publish(broker, message(4))
    assert [1] == rings


async def test_dead_letters_are_kept_once_each_and_can_be_taken_away(broker: Broker) -> None:
    await broker.declare(queue())
    letters = [DeadLetter(message=message(number), reason=f"r{number}", dead_at=float(number)) for number in (1, 2, 1)]
    assert [None] * 3 == await broker.bury(letters)
    assert [("m1", "r1"), ("m2", "r2")] == [(x.message.id, x.reason) for x in await broker.browse(*WHERE)]
    assert 2 == (await broker.depth(*WHERE)).dead
    assert 1 == await broker.remove(*WHERE, [("m1", 1), ("m9", 1)])
    assert ["m2"] == [x.message.id for x in await broker.browse(*WHERE)]


async def test_deleting_a_queue_ends_its_channels_and_is_harmless_to_repeat(broker: Broker) -> None:
    await broker.declare(queue())
    listener = Listener(broker, "a")
    listener.consumer.open(1, ONLY, 10)
    await broker.delete(*WHERE)
    await listener.until(lambda: listener.saw(ChannelLost))
    await broker.delete(*WHERE)
    (error,) = await broker.publish([message(1)])
    assert isinstance(error, PermanentError)
