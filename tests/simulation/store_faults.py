"""What the store does wrong: it forgets everything, loses its last moments, or cannot be reached."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from backends.embedded.state import QueueState
from contracts.message import Message
from contracts.records import Record
from sidecar.core.membership import LEASE_SECONDS

if TYPE_CHECKING:
    from tests.simulation.world import World

WHERE = ("default", "q")
LOST_SECONDS = 1.0
"""How much a store that syncs once a second may lose."""


class StoreFaults:
    """The mishaps of one world's store."""

    def __init__(self, world: World) -> None:
        self._world = world

    def forget(self) -> None:
        """The store loses all that it knew of the queue; nobody is allowed anything new for one lease."""
        world = self._world
        old, now = world.state(), world.clock.now
        soon_again = old.life > 1 and now < old.quarantine_until + LEASE_SECONDS
        world.checker.store_forgot(self._unsettled(), excuse_all=soon_again or world.has("slow store"))
        world.store._queues[WHERE] = QueueState(old.push, old.ended, old.life + 1, now + LEASE_SECONDS)

    def _unsettled(self) -> list[Message]:
        parts = self._world.broker._queues[WHERE].all()
        held = [message for part in parts for channel in part.line for message in channel.unacked.values()]
        return held + [message for part in parts for message in part.ready]

    def roll_back(self) -> None:
        """It restarts with what it had a moment ago, as if nothing had been said since."""
        world = self._world
        before = world.state()
        kept = deepcopy(before, {id(before.push): before.push, id(before.ended): before.ended})
        world.clock.after(world.clock.random.uniform(0.01, LOST_SECONDS), lambda: self._restore(before.life, kept))

    def _restore(self, life: int, kept: QueueState) -> None:
        world = self._world
        lost = world.state()
        if lost.life != life:
            return  # it has forgotten everything meanwhile
        world.say("world", "store", "restarts without its last moments")
        touched = {name for name, record in lost.records.items() if not _same(record, kept.records.get(name))}
        touched |= {lock.message_id for lanes in (lost.locks, kept.locks) for lock in lanes.values()}
        ended = {name for name, record in kept.records.items() if record.ending is not None}
        world.checker.store_rolled_back(touched, ended, {name: state for name, (state, _) in kept.sessions.items()})
        world.store._queues[WHERE] = kept

    def cut_off(self, seconds: float, *incarnations: str) -> None:
        """These replicas cannot reach it for so long."""
        world = self._world
        for replica in world.replicas:
            if replica.incarnation in incarnations:
                replica.store_away_until = world.clock.now + seconds
                if seconds > LEASE_SECONDS / 2:
                    replica.excuse_calls()

    def outage(self, seconds: float) -> None:
        """Nobody can reach it for so long."""
        self.cut_off(seconds, *(replica.incarnation for replica in self._world.replicas))


def _same(one: Record, other: Record | None) -> bool:
    return other is not None and one == other
