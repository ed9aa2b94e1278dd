"""The life of each delivery: claim, handle, commit, settle; and what happens when one of them does not work.

Every lane is in one ``Phase``. The methods named after an event move it on; ``start`` fills the handler up.
"""

from __future__ import annotations

from collections import deque

from contracts.answers import Answer, NoAnswer
from contracts.fence import (
    Claim,
    Claimed,
    Commit,
    Done,
    Ended,
    Fail,
    Freed,
    Full,
    HeldBy,
    Idle,
    Later,
    Reply,
    Withdraw,
)
from contracts.message import DeadLetter, Message
from contracts.records import Attempt, Ending, State
from contracts.workqueue import Spec
from sidecar.core.effects import Call, CheckHandler
from sidecar.core.events import Now
from sidecar.core.lanes import ACTIVE, GONE, Channel, Delivery, Lane, Phase
from sidecar.core.membership import Membership
from sidecar.core.outbox import Outbox
from sidecar.core.retry import Again, Decision, Undone, cut, decide, too_many_interruptions

POLL_SECONDS = 1.0
"""How often to ask again for what the store should have told."""

_OUTCOMES = {State.SUCCEEDED: "ack", State.DEAD: "dead-letter"}


class Attempts:
    """All lanes of one replica and the attempts at their heads."""

    def __init__(self, replica: str, spec: Spec, membership: Membership, outbox: Outbox) -> None:
        self._replica = replica
        self.spec = spec
        self._membership = membership
        self._outbox = outbox
        self.lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._calls: dict[int, Lane] = {}
        self._idle: set[Lane] = set()
        self._full: set[Lane] = set()
        self._claiming = 0
        self._serial = 0
        self.handler_ready = False
        self.handled = 0
        self.busy_seconds = 0.0

    @property
    def running(self) -> int:
        return len(self._calls)

    @property
    def startable(self) -> bool:
        return self.handler_ready and not self.spec.paused

    # Deliveries come and go

    def delivered(self, channel: Channel, tag: int, message: Message) -> None:
        """A delivery joins its lane; one whose attempt outlived its channel finds it again."""
        channel.outstanding += 1
        channel.bytes += len(message.body)
        lane = self.lanes.get(message.lane)
        if lane is None:
            lane = self.lanes[message.lane] = Lane(message.lane)
            self._ready.append(lane)
        elif lane.head.channel == GONE and lane.head.is_same(message):
            lane.head.channel, lane.head.tag = channel.number, tag
            return
        lane.waiting.append(Delivery(channel.number, tag, message))

    def forget_unstarted(self, channel: int, *, gone: bool) -> None:
        """Drops what was not started; the broker gives it back in order. ``gone``: nothing can be acked any more."""
        for lane in [lane for lane in self.lanes.values() if any(d.channel == channel for d in lane.waiting)]:
            head = lane.head
            goes_on = lane.phase in ACTIVE and head.channel == channel
            if goes_on and gone:
                head.channel = GONE
            keep_head = lane.phase in ACTIVE
            rest = list(lane.waiting)[1:] if keep_head else list(lane.waiting)
            lane.waiting = deque([head] if keep_head else [])
            lane.waiting.extend(d for d in rest if d.channel != channel)
            if not lane.waiting:
                self._drop(lane)
            elif not keep_head and lane.head is not head:
                self._restart(lane)

    def busy_on(self, channels: set[int]) -> set[int]:
        """Those of the channels on which an attempt still runs."""
        heads = (lane.head.channel for lane in self.lanes.values() if lane.phase in ACTIVE)
        return channels.intersection(heads)

    def _drop(self, lane: Lane) -> None:
        """The lane is empty. A stale reference in ``_ready`` is passed over when its turn comes."""
        self.lanes.pop(lane.key, None)
        self._idle.discard(lane)
        self._full.discard(lane)
        lane.tries += 1

    def _restart(self, lane: Lane) -> None:
        """The head may be tried now."""
        self._idle.discard(lane)
        self._full.discard(lane)
        lane.tries += 1
        lane.phase = Phase.READY
        self._ready.append(lane)

    def _park(self, lane: Lane, seconds: float, now: Now) -> None:
        lane.phase = Phase.PARKED
        tries = lane.tries

        def wake(_: Now) -> None:
            if lane.tries == tries:
                self._restart(lane)

        self._outbox.at(now.monotonic + seconds, wake)

    # Claim

    def start(self, now: Now) -> None:
        """Claims for as many heads as the handler has room for. Where none may start, only repair is asked for."""
        if self._membership.draining or not self._membership.holds_lease(now):
            return
        room = self.spec.sessions.concurrency_per_replica - len(self._calls) - self._claiming
        startable, most = self.startable, self.spec.sessions.max_concurrent
        ready, ask = self._ready, self._outbox.ask
        while ready and room > 0:
            lane = ready.popleft()
            if lane.phase is not Phase.READY or not lane.waiting or self.lanes.get(lane.key) is not lane:
                continue
            self._serial += 1
            lane.nonce = self._serial
            lane.phase = Phase.ASKED
            self._claiming += 1
            room -= 1
            ask(Claim(lane.waiting[0].message, lane.nonce, most, now.wall, startable), lane)
        if room > 0 and startable:
            self._membership.widen_full_windows()

    def claim_replied(self, lane: Lane, reply: Reply, now: Now) -> None:
        self._claiming -= 1
        if isinstance(reply, Claimed):
            self._claimed(lane, reply, now)
        elif isinstance(reply, Ended):
            self._ended(lane, reply, now)
        elif lane.head.channel == GONE:
            self._next(lane)
        elif isinstance(reply, HeldBy | Full):
            self._park(lane, POLL_SECONDS, now)
            if isinstance(reply, Full):
                self._full.add(lane)
        elif isinstance(reply, Later):
            self._park(lane, reply.seconds, now)
        elif isinstance(reply, Idle):
            lane.phase = Phase.PARKED
            self._idle.add(lane)
            if self.startable:
                self._restart(lane)
        else:
            self._membership.lease_until = float("-inf")
            self._membership.renew_at_once()
            self._restart(lane)

    def _claimed(self, lane: Lane, reply: Claimed, now: Now) -> None:
        lane.epoch, lane.attempt = reply.epoch, reply.attempt
        lane.failures, lane.interruptions = reply.failures, reply.interruptions
        lane.started_at, lane.started_monotonic = now.wall, now.monotonic
        head, delivery = lane.head, self.spec.delivery
        allowed = self.startable and not self._membership.draining and self._membership.holds_lease(now)
        if head.channel == GONE or not allowed:
            lane.phase = Phase.ENDING
            self._outbox.ask(Withdraw(head.message, lane.epoch), lane)
        elif reply.interruptions > delivery.max_interruptions:
            self._commit(lane, too_many_interruptions(delivery, now.wall), None, now)
        else:
            self._serial += 1
            lane.call = self._serial
            lane.phase = Phase.RUNNING
            self._calls[lane.call] = lane
            timeout = delivery.timeout_seconds
            self._outbox.emit(Call(lane.call, head.message, lane.attempt, timeout, now.wall + timeout))

    def freed(self, push: Freed) -> None:
        """The store told that a session is free, or that there is room for another attempt."""
        if push.lane is not None:
            lane = self.lanes.get(push.lane)
            if lane is not None and lane.phase is Phase.PARKED and lane not in self._idle:
                self._restart(lane)
            return
        for lane in sorted(self._full, key=lambda lane: lane.nonce):
            self._restart(lane)

    def resume(self) -> None:
        """Starts may begin (again): whatever only waited for that goes on."""
        if self.startable:
            for lane in sorted(self._idle, key=lambda lane: lane.nonce):
                self._restart(lane)

    # Handle

    def answered(self, call: int, answer: Answer | NoAnswer, now: Now) -> None:
        lane = self._calls.pop(call, None)
        if lane is None:
            return
        if isinstance(answer, NoAnswer) and answer.kind in ("refused", "lost"):
            self.handler_ready = False
            self._outbox.emit(CheckHandler(f"{answer.kind}: {answer.detail}"))
        head = lane.head
        decision = decide(answer, self.spec.delivery, lane.failures, lane.interruptions, head.message.id, now.wall)
        if not isinstance(decision, Undone):
            self.handled += 1
            self.busy_seconds += now.monotonic - lane.started_monotonic
        self._conclude(lane, decision, answer, now)

    def _conclude(self, lane: Lane, decision: Decision, answer: Answer | NoAnswer, now: Now) -> None:
        lane.phase = Phase.ENDING
        if isinstance(decision, Ending):
            self._commit(lane, decision, answer, now)
        elif isinstance(decision, Again):
            attempt = self._attempt(lane, "interrupted" if decision.interrupted else "retry", answer, now)
            message = lane.head.message
            self._outbox.ask(Fail(message, lane.epoch, attempt, decision.interrupted, decision.due_at), lane)
        else:
            self._outbox.ask(Withdraw(lane.head.message, lane.epoch), lane)

    def _attempt(self, lane: Lane, outcome: str, answer: Answer | NoAnswer | None, now: Now) -> Attempt:
        status, body = None, ""
        if isinstance(answer, Answer):
            status, body = answer.status, cut(answer.body)
        elif answer is not None:
            body = f"{answer.kind}: {answer.detail}"
        return Attempt(
            attempt=lane.attempt,
            replica=self._replica,
            started_at=lane.started_at,
            ended_at=now.wall,
            status=status,
            outcome=outcome,
            body=body,
        )

    # Commit, then settle

    def _commit(self, lane: Lane, ending: Ending, answer: Answer | NoAnswer | None, now: Now) -> None:
        lane.phase = Phase.ENDING
        lane.ending = ending
        attempt = self._attempt(lane, _OUTCOMES[ending.state], answer, now)
        self._outbox.ask(Commit(lane.head.message, lane.epoch, attempt, ending), lane)

    def commit_replied(self, lane: Lane, reply: Reply, now: Now) -> None:
        if isinstance(reply, Done) and lane.ending is not None:
            self._take_leave(lane, lane.ending, lane.attempt)
        else:
            self._again(lane)

    def fail_replied(self, operation: Fail, lane: Lane, reply: Reply, now: Now) -> None:
        if isinstance(reply, Done) and lane.head.channel != GONE:
            self._park(lane, max(0.0, operation.due_at - now.wall), now)
        else:
            self._again(lane)

    def withdraw_replied(self, lane: Lane, now: Now) -> None:
        self._again(lane)

    def _again(self, lane: Lane) -> None:
        """The attempt is over and the message has not ended: it is tried again, here if it is still delivered here."""
        if lane.head.channel == GONE:
            self._next(lane)
        else:
            self._restart(lane)

    def _ended(self, lane: Lane, reply: Ended, now: Now) -> None:
        """It had ended before: a redelivery, or a repeat of the sender's. What is left of its end is made good."""
        if reply.ending is None:
            self._settle_head(lane)
        else:
            self._take_leave(lane, reply.ending, reply.attempts)

    def _take_leave(self, lane: Lane, ending: Ending, attempts: int) -> None:
        if ending.state is not State.DEAD:
            self._settle_head(lane)
            return
        lane.phase = Phase.BURYING
        letter = DeadLetter(message=lane.head.message, reason=ending.reason, dead_at=ending.ended_at, attempts=attempts)
        self._outbox.bury(letter, lane)

    def buried(self, lane: Lane) -> None:
        self._settle_head(lane)

    def _settle_head(self, lane: Lane) -> None:
        """Acks the head, if there is still something to ack, and only then moves the lane on."""
        head = lane.head
        channel = self._membership.channels.get(head.channel)
        if channel is not None:
            self._outbox.ack(channel.number, head.tag)
            channel.acked[head.tag] = (head.message.id, head.message.generation)
            channel.outstanding -= 1
            channel.bytes -= len(head.message.body)
            if channel.window > self._membership.window:
                self._membership.narrow(channel)
        self._next(lane)

    def _next(self, lane: Lane) -> None:
        lane.waiting.popleft()
        if lane.waiting:
            self._restart(lane)
        else:
            self._drop(lane)
