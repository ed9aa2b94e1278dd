"""Channels as they come and go: what is delivered on them, and how a partition is handed over."""

from __future__ import annotations

from contracts.deliveries import ChannelLost, Delivered, NothingFollows, Proven
from contracts.fence import Settle
from sidecar.core.events import Now
from sidecar.core.lanes import Channel, Delivery, Lanes
from sidecar.core.membership import HANDOVER_SECONDS, REOPEN_SECONDS, STEP_IN_SECONDS, Membership
from sidecar.core.outbox import Outbox


class Handover:
    """Takes what the broker says of channels. Opens those that the plan gives, and closes those that it takes away."""

    def __init__(self, lanes: Lanes, membership: Membership, outbox: Outbox) -> None:
        self._lanes = lanes
        self._membership = membership
        self._outbox = outbox
        self._settled: list[tuple[str, int]] = []
        self.drain_deadline = float("inf")

    # What the broker says

    def delivered(self, event: Delivered, now: Now) -> None:
        """A message came, and counts if its channel still does."""
        channel = self._membership.channels.get(event.channel)
        if channel is not None and channel.close_at is None:
            if self._membership.served(channel, now):
                self._outbox.at(now.monotonic + STEP_IN_SECONDS, lambda _: self._membership.step_back())
            channel.outstanding += 1
            channel.bytes += len(event.message.body)
            self._lanes.add(Delivery(event.channel, event.tag, event.message), channel.partition.of)

    def lost(self, event: ChannelLost, now: Now) -> None:
        """The broker has ended the channel, or the connection was."""
        if self._membership.lost(event.channel, now):
            self._lanes.forget_unstarted(event.channel, gone=True)
            self._outbox.at(now.monotonic + REOPEN_SECONDS, lambda _: None)

    def nothing_follows(self, event: NothingFollows, now: Now) -> None:
        """All that the partition will ever hold was delivered."""
        channel = self._membership.channels.get(event.channel)
        if channel is not None:
            channel.over = True

    def proven(self, event: Proven, now: Now) -> None:
        """The broker has provably forgotten these deliveries."""
        channel = self._membership.channels.get(event.channel)
        if channel is not None:
            acked = channel.acked
            proven = [acked.pop(tag, None) for tag in event.tags]
            self._settled.extend(key for key in proven if key is not None)

    def tell_settled(self, keep_seconds: float) -> None:
        """The records of what was proven since the last turn may expire."""
        if self._settled:
            self._outbox.ask(Settle(self._settled, keep_seconds))
            self._settled = []

    # What follows

    def drain(self, deadline: float) -> None:
        """Nothing is waited for beyond this time."""
        self.drain_deadline = min(self.drain_deadline, deadline)
        self._outbox.at(deadline, lambda _: None)
        for channel in self._membership.channels.values():
            if channel.close_at is not None:
                channel.close_at = min(channel.close_at, deadline)

    def follow(self, now: Now) -> None:
        """Opens what the plan gives, and closes what it took away once what is short has ended."""
        if not self._membership.holds_lease(now) and not self._membership.draining:
            return
        for channel in self._membership.follow_plan(now):
            longest = self.drain_deadline if self._membership.draining else now.monotonic + HANDOVER_SECONDS
            channel.close_at = longest
            self._lanes.forget_unstarted(channel.number, gone=False)
            self._outbox.at(longest, lambda _: None)
        closing = {c.number: c for c in self._membership.channels.values() if c.close_at is not None}
        if closing:
            self._close(closing, now)

    def _close(self, closing: dict[int, Channel], now: Now) -> None:
        busy = self._lanes.busy_on(set(closing))
        for number, channel in closing.items():
            done = number not in busy and not channel.acked
            if done or (channel.close_at or 0.0) <= now.monotonic:
                self._membership.close(channel)
                self._lanes.forget_unstarted(number, gone=True)
