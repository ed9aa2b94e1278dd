"""Claims: asking the store for the heads of lanes, as many as the handler has room for."""

from __future__ import annotations

from contracts.fence import (
    Assert,
    Claim,
    Claimed,
    Commit,
    Ended,
    Fail,
    Freed,
    Full,
    HeldBy,
    Idle,
    Later,
    Reply,
    Revoked,
    Withdraw,
    life_of,
)
from contracts.records import Ending, State
from sidecar.core.calls import Calls
from sidecar.core.endings import Endings
from sidecar.core.events import Now
from sidecar.core.lanes import GONE, Lane, Lanes, Phase
from sidecar.core.membership import Membership
from sidecar.core.outbox import Outbox
from sidecar.core.retry import too_many_interruptions
from sidecar.core.standing import Standing

POLL_SECONDS = 1.0
"""How often to ask again for what the store should have told."""


class Claims:
    """Asks for heads, and takes what the store answers."""

    def __init__(
        self,
        standing: Standing,
        lanes: Lanes,
        membership: Membership,
        outbox: Outbox,
        calls: Calls,
        endings: Endings,
    ) -> None:
        self._standing = standing
        self._lanes = lanes
        self._membership = membership
        self._outbox = outbox
        self._calls = calls
        self._endings = endings
        self._asked = 0
        self._serial = 0

    def start(self, now: Now) -> None:
        """Claims for as many heads as the handler has room for. Where none may start, only repair is asked for."""
        if self._membership.draining or not self._membership.holds_lease(now):
            return
        spec, startable = self._standing.spec, self._standing.startable
        room = spec.sessions.concurrency_per_replica - self._calls.running - self._asked
        most, rate = spec.sessions.max_concurrent, spec.limits.rate_per_second
        ready, ask, is_live = self._lanes.ready, self._outbox.ask, self._lanes.is_live
        while ready and room > 0:
            lane = ready.popleft()
            if lane.phase is not Phase.READY or not lane.waiting or not is_live(lane):
                continue
            self._serial += 1
            lane.nonce = self._serial
            lane.phase = Phase.ASKED
            self._asked += 1
            room -= 1
            ask(Claim(lane.message, lane.nonce, most, now.wall, startable, rate), lane)
        if room > 0 and startable:
            self._membership.widen_full_windows()

    def replied(self, lane: Lane, reply: Reply, now: Now) -> None:
        """The store's answer to a claim."""
        self._asked -= 1
        if isinstance(reply, Claimed):
            self._claimed(lane, reply, now)
        elif isinstance(reply, Ended):
            self._endings.found(lane, reply, now)
        elif lane.head.channel == GONE:
            self._lanes.go_on(lane)
        elif isinstance(reply, HeldBy | Full):
            self._lanes.park(lane, POLL_SECONDS, now)
            if isinstance(reply, Full):
                self._lanes.full.add(lane)
        elif isinstance(reply, Later):
            self._lanes.park(lane, reply.seconds, now)
        elif isinstance(reply, Idle):
            lane.phase = Phase.PARKED
            self._lanes.idle.add(lane)
            if self._standing.startable:
                self._lanes.restart(lane)
        else:
            self._membership.lapse()
            self._lanes.restart(lane)

    def _claimed(self, lane: Lane, reply: Claimed, now: Now) -> None:
        lane.epoch, lane.attempt = reply.epoch, reply.attempt
        lane.failures, lane.interruptions = reply.failures, reply.interruptions
        lane.started_at, lane.started_monotonic = now.wall, now.monotonic
        if reply.generation != lane.message.generation:
            lane.message = lane.message.of_generation(reply.generation)
        message, delivery = lane.message, self._standing.spec.delivery
        may_start = self._standing.startable and not self._membership.draining and self._membership.holds_lease(now)
        if lane.head.channel == GONE or not may_start:
            self._endings.withdraw(lane)
        elif reply.interruptions > delivery.max_interruptions:
            self._endings.end(lane, too_many_interruptions(delivery, now.wall), None)
        elif message.expires_at and now.wall >= message.expires_at:
            ending = Ending(state=State.EXPIRED, ended_at=now.wall, reason="its time to live was over")
            self._endings.end(lane, ending, None)
        else:
            self._calls.begin(lane, now)

    # What the store tells

    def freed(self, push: Freed) -> None:
        """A session is free, or there is room for another attempt."""
        if push.lane is None:
            self._lanes.wake(self._lanes.full)
            return
        lane = self._lanes.by_key.get(push.lane)
        if lane is not None and lane.phase is Phase.PARKED and lane not in self._lanes.idle:
            self._lanes.restart(lane)

    def revoked(self, push: Revoked) -> None:
        """Somebody ended this attempt for us: its call is abandoned, and the lane asks how the message stands."""
        lane = self._lanes.by_key.get(push.lane)
        if lane is not None and lane.epoch == push.epoch and self._calls.abandon(lane):
            self._lanes.again(lane)

    def resume(self) -> None:
        """Starts may begin (again): whatever only waited for that goes on."""
        if self._standing.startable:
            self._lanes.wake(self._lanes.idle)

    # A store that forgot

    def assert_attempts(self, life: int, now: Now) -> None:
        """The store lives anew: it is told which attempts of its earlier life run here."""
        for lane in self._calls.at_work():
            if life_of(lane.epoch) != life:
                self._assert(lane)

    def forgotten(self, lane: Lane, unsaid: Commit | Fail | Withdraw) -> None:
        """It does not know the attempt that has just ended: it hears of the attempt first, then of its end."""
        lane.unsaid = unsaid
        self._assert(lane)

    def _assert(self, lane: Lane) -> None:
        attempt = lane.attempt, lane.failures, lane.interruptions
        self._outbox.ask(Assert(lane.message, lane.nonce, *attempt, lane.started_at), lane)

    def asserted(self, lane: Lane, reply: Reply, now: Now) -> None:
        """The attempt counts again, under a new epoch; or somebody else has the session by now."""
        unsaid, lane.unsaid = lane.unsaid, None
        if isinstance(reply, Claimed):
            lane.epoch = reply.epoch
            if unsaid is not None:
                self._endings.say(lane, unsaid)
        elif unsaid is not None or self._calls.abandon(lane):
            self._lanes.again(lane)
