"""A consumer of the durable broker: acks count, and are told as proven, once they are on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from backends.durable.journal import Journal
from backends.durable.partition import Channel, Mouth, StoredPartition
from backends.ports import OnHappenings
from contracts.deliveries import ChannelLost, Proven
from contracts.topology import Partition

FORGET: Final = "DELETE FROM messages WHERE key = ?"


class StoredConsumer:
    """One consumer; see ``backends.ports.Consumer``. ``sets`` are the queue's sets of partitions by their size."""

    def __init__(self, journal: Journal, sets: dict[int, list[StoredPartition]], on_happenings: OnHappenings) -> None:
        self._journal = journal
        self._sets = sets
        self._mouth = Mouth(journal, on_happenings)
        self._channels: dict[int, Channel] = {}

    def open(self, channel: int, partition: Partition, window: int) -> None:
        parts = self._sets.get(partition.of, [])
        if not 0 <= partition.number < len(parts):
            self._mouth.happen(ChannelLost(channel, f"there is no partition {partition}"))
            return
        place = parts[partition.number]
        self._channels[channel] = opened = Channel(self._mouth, channel, place, window)
        place.line.append(opened)
        place.pump()

    def _find(self, channel: int) -> Channel | None:
        found = self._channels.get(channel)
        return None if found is None or found.lost else found

    def widen(self, channel: int, window: int) -> None:
        found = self._find(channel)
        if found is not None:
            found.window = window
            found.partition.pump()

    def ack(self, channel: int, tags: Sequence[int]) -> None:
        found = self._find(channel)
        if found is None:
            return
        for tag in tags:
            stored = found.unacked.pop(tag, None)
            if stored is not None:
                self._journal.write(FORGET, (stored[0],))
        proven = Proven(channel, list(tags))
        self._journal.then(lambda: self._mouth.happen(proven) if self._find(channel) is found else None)
        found.partition.pump()

    def close(self, channel: int) -> None:
        found = self._channels.pop(channel, None)
        if found is not None and not found.lost:
            found.lost = True
            self._mouth.hush(channel)
            found.partition.end(found)

    def stop(self) -> None:
        for channel in list(self._channels):
            self.close(channel)
