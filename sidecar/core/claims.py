"""Claims: asking the store for the heads of lanes, as many as the handler has room for."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.fence import Assert, Claim, Commit, Disown, Fail, Withdraw, life_of
from contracts.replies import Claimed, Ended, Forgotten, Freed, Full, HeldBy, Idle, Later, Reply, Revoked
from sidecar.core.calls import Calls
from sidecar.core.endings import Endings
from sidecar.core.events import Now
from sidecar.core.lanes import GONE, HOLDING, Lane, Lanes, Phase
from sidecar.core.membership import Membership
from sidecar.core.outbox import Outbox
from sidecar.core.retry import expired, too_many_interruptions
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
        self._unsaid: dict[Lane, None] = {}
        self._life = 0
        self._assertable = 0
        self._serial = 0
        self._seen = 0

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
            ask(Claim(lane.message, lane.nonce, most, now.wall, startable, rate, lane.of, self._seen, self._life), lane)
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
        self._seen = max(self._seen, reply.epoch)
        lane.failures, lane.interruptions = reply.failures, reply.interruptions
        lane.started_at, lane.started_monotonic = now.wall, now.monotonic
        if reply.generation != lane.message.generation:
            lane.message = lane.message.of_generation(reply.generation)
        message, delivery = lane.message, self._standing.spec.delivery
        if lane.epoch == lane.revoked:
            self._lanes.again(lane)
        elif lane.head.channel == GONE or not self._calls.may_start(now):
            self._endings.withdraw(lane)
        elif reply.interruptions > delivery.max_interruptions:
            self._endings.end(lane, too_many_interruptions(delivery, now.wall), None)
        elif (ending := expired(message, now.wall)) is not None:
            self._endings.end(lane, ending, None)
        else:
            self._calls.begin(lane, now)

    # What the store tells

    def freed(self, push: Freed) -> None:
        """A session is free, or there is room for another attempt."""
        if push.lane is None:
            self._lanes.wake(self._lanes.full)
            return
        for lane in self._lanes.named(push.lane):
            if lane.phase is Phase.PARKED and lane not in self._lanes.idle:
                self._lanes.restart(lane)

    def revoked(self, push: Revoked) -> None:
        """Somebody ended this attempt for us: its call is abandoned, and the lane asks how the message stands."""
        for lane in self._lanes.named(push.lane):
            lane.revoked = push.epoch  # it may overtake the answer that allowed the attempt
            if lane.epoch == push.epoch and self._calls.abandon(lane):
                self._lanes.again(lane)

    def resume(self) -> None:
        """Starts may begin (again): whatever only waited for that goes on."""
        if self._standing.startable:
            self._lanes.wake(self._lanes.idle)

    def disown_all_but_known(self, holds: Sequence[tuple[str, int, int]]) -> None:
        """Gives up what is held in our name and nothing here knows of, which nobody would ever give back.

        It comes from a call that was given up and reached the store late, or from a moment that the store has lost.
        """
        for key, nonce, epoch in holds:
            if not any(lane.nonce == nonce and lane.phase in HOLDING for lane in self._lanes.named(key)):
                self._outbox.ask(Disown(key, epoch))

    # A store that forgot

    def renewed(self, life: int, *, unbroken: bool) -> list[Lane]:
        """The store is told which attempts of its life before this one run here, or have just ended.

        What it was never told of in that life, or what ran while our lease was not sure, may have been run again by
        others, and that be forgotten too: it is given up. Answers the lanes of which that is so.
        """
        if life != self._life:
            self._assertable = self._life if unbroken else 0
            self._life = life
        unsaid, self._unsaid = self._unsaid, {}
        given_up: list[Lane] = []
        for lane in [*self._calls.at_work(), *(lane for lane in unsaid if lane.unsaid is not None)]:
            of = life_of(lane.epoch)
            if of == life:
                self._say(lane)
            elif of == self._assertable:
                self._assert(lane)
            else:
                self._give_up(lane)
                given_up.append(lane)
        return given_up

    def _give_up(self, lane: Lane) -> None:
        lane.unsaid = None
        self._calls.abandon(lane)
        self._lanes.again(lane)

    def forgotten(self, lane: Lane, unsaid: Commit | Fail | Withdraw) -> None:
        """It does not know the attempt that has just ended: once it knows us, it hears of that first, then of its end."""
        lane.unsaid = unsaid
        self._wait_for_renewal(lane)

    def _wait_for_renewal(self, lane: Lane) -> None:
        if lane.unsaid is not None:
            self._unsaid[lane] = None
        self._membership.renew_at_once()

    def _say(self, lane: Lane) -> None:
        unsaid, lane.unsaid = lane.unsaid, None
        if unsaid is not None:
            self._endings.say(lane, unsaid)

    def _assert(self, lane: Lane) -> None:
        """Once at a time: a second one could take the session again after the attempt has ended."""
        if lane.asserting:
            if lane.unsaid is not None:
                self._unsaid[lane] = None
            return
        lane.asserting = True
        attempt = lane.attempt, lane.failures, lane.interruptions
        in_place = lane.message.generation != lane.head.message.generation
        self._outbox.ask(Assert(lane.message, lane.nonce, *attempt, lane.started_at, in_place), lane)

    def asserted(self, operation: Assert, lane: Lane, reply: Reply) -> bool:
        """The attempt counts again, under a new epoch. False: somebody else has the session by now."""
        lane.asserting = False
        if not self._calls.is_open(lane, operation.nonce):
            if isinstance(reply, Claimed):  # it was given up meanwhile, and must not hold the session
                self._outbox.ask(Withdraw(operation.message, reply.epoch))
            return False
        if isinstance(reply, Forgotten):
            self._wait_for_renewal(lane)
            return True
        if isinstance(reply, Claimed) and reply.epoch != lane.revoked:
            lane.epoch = reply.epoch
            self._say(lane)
            return True
        if lane.unsaid is not None or self._calls.abandon(lane):
            lane.unsaid = None
            self._lanes.again(lane)
        return False
