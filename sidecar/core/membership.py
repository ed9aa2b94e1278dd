"""The replica among its peers: its lease, the plan of partitions, and the channels that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from contracts.fence import Leave, Operation, Propose, Renew
from contracts.records import Plan, Report
from contracts.replies import Planned, Renewed
from contracts.topology import Partition
from contracts.workqueue import WorkQueue
from sidecar.core.effects import CloseChannel, Effect, OpenChannel, Widen
from sidecar.core.events import Now
from sidecar.core.lanes import Channel
from sidecar.core.ownership import assign, standby

LEASE_SECONDS = 15.0
LEASE_MARGIN_SECONDS = 1.0
"""The replica counts its lease from before it asked, and believes in it for this much less."""
RENEW_SECONDS = 3.0
REPORT_SECONDS = 0.5
"""A replica whose numbers move renews this often, so that they can be looked at."""
HANDOVER_SECONDS = 1.0
"""A partition that moves away waits this long for calls to end; longer ones go on under their lease."""
STEP_IN_SECONDS = LEASE_SECONDS + RENEW_SECONDS
"""Who stands by and was served gives the partition back after so long, if its owner lives and nobody planned anew."""
REOPEN_SECONDS = 0.2
MAX_WINDOW = 10_000
MAX_WINDOW_BYTES = 64 * 1024 * 1024


class Membership:
    """Lease, plan and channels of one replica. Asks the store through ``ask`` and wants effects through ``emit``.

    The plan is one of owners by number: who owns a partition of the newest set owns those of older ones with its number.
    A partition is not consumed before the one of the next older set that had its sessions was said to be emptied.
    """

    def __init__(
        self,
        workqueue: WorkQueue,
        incarnation: str,
        ask: Callable[[Operation], None],
        emit: Callable[[Effect], None],
    ) -> None:
        self._partitions = workqueue.spec.partitions
        self._older = workqueue.older
        self._emptied: frozenset[Partition] = frozenset()
        self.incarnation = incarnation
        self._ask = ask
        self._emit = emit
        self.lease_until = float("-inf")
        self._unbroken_until = float("-inf")
        self.renew_due = float("-inf")
        self._renewed_at = float("-inf")
        self._asked_at: float | None = None
        self._wanted_meanwhile = False
        self._reported = Report()
        self.plan = Plan()
        self._members: tuple[str, ...] = ()
        self._life = 0
        self.channels: dict[int, Channel] = {}
        self._by_partition: dict[Partition, Channel] = {}
        self._last_channel = 0
        self.window = 16
        self.draining = False
        self._unsettled = True
        self._reopen_at = float("-inf")

    def redefine(self, workqueue: WorkQueue) -> None:
        """The queue may have other sets of partitions than before."""
        if (workqueue.spec.partitions, workqueue.older) != (self._partitions, self._older):
            self._partitions, self._older = workqueue.spec.partitions, workqueue.older
            self._unsettled = True
            self.renew_at_once()

    def drain(self) -> None:
        """From now on nothing is mine, and the others are to plan without me."""
        self.draining = self._unsettled = True
        self.renew_at_once()

    def holds_lease(self, now: Now) -> bool:
        return now.monotonic < self.lease_until

    def renew_if_due(self, report: Callable[[], Report], now: Now) -> None:
        """Renews on time, and earlier where the numbers have moved."""
        if self._asked_at is not None or now.monotonic < self.renew_due:
            return
        current = report()
        if current == self._reported and now.monotonic < self._renewed_at + RENEW_SECONDS:
            self.renew_due = self._renewed_at + RENEW_SECONDS
            return
        self._reported = current
        self._asked_at = now.monotonic
        self.renew_due = now.monotonic + REPORT_SECONDS
        self._wanted_meanwhile = False
        self._ask(Renew(LEASE_SECONDS, current, member=not self.draining))

    def stir(self, now: Now) -> None:
        """Something has happened: the numbers may have moved."""
        self.renew_due = min(self.renew_due, now.monotonic + REPORT_SECONDS)

    def next_due(self) -> float:
        """When to renew; never while a renewal is on its way."""
        return self.renew_due if self._asked_at is None else float("inf")

    def renew_at_once(self) -> None:
        """Due now, or right behind the one that is on its way: that may be too old to know of what has come up."""
        self._renewed_at = self.renew_due = float("-inf")
        self._wanted_meanwhile = self._asked_at is not None

    def lapse(self) -> None:
        """The store does not take us for alive: nothing starts before the next renewal, which is due at once."""
        self.lease_until = float("-inf")
        self.renew_at_once()

    def renewed(self, reply: Renewed, now: Now) -> bool:
        """The lease holds anew. A store that has forgotten has no plan either.

        False: it has forgotten, and the lease had lapsed before that. What ran under it may have been run again by
        others and forgotten too, so that it must not be asserted.
        """
        unbroken = reply.life == self._life or now.monotonic < self._unbroken_until
        asked_at = now.monotonic if self._asked_at is None else self._asked_at
        self._asked_at = None
        if not self._wanted_meanwhile:
            self._renewed_at = asked_at
        self.lease_until = self._unbroken_until = asked_at + LEASE_SECONDS - LEASE_MARGIN_SECONDS
        if reply.life != self._life:
            self._life, self.plan = reply.life, Plan()
        self._adopt(reply.plan)
        if (reply.members, reply.emptied) != (self._members, self._emptied):
            self._members, self._emptied, self._unsettled = reply.members, reply.emptied, True
        if self.draining:
            return unbroken
        # Partitions only become more: a replica that has not heard of it yet does not plan for fewer.
        count = max(self._partitions, len(self.plan.owners))
        wanted = assign(self.plan.owners, reply.members, count)
        if wanted != self.plan.owners:
            self._ask(Propose(Plan(self.plan.version + 1, wanted)))
        return unbroken

    def renewal_failed(self, now: Now) -> None:
        self._asked_at = None
        self.renew_due = now.monotonic + REPORT_SECONDS

    def planned(self, reply: Planned) -> None:
        self._adopt(reply.plan)

    def _adopt(self, plan: Plan) -> None:
        """The store's is the plan, though it may be an earlier one where the store has lost its last moments."""
        if plan != self.plan:
            self.plan = plan
            self._unsettled = True

    def leave(self) -> None:
        self._ask(Leave())

    def _all(self) -> Iterator[Partition]:
        """Every partition of every set, the oldest first."""
        return (Partition(of, number) for of in (*self._older, self._partitions) for number in range(of))

    def _owner(self, partition: Partition) -> str | None:
        owners = self.plan.owners
        return owners[partition.number] if not self.draining and partition.number < len(owners) else None

    def _follows(self, partition: Partition) -> bool:
        """Is what came before this partition out of its way, and is it of a set that is still there?"""
        if partition.of != self._partitions and partition.of not in self._older:
            return False
        before = max((of for of in self._older if of < partition.of), default=None)
        return before is None or partition.within(before) in self._emptied

    def _wants(self, partition: Partition) -> bool:
        """Does the plan give me the partition, or make me the one that stands by for it?"""
        owner = self._owner(partition)
        mine = self.incarnation in (owner, standby(owner, self._members, partition.number))
        return mine and self._follows(partition)

    def _keeps(self, channel: Channel, now: Now) -> bool:
        """Is the channel still right? One that stands by steps back for a new owner, so that it is not before it."""
        owner = self._owner(channel.partition)
        if owner == self.incarnation and self._follows(channel.partition):
            channel.behind = None
            return True
        if channel.behind != owner or not self._wants(channel.partition):
            return False
        return channel.active_since is None or now.monotonic < channel.active_since + STEP_IN_SECONDS

    def follow_plan(self, now: Now) -> list[Channel]:
        """Opens what is mine, or mine to stand by for; answers the open channels that are neither any more."""
        if not self._unsettled or now.monotonic < self._reopen_at:
            return []
        self._unsettled = False
        for partition in self._all():
            if partition not in self._by_partition and self._wants(partition):
                self._open(partition)
        return [c for c in self.channels.values() if c.close_at is None and not self._keeps(c, now)]

    def _open(self, partition: Partition) -> None:
        self._last_channel += 1
        owner = self._owner(partition)
        channel = Channel(self._last_channel, partition, self.window, None if owner == self.incarnation else owner)
        self.channels[channel.number] = self._by_partition[partition] = channel
        self._emit(OpenChannel(channel.number, partition, channel.window))

    def served(self, channel: Channel, now: Now) -> bool:
        """A delivery came. True the first time that it came to one who stands by: the owner's channel was cut."""
        if channel.behind is None or channel.active_since is not None:
            return False
        channel.active_since = now.monotonic
        return True

    def step_back(self) -> None:
        """It is time to see whether an owner that was cut off is back."""
        self._unsettled = True

    def close(self, channel: Channel) -> None:
        self._forget(channel)
        self._emit(CloseChannel(channel.number))

    def lost(self, number: int, now: Now) -> bool:
        """The channel is gone; if the plan still gives its partition, it is opened again a little later."""
        channel = self.channels.get(number)
        if channel is None:
            return False
        self._forget(channel)
        self._reopen_at = now.monotonic + REOPEN_SECONDS
        return True

    def _forget(self, channel: Channel) -> None:
        del self.channels[channel.number]
        self._by_partition.pop(channel.partition, None)
        self._unsettled = True

    def widen_full_windows(self) -> None:
        """Nothing in the windows can be started and there is room in the handler: look further down the queues."""
        for channel in self.channels.values():
            full = channel.outstanding >= channel.window
            if full and channel.window < MAX_WINDOW and channel.bytes < MAX_WINDOW_BYTES and channel.close_at is None:
                channel.window = min(channel.window * 2, MAX_WINDOW)
                self._emit(Widen(channel.number, channel.window))

    def narrow(self, channel: Channel) -> None:
        """A window that was widened goes back once what it held is worked off."""
        if channel.window > self.window and channel.outstanding <= self.window:
            channel.window = self.window
            self._emit(Widen(channel.number, self.window))
