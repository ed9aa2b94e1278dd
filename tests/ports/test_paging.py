"""The durable broker with pages of three: whatever is published, acked and handed on, nothing is lost or overtaken."""

from __future__ import annotations

import random

import pytest

from backends.durable import partition
from backends.durable.directory import DataDirectory
from contracts.message import Message
from tests.ports.listening import ONLY, WHERE, Listener, publish, queue


def _sized(number: int, chance: random.Random) -> Message:
    body = bytes(chance.choice((1, 1, partition.SMALL_BYTES + 1)))
    return Message(namespace="default", queue="q", id=f"{number:04}", session="s", body=body)


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_left_is_always_delivered_in_order(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(partition, "PAGE", 3)
    chance = random.Random(seed)
    await data.broker.declare(queue())
    listener = Listener(data.broker, "a")
    left: list[str] = []
    number, channel = 0, 1
    for _ in range(25):
        listener.consumer.open(channel, ONLY, chance.choice((1, 4, 50)))
        batch = [_sized(number + n, chance) for n in range(chance.randrange(8))]
        number += len(batch)
        await publish(data.broker, *batch)
        left += [one.id for one in batch]
        wanted = min(len(left), 1)
        await listener.until(lambda wanted=wanted, channel=channel: len(listener.delivered(channel)) >= wanted)  # type: ignore[misc]
        got = listener.delivered(channel)
        assert left[: len(got)] == got
        acked = chance.sample(list(zip(listener.tags(channel), got, strict=True)), chance.randint(0, len(got)))
        listener.consumer.ack(channel, [tag for tag, _ in acked])
        left = [one for one in left if one not in {name for _, name in acked}]
        depth = await data.broker.depth(*WHERE)
        assert len(left) == sum(depth.ready) + depth.unacked
        if chance.random() < 0.7:
            listener.consumer.close(channel)
        else:
            listener.consumer.stop()
        channel += 1
    listener.consumer.open(channel, ONLY, number)
    await listener.until(lambda: len(listener.delivered(channel)) == len(left))
    assert left == listener.delivered(channel)
