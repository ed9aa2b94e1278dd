"""Partitions: shards of a queue's sessions, in sets of which a newer one has twice as many.

A queue starts with one set. Doubling makes another: what is published from then on goes there, and the older set is
emptied by whoever consumes it. A key of partition ``i`` of ``n`` is in ``i`` or ``i + n`` of ``2n``, since both take the
hash of the key modulo their number.
"""

from __future__ import annotations

from typing import NamedTuple


class Partition(NamedTuple):
    """The partition ``number`` (from 0) of the set of ``of`` partitions."""

    of: int
    number: int

    def within(self, of: int) -> Partition:
        """The partition of an older set, of so many, that had this one's sessions."""
        return Partition(of, self.number % of)

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"
