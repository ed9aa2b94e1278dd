"""Older sets of partitions: what is left of each is told to the store, so that what followed it may be consumed."""

from __future__ import annotations

from contracts.fence import Emptied
from sidecar.core.lanes import Lanes
from sidecar.core.membership import Membership
from sidecar.core.outbox import Outbox

MOST_LANES = 64
"""The store is told once so few lanes are left: those that are short end first, those that are long need not be awaited."""


class Emptying:
    """Says of each partition in which nothing follows which lanes are left, and says it again as they become fewer.

    What is said in time is that all of it was delivered here: the last channel in line gets everything that is not
    acked, in order, and only behind it the word that nothing follows.
    """

    def __init__(self, lanes: Lanes, membership: Membership, outbox: Outbox) -> None:
        self._lanes = lanes
        self._membership = membership
        self._outbox = outbox

    def renewed(self) -> None:
        """It is said again with each lease: the store may have lost what it was told last."""
        for channel in self._membership.channels.values():
            channel.told = None

    def tell(self) -> None:
        for channel in self._membership.channels.values():
            if not channel.over or channel.close_at is not None or channel.told == channel.outstanding:
                continue
            left = self._lanes.of_channel(channel.number)
            if len(left) <= MOST_LANES:
                channel.told = channel.outstanding
                self._outbox.ask(Emptied(channel.partition, sorted(lane.key for lane in left)))
