"""Calls of the handler: one by one or in batches, what is accepted to be finished later, and how each ends."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.answers import Answer, NoAnswer
from contracts.fence import Advance
from contracts.records import Ending, State
from contracts.speech import Complete, GiveUp, Speaker
from sidecar.core.effects import BatchEntry, Call, CallBatch, CheckHandler
from sidecar.core.endings import Endings
from sidecar.core.events import Now
from sidecar.core.lanes import AT_WORK, Lane, Phase
from sidecar.core.membership import Membership
from sidecar.core.outbox import Outbox
from sidecar.core.retry import ACCEPTED, UNDONE, Again, Decision, Past, decide, decide_finish, expired
from sidecar.core.standing import Standing

_NO_HANDLER = ("refused", "lost")


class Calls:
    """The attempts that are at work: gathered for a batch, called, or accepted."""

    def __init__(self, standing: Standing, membership: Membership, outbox: Outbox, endings: Endings) -> None:
        self._standing = standing
        self._membership = membership
        self._outbox = outbox
        self._endings = endings
        self._single: dict[int, Lane] = {}
        self._batches: dict[int, list[Lane]] = {}
        self._gathered: list[Lane] = []
        self._accepted: dict[int, Lane] = {}
        self._by_speaker: dict[Speaker | None, Lane] = {}
        self._serial = 0
        self._batched = 0
        self._gatherings = 0
        self.handled = 0
        self.busy_seconds = 0.0

    @property
    def running(self) -> int:
        return len(self._single) + self._batched + len(self._accepted) + len(self._gathered)

    def at_work(self) -> Iterable[Lane]:
        """Every lane whose attempt is at work, in the order of the claims."""
        lanes = [*self._single.values(), *self._accepted.values(), *self._gathered]
        lanes += [lane for call, batch in self._batches.items() for lane in batch if _is_in(lane, call)]
        return sorted(lanes, key=lambda lane: lane.nonce)

    def is_open(self, lane: Lane, nonce: int) -> bool:
        """Does the attempt of this claim still run, or is its end still to be told?"""
        return lane.nonce == nonce and (lane.phase in AT_WORK or lane.phase is Phase.ENDING)

    def speaks(self, speaker: Speaker) -> Lane | None:
        """The lane whose attempt this is; None once the attempt is over, or before it began."""
        return self._by_speaker.get(speaker)

    # A call begins

    def begin(self, lane: Lane, now: Now) -> None:
        """The attempt is claimed: called at once, or with others where the handler takes batches."""
        message = lane.message
        lane.staged = None
        lane.speaker = Speaker(message.id, message.generation, lane.attempt, lane.epoch)
        self._by_speaker[lane.speaker] = lane
        batch = self._standing.options.batch
        if batch is not None and not lane.alone:
            self._gather(lane, batch.max_messages, batch.max_wait_ms / 1000, now)
            return
        lane.phase = Phase.RUNNING
        lane.call = self._next_call()
        self._single[lane.call] = lane
        timeout = self._standing.spec.delivery.timeout_seconds
        self._outbox.emit(Call(lane.call, message, lane.attempt, lane.epoch, timeout, now.wall + timeout))

    def _next_call(self) -> int:
        self._serial += 1
        return self._serial

    def _gather(self, lane: Lane, most: int, wait_seconds: float, now: Now) -> None:
        lane.phase = Phase.GATHERED
        self._gathered.append(lane)
        if len(self._gathered) >= most:
            self._call_batch(now)
        elif len(self._gathered) == 1:
            gathering = self._gatherings

            def waited(later: Now) -> None:
                if self._gathered and self._gatherings == gathering:
                    self._call_batch(later)

            self._outbox.at(now.monotonic + wait_seconds, waited)

    def _call_batch(self, now: Now) -> None:
        gathered, self._gathered = self._gathered, []
        self._gatherings += 1
        if not self.may_start(now):
            for lane in gathered:
                self._over(lane)
                self._endings.withdraw(lane)
            return
        lanes = [lane for lane in gathered if not self._is_expired(lane, now)]
        if not lanes:
            return
        call = self._next_call()
        self._batches[call] = lanes
        self._batched += len(lanes)
        entries = []
        for lane in lanes:
            lane.phase, lane.call = Phase.RUNNING, call
            lane.started_at, lane.started_monotonic = now.wall, now.monotonic
            entries.append(BatchEntry(lane.message, lane.attempt, lane.epoch))
        timeout = self._standing.spec.delivery.timeout_seconds
        self._outbox.emit(CallBatch(call, entries, timeout, now.wall + timeout))

    def may_start(self, now: Now) -> bool:
        """Has the replica the right and the means to start an attempt at this moment?"""
        return self._standing.startable and not self._membership.draining and self._membership.holds_lease(now)

    def _is_expired(self, lane: Lane, now: Now) -> bool:
        """Ends it where its time to live was over before its batch was full."""
        ending = expired(lane.message, now.wall)
        if ending is not None:
            self._over(lane)
            self._endings.end(lane, ending, None)
        return ending is not None

    # A call ends

    def answered(self, call: int, answer: Answer | NoAnswer, now: Now) -> None:
        """The handler has answered, or cannot any more."""
        lane = self._single.pop(call, None)
        if lane is not None:
            self._suspect(answer)
            self._conclude(lane, answer, now)

    def batch_answered(self, call: int, answers: list[Answer | NoAnswer] | NoAnswer, now: Now) -> None:
        """Each message is settled by its own answer. A batch that failed as a whole is tried again one by one."""
        lanes = self._batches.pop(call, [])
        self._batched -= len(lanes)
        if isinstance(answers, NoAnswer):
            self._suspect(answers)
            for lane in lanes:
                if _is_in(lane, call):
                    self._set_apart(lane, now)
            return
        for lane, answer in zip(lanes, answers, strict=True):
            if _is_in(lane, call):
                self._conclude(lane, answer, now)

    def _set_apart(self, lane: Lane, now: Now) -> None:
        """Its batch failed as a whole: it was not attempted, unless it was finished on its own all the same."""
        if lane.staged is not None and lane.staged.finish is not None:
            self.finish(lane, lane.staged.finish, now)
            return
        lane.alone = True
        self._over(lane)
        self._endings.withdraw(lane)

    def _suspect(self, answer: Answer | NoAnswer) -> None:
        """A connection that was refused or lost says that the handler may be gone: nothing starts until it is back."""
        if isinstance(answer, NoAnswer) and answer.kind in _NO_HANDLER:
            reason = f"{answer.kind}: {answer.detail}"
            self._standing.handler_is_gone(reason)
            self._outbox.emit(CheckHandler(reason))

    def _conclude(self, lane: Lane, answer: Answer | NoAnswer, now: Now) -> None:
        staged = lane.staged
        if staged is not None and staged.finish is not None:
            self.finish(lane, staged.finish, now)
            return
        policy, asynchronous = self._standing.spec.delivery, self._standing.options.asynchronous
        decision = decide(answer, policy, _past(lane), now.wall, asynchronous=asynchronous)
        if decision is ACCEPTED:
            self._accept(lane, now)
        else:
            self._end(lane, decision, answer, now)

    def finish(self, lane: Lane, finish: Complete | GiveUp, now: Now) -> None:
        """The attempt ends as the handler said through the callback API."""
        self._accepted.pop(lane.nonce, None)
        decision = decide_finish(finish, self._standing.spec.delivery, _past(lane), now.wall)
        self._end(lane, decision, Answer(0, body=finish.body), now)

    def _end(self, lane: Lane, decision: Decision, answer: Answer | NoAnswer, now: Now) -> None:
        self._over(lane)
        if decision is UNDONE:
            self._endings.withdraw(lane)
            return
        self.handled += 1
        self.busy_seconds += now.monotonic - lane.started_monotonic
        if isinstance(decision, Ending):
            if decision.state is State.DEAD:
                self._standing.dead(decision.reason)
            else:
                self._standing.acked()
            self._endings.end(lane, decision, answer)
        else:
            assert isinstance(decision, Again)  # what is accepted is no end
            self._endings.again(lane, decision, answer, now)

    def _over(self, lane: Lane) -> None:
        """From now on nothing that the attempt says counts."""
        self._by_speaker.pop(lane.speaker, None)

    # Accepted work

    def _accept(self, lane: Lane, now: Now) -> None:
        lane.phase = Phase.ACCEPTED
        self._accepted[lane.nonce] = lane
        self._outbox.ask(Advance(lane.message, lane.epoch, accepted=True, progress=None))
        self.heard_of(lane, now)

    def handler_died(self, reason: str, now: Now) -> None:
        """Whatever it had accepted died with it."""
        accepted, self._accepted = self._accepted, {}
        for lane in accepted.values():
            self._conclude(lane, NoAnswer("lost", reason), now)

    def heard_of(self, lane: Lane, now: Now) -> None:
        """A heartbeat: silence is counted from now on."""
        wait = self._standing.spec.delivery.heartbeat_timeout_seconds
        lane.silent_at = now.monotonic + wait
        if lane.phase is Phase.ACCEPTED:
            self._listen(lane, lane.silent_at)

    def _listen(self, lane: Lane, until: float) -> None:
        nonce = lane.nonce

        def look(now: Now) -> None:
            if self._accepted.get(nonce) is not lane or lane.silent_at > until:
                return
            del self._accepted[nonce]
            wait = self._standing.spec.delivery.heartbeat_timeout_seconds
            self._conclude(lane, NoAnswer("silent", f"no heartbeat for {wait:g} s after it was accepted"), now)

        self._outbox.at(until, look)

    # An attempt is taken away

    def abandon(self, lane: Lane) -> bool:
        """The attempt is not ours any more: nobody waits for its call. False where it was not at work."""
        if lane.phase not in AT_WORK:
            return False
        self._over(lane)
        if lane.phase is Phase.GATHERED:
            self._gathered.remove(lane)
        elif self._accepted.pop(lane.nonce, None) is None and self._single.pop(lane.call, None) is not None:
            self._outbox.abandon(lane.call)
        return True


def _is_in(lane: Lane, call: int) -> bool:
    """Is the lane still in this batch? Its attempt may have been taken away since, and another one be running."""
    return lane.call == call and lane.phase is Phase.RUNNING


def _past(lane: Lane) -> Past:
    return Past(lane.message.id, lane.failures, lane.interruptions)
