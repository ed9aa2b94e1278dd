"""The sidecar's core: a turn of events in, a turn of effects out.

One ``SidecarCore`` is one incarnation of one replica of one queue. It holds nothing that matters: what must
survive is in the broker and the store, and every step between them is repaired by a redelivery.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from contracts.deliveries import ChannelLost, Delivered, NothingFollows, Proven
from contracts.fence import (
    Advance,
    Assert,
    Claim,
    Commit,
    Disown,
    Emptied,
    Fail,
    Leave,
    Mark,
    Propose,
    ReadState,
    Recall,
    Renew,
    Settle,
    Withdraw,
)
from contracts.records import Report, replica_name
from contracts.replies import Forgotten, Freed, Planned, Renewed, Reply, Revoked
from contracts.workqueue import WorkQueue
from sidecar.core.calls import Calls
from sidecar.core.claims import Claims
from sidecar.core.effects import Effect, Left
from sidecar.core.emptying import Emptying
from sidecar.core.endings import Endings
from sidecar.core.events import (
    Answered,
    BatchAnswered,
    Drain,
    Event,
    HandlerGone,
    HandlerReady,
    Now,
    Pushed,
    Redefined,
    Replied,
    Sent,
    Spoken,
    StoreFailed,
)
from sidecar.core.handover import Handover
from sidecar.core.lanes import Lanes
from sidecar.core.membership import Membership
from sidecar.core.outbox import Asked, Outbox
from sidecar.core.speeches import Speeches
from sidecar.core.standing import Standing

REPORTED_LANES = 1000


class SidecarCore:
    """The state machine of one replica. ``handle`` is all there is to it; ``next_due`` says when to call it next."""

    def __init__(self, workqueue: WorkQueue, incarnation: str) -> None:
        self._outbox = Outbox()
        self._membership = Membership(workqueue, incarnation, self._outbox.ask, self._outbox.emit)
        self._standing = Standing(workqueue)
        self._lanes = Lanes(self._outbox)
        self._handover = Handover(self._lanes, self._membership, self._outbox)
        self._emptying = Emptying(self._lanes, self._membership, self._outbox)
        self._endings = Endings(replica_name(incarnation), self._standing, self._lanes, self._membership, self._outbox)
        self._calls = Calls(self._standing, self._membership, self._outbox, self._endings)
        self._claims = Claims(self._standing, self._lanes, self._membership, self._outbox, self._calls, self._endings)
        self._speeches = Speeches(self._calls, self._outbox)
        self._left = False
        self._follow_spec()

    def handle(self, events: Sequence[Event], now: Now) -> list[Effect]:
        """Takes what has happened and the time, and answers what is to be done, in order."""
        for event in events:
            _STEPS[event.__class__](self, event, now)
        self._outbox.run_due(now)
        if events:
            self._membership.stir(now)
        if not self._left:
            self._membership.renew_if_due(self._report, now)
            self._handover.follow(now)
            self._leave_if_done(now)
            self._emptying.tell()
            self._claims.start(now)
        self._handover.tell_settled(self._keep_seconds)
        return self._outbox.take()

    def next_due(self) -> float | None:
        """When, by the monotonic clock, a turn is due even if nothing happens; None: not before something does."""
        timer = self._outbox.next_due()
        if self._left:
            return timer
        due = self._membership.next_due()
        return due if timer is None else min(due, timer)

    # Broker

    def _delivered(self, event: Delivered, now: Now) -> None:
        self._handover.delivered(event, now)

    def _channel_lost(self, event: ChannelLost, now: Now) -> None:
        self._handover.lost(event, now)

    def _nothing_follows(self, event: NothingFollows, now: Now) -> None:
        self._handover.nothing_follows(event, now)

    def _proven(self, event: Proven, now: Now) -> None:
        self._handover.proven(event, now)

    # Store

    def _replied(self, event: Replied, now: Now) -> None:
        for asked, reply in self._outbox.replied(event.ref, event.replies):
            _REPLIES[asked[0].__class__](self, asked, reply, now)

    def _store_failed(self, event: StoreFailed, now: Now) -> None:
        if self._outbox.failed(event.ref, now):
            self._membership.renewal_failed(now)

    def _renewed(self, asked: Asked, reply: Reply, now: Now) -> None:
        assert isinstance(reply, Renewed)
        unbroken = self._membership.renewed(reply, now)
        self._emptying.renewed()
        self._claims.disown_all_but_known(reply.holds)
        for lane in self._claims.renewed(reply.life, unbroken=unbroken):
            self._speeches.ended(lane.speaker)

    def _planned(self, asked: Asked, reply: Reply, now: Now) -> None:
        assert isinstance(reply, Planned)
        self._membership.planned(reply)

    def _claim_replied(self, asked: Asked, reply: Reply, now: Now) -> None:
        self._claims.replied(asked[1], reply, now)

    def _attempt_ended(self, asked: Asked, reply: Reply, now: Now) -> None:
        """The answer to how an attempt ended: a commit, a failure, or that none was made."""
        operation, lane = asked
        assert isinstance(operation, Commit | Fail | Withdraw)
        if lane is None:
            return
        if isinstance(reply, Forgotten):
            self._claims.forgotten(lane, operation)
            return
        self._speeches.ended(lane.speaker)
        if isinstance(operation, Commit):
            self._endings.committed(operation, lane, reply, now)
        elif isinstance(operation, Fail):
            self._endings.failed(operation, lane, reply, now)
        else:
            self._lanes.again(lane)

    def _asserted(self, asked: Asked, reply: Reply, now: Now) -> None:
        operation, lane = asked
        assert isinstance(operation, Assert)
        if not self._claims.asserted(operation, lane, reply):
            self._speeches.ended(lane.speaker)

    def _marked(self, asked: Asked, reply: Reply, now: Now) -> None:
        self._endings.marked(asked[1], now)

    def _state_read(self, asked: Asked, reply: Reply, now: Now) -> None:
        self._speeches.found(asked[1], reply, now)

    def _recalled(self, asked: Asked, reply: Reply, now: Now) -> None:
        self._speeches.recalled(asked[1], reply)

    def _pushed(self, event: Pushed, now: Now) -> None:
        push = event.push
        if isinstance(push, Freed):
            self._claims.freed(push)
        elif isinstance(push, Revoked):
            self._claims.revoked(push)
        else:
            self._membership.renew_at_once()

    # Handler

    def _answered(self, event: Answered, now: Now) -> None:
        self._calls.answered(event.call, event.answer, now)

    def _batch_answered(self, event: BatchAnswered, now: Now) -> None:
        self._calls.batch_answered(event.call, event.answers, now)

    def _spoken(self, event: Spoken, now: Now) -> None:
        self._speeches.spoken(event, now)

    def _handler_ready(self, event: HandlerReady, now: Now) -> None:
        self._standing.handler_is_ready(event.options)
        self._claims.resume()

    def _handler_gone(self, event: HandlerGone, now: Now) -> None:
        self._standing.handler_is_gone(event.reason)
        if event.died:
            self._calls.handler_died(event.reason, now)

    def _sent(self, event: Sent, now: Now) -> None:
        for lane, thing, fate in self._outbox.sent(event.ref, event.fates, now):
            self._endings.sent(lane, thing, fate, now)

    # Orders

    def _redefined(self, event: Redefined, now: Now) -> None:
        self._membership.redefine(event.workqueue)
        self._standing.redefine(event.workqueue)
        self._follow_spec()
        self._claims.resume()

    def _drain(self, event: Drain, now: Now) -> None:
        self._membership.drain()
        self._handover.drain(event.deadline)

    def _leave_if_done(self, now: Now) -> None:
        if not self._membership.draining or self._membership.channels:
            return
        if not self._calls.running or now.monotonic >= self._handover.drain_deadline:
            self._left = True
            self._membership.leave()

    def _left_replied(self, asked: Asked, reply: Reply, now: Now) -> None:
        self._outbox.emit(Left())

    def _follow_spec(self) -> None:
        spec = self._standing.spec
        self._membership.window = max(16, 2 * spec.sessions.concurrency_per_replica)
        self._keep_seconds = max(spec.deduplication.window_seconds, spec.results.retention_seconds)

    def _report(self) -> Report:
        calls, standing = self._calls, self._standing
        heads = [(lane.head.message, len(lane.waiting) - 1) for lane in self._lanes.all()]
        return Report(
            ready=standing.handler_ready,
            running=calls.running,
            unacked=sum(channel.outstanding for channel in self._membership.channels.values()),
            lanes=len(heads),
            handled=calls.handled,
            busy_seconds=calls.busy_seconds,
            oldest_enqueued_at=min((message.enqueued_at for message, _ in heads), default=None),
            reason=standing.reason,
            partitions=sorted({c.partition.number for c in self._membership.channels.values() if c.outstanding}),
            waiting=[(message.session, message.id, behind) for message, behind in heads[:REPORTED_LANES]],
        )

    def _nothing(self, asked: Asked, reply: Reply, now: Now) -> None:
        """Nobody waits for this answer."""


_STEPS: dict[type, Callable[[SidecarCore, Any, Now], None]] = {
    Delivered: SidecarCore._delivered,
    ChannelLost: SidecarCore._channel_lost,
    Proven: SidecarCore._proven,
    NothingFollows: SidecarCore._nothing_follows,
    Replied: SidecarCore._replied,
    StoreFailed: SidecarCore._store_failed,
    Sent: SidecarCore._sent,
    Answered: SidecarCore._answered,
    BatchAnswered: SidecarCore._batch_answered,
    Spoken: SidecarCore._spoken,
    HandlerReady: SidecarCore._handler_ready,
    HandlerGone: SidecarCore._handler_gone,
    Pushed: SidecarCore._pushed,
    Redefined: SidecarCore._redefined,
    Drain: SidecarCore._drain,
}

_REPLIES: dict[type, Callable[[SidecarCore, Asked, Reply, Now], None]] = {
    Renew: SidecarCore._renewed,
    Propose: SidecarCore._planned,
    Claim: SidecarCore._claim_replied,
    Assert: SidecarCore._asserted,
    Commit: SidecarCore._attempt_ended,
    Fail: SidecarCore._attempt_ended,
    Withdraw: SidecarCore._attempt_ended,
    Advance: SidecarCore._nothing,
    ReadState: SidecarCore._state_read,
    Recall: SidecarCore._recalled,
    Mark: SidecarCore._marked,
    Settle: SidecarCore._nothing,
    Emptied: SidecarCore._nothing,
    Disown: SidecarCore._nothing,
    Leave: SidecarCore._left_replied,
}
