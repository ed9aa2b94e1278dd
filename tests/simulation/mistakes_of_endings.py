"""Mistakes in how attempts end, in the lanes, and in the replica's place among its peers."""

from __future__ import annotations

from tests.simulation.mutations import Mutation

_ENDINGS, _LANES = "sidecar.core.endings", "sidecar.core.lanes"
_MEMBERSHIP, _OUTBOX = "sidecar.core.membership", "sidecar.core.outbox"

OF_ENDINGS = (
    Mutation(
        "ack before commit",
        _ENDINGS,
        "        self.say(lane, Commit(",
        "        channel = self._membership.channels.get(lane.head.channel)\n"
        "        if channel is not None:\n"
        "            self._outbox.ack(channel.number, lane.head.tag)\n"
        "        self.say(lane, Commit(",
        "the delivery is acked when the handler answers, before the end is committed",
    ),
    Mutation(
        "no burial",
        _ENDINGS,
        "            letters = [self._letter(message, ending, made)] if ending.state is State.DEAD else []",
        "            letters: list[DeadLetter] = []",
        "a dead message is acked without its dead letter",
        seed=23,
    ),
    Mutation(
        "emitted without the commit",
        _ENDINGS,
        "        if staged is not None and ending.state is State.SUCCEEDED:",
        "        if staged is not None:",
        "a failed message emits and writes all the same",
    ),
    Mutation(
        "acked before emits are confirmed",
        _ENDINGS,
        "        lane.sending -= 1\n        if lane.sending:\n            return",
        "        lane.sending -= 1",
        "the lane goes on when the first of several emitted messages is confirmed",
        seed=6,
    ),
    Mutation(
        "emitted all at once",
        _ENDINGS,
        "        place = places[message.queue, message.lane]\n",
        "        place = 0\n",
        "messages of one session are published at once, and may overtake each other when one is sent again",
        needs=("emitting", "publishes unconfirmed"),
    ),
    Mutation(
        "orphans dropped",
        _ENDINGS,
        "            self._outbox.send(self._orphan(lane.message, message, now), lane)\n            return",
        "            fate = Fate.HELD",
        "an emitted message whose queue is gone is lost",
        seed=7,
    ),
    Mutation(
        "blocked and acked",
        _ENDINGS,
        "        if not blocks:\n            self._settle(lane)",
        "        if True:\n            self._settle(lane)",
        "a dead head that blocks its session is acked",
        seed=2,
    ),
    Mutation(
        "fenced but settled",
        _ENDINGS,
        "        if isinstance(reply, Done):\n            ending, message",
        "        if True:\n            ending, message",
        "a commit that was refused counts as done",
        seed=16,
    ),
    Mutation(
        "delay before the failure is told",
        _ENDINGS,
        "        if operation.message.session is None and wait >= DELAY_SECONDS:",
        "        if operation.message.session is None or wait >= DELAY_SECONDS:",
        "a message of a session waits outside the queue, and the next one overtakes it",
    ),
    Mutation(
        "lease for ever",
        _MEMBERSHIP,
        "        return now.monotonic < self.lease_until",
        "        return self.lease_until > 0",
        "a replica believes in its lease for ever",
        needs=("replicas pause",),
        seed=203,
    ),
    Mutation(
        "lease counted from the answer",
        _MEMBERSHIP,
        "        self.lease_until = self._unbroken_until = asked_at + LEASE_SECONDS - LEASE_MARGIN_SECONDS",
        "        self.lease_until = self._unbroken_until = now.monotonic + 2 * LEASE_SECONDS",
        "the lease is believed in for longer than the store grants it",
        needs=("replicas pause", "slow store"),
        seed=124,
    ),
    Mutation(
        "lost channels stay lost",
        _MEMBERSHIP,
        "        self._by_partition.pop(channel.partition, None)\n",
        "        pass\n",
        "a partition whose channel was cut is never opened again",
        seed=1,
    ),
    Mutation(
        "overtaking",
        _LANES,
        "        lane.phase = Phase.PARKED\n        tries = lane.tries\n",
        "        lane.phase = Phase.PARKED\n        tries = lane.tries\n"
        "        if len(lane.waiting) > 1:\n"
        "            lane.waiting.rotate(-1)\n"
        "            lane.message = lane.head.message\n",
        "while a message waits for its due time, the next one of its session is tried",
    ),
    Mutation(
        "lost deliveries kept",
        _LANES,
        "            lane.waiting.extend(d for d in rest if d.channel != channel)",
        "            lane.waiting.extend(rest)",
        "deliveries of a lost channel stay in the lanes, and come twice",
        seed=47,
    ),
    Mutation(
        "stale head",
        _LANES,
        "        lane.message = lane.head.message\n        lane.alone = False",
        "        lane.alone = False",
        "the lane goes on, and claims for the message before",
    ),
    Mutation(
        "operations forgotten",
        _OUTBOX,
        "        again = [(op, about) for op, about in asked if op.__class__ is not Renew]",
        "        again = [(op, about) for op, about in asked[:0] if op.__class__ is not Renew]",
        "what the store did not answer is not said again",
        seed=1,
    ),
    Mutation(
        "unconfirmed is confirmed",
        _OUTBOX,
        "            if fate is Fate.UNKNOWN:",
        "            if False:",
        "what the broker did not confirm counts as published",
        seed=6,
    ),
)
