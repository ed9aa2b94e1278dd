"""The end of an attempt: what the store is told, what is published for it, and only then the ack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from contracts.answers import Answer, NoAnswer
from contracts.fence import Commit, Fail, Mark, StateWrite, Withdraw
from contracts.message import DeadLetter, Message
from contracts.records import Attempt, Ending, State
from contracts.replies import Done, Ended, Reply
from sidecar.core.events import Fate, Now
from sidecar.core.lanes import GONE, Lane, Lanes, Phase
from sidecar.core.membership import Membership
from sidecar.core.outbox import Outbox, Thing
from sidecar.core.retry import Again, shown
from sidecar.core.standing import Standing

BLOCKED_SECONDS = 5.0
"""How often to ask whether a session that is blocked by its dead head goes on, should the store not tell."""
DELAY_SECONDS = 1.0
"""A message without a session that waits at least so long for its next attempt waits outside the queue."""

_OUTCOMES = {State.SUCCEEDED: "ack", State.DEAD: "dead-letter"}


class Endings:
    """Commits, publishes, marks and acks."""

    def __init__(self, replica: str, standing: Standing, lanes: Lanes, membership: Membership, outbox: Outbox) -> None:
        self._replica = replica
        self._standing = standing
        self._lanes = lanes
        self._membership = membership
        self._outbox = outbox

    # What the store is told

    def end(self, lane: Lane, ending: Ending, answer: Answer | NoAnswer | None) -> None:
        """The message has ended, by this answer to its attempt; None where it ended before one was made."""
        now = ending.ended_at
        attempt = None if answer is None else self._attempt(lane, _OUTCOMES[ending.state], answer, now)
        emitted: list[Message] = []
        write = None
        staged = lane.staged
        if staged is not None and ending.state is State.SUCCEEDED:
            emitted = list(staged.emitted.values())
            if staged.wrote:
                write = StateWrite(staged.state, self._standing.spec.sessions.state_ttl_seconds)
        block = ending.state is State.DEAD and self._standing.spec.delivery.on_dead == "block"
        self.say(lane, Commit(lane.message, lane.epoch, attempt, ending, emitted, write, block))

    def again(self, lane: Lane, decision: Again, answer: Answer | NoAnswer, now: Now) -> None:
        """Another attempt follows."""
        attempt = self._attempt(lane, "interrupted" if decision.interrupted else "retry", answer, now.wall)
        self.say(lane, Fail(lane.message, lane.epoch, attempt, decision.interrupted, decision.due_at))

    def withdraw(self, lane: Lane) -> None:
        """No attempt was made."""
        self.say(lane, Withdraw(lane.message, lane.epoch))

    def say(self, lane: Lane, operation: Commit | Fail | Withdraw) -> None:
        """Tells the store how the attempt ended, under the lane's epoch of now."""
        lane.phase = Phase.ENDING
        if operation.epoch != lane.epoch:
            operation = msgspec.structs.replace(operation, epoch=lane.epoch)
        self._outbox.ask(operation, lane)

    def _attempt(self, lane: Lane, outcome: str, answer: Answer | NoAnswer, wall: float) -> Attempt:
        status, body = None, ""
        if isinstance(answer, Answer):
            status, body = answer.status or None, shown(answer)
        else:
            body = f"{answer.kind}: {answer.detail}" if answer.detail else answer.kind
        return Attempt(
            attempt=lane.attempt,
            replica=self._replica,
            started_at=lane.started_at,
            ended_at=wall,
            status=status,
            outcome=outcome,
            body=body,
        )

    def committed(self, operation: Commit, lane: Lane, reply: Reply, now: Now) -> None:
        """The answer to a commit: what it asks for is done, unless it came too late."""
        if isinstance(reply, Done):
            ending, message = operation.ending, operation.message
            made = lane.attempt if operation.attempt is not None else lane.attempt - 1
            letters = [self._letter(message, ending, made)] if ending.state is State.DEAD else []
            self._publish(lane, operation.emitted, letters, operation.block and message.session is not None, now)
        else:
            self._lanes.again(lane)

    def failed(self, operation: Fail, lane: Lane, reply: Reply, now: Now) -> None:
        """The answer to a failed attempt: the head waits until it is due, here or (without a session) outside."""
        if not isinstance(reply, Done) or lane.head.channel == GONE:
            self._lanes.again(lane)
            return
        wait = operation.due_at - now.wall
        if operation.message.session is None and wait >= DELAY_SECONDS:
            lane.phase, lane.sending = Phase.PUBLISHING, 1
            lane.unsent, lane.ending = [], None
            self._outbox.send((lane.message, operation.due_at), lane)
        else:
            self._lanes.park(lane, max(0.0, wait), now)

    def found(self, lane: Lane, reply: Ended, now: Now) -> None:
        """It had ended before: a redelivery, or a repeat of the sender's. What is left of its end is made good."""
        ending = reply.ending
        if ending is None:
            self._settle(lane)
        elif reply.marked:
            self._finish(lane, reply.blocks, now)
        else:
            if reply.generation != lane.message.generation:
                lane.message = lane.message.of_generation(reply.generation)
            dead = ending.state is State.DEAD
            letters = [self._letter(lane.message, ending, reply.attempts)] if dead else []
            self._publish(lane, reply.emitted, letters, reply.blocks, now)

    # What is published for it

    def _letter(self, message: Message, ending: Ending, attempts: int) -> DeadLetter:
        return DeadLetter(message=message, reason=ending.reason, dead_at=ending.ended_at, attempts=attempts)

    def _publish(
        self, lane: Lane, emitted: Sequence[Message], letters: Sequence[DeadLetter], blocks: bool, now: Now
    ) -> None:
        lane.blocks = blocks
        if not emitted and not letters:
            self._finish(lane, blocks, now)
            return
        lane.phase = Phase.PUBLISHING
        lane.unsent = waves(emitted)
        if letters:
            lane.unsent.append([*letters])
        self._next_wave(lane)

    def _next_wave(self, lane: Lane) -> None:
        wave = lane.unsent.pop(0)
        lane.sending = len(wave)
        for thing in wave:
            if isinstance(thing, Message) and thing.deliver_at:
                self._outbox.send((thing, thing.deliver_at), lane)
            else:
                self._outbox.send(thing, lane)

    def sent(self, lane: Lane, thing: Thing, fate: Fate, now: Now) -> None:
        """One thing of the wave is safe. An emitted message whose queue is gone is kept by this queue instead.

        Where this queue itself is gone, there is nobody left to keep anything for.
        """
        message = thing[0] if isinstance(thing, tuple) else thing
        comes_back = message is lane.message
        if fate is Fate.NO_QUEUE and isinstance(message, Message) and not comes_back:
            self._outbox.send(self._orphan(lane.message, message, now), lane)
            return
        lane.sending -= 1
        if lane.sending:
            return
        if lane.unsent:
            self._next_wave(lane)
        elif comes_back:
            self._settle(lane, comes_back=True)
        else:
            lane.phase = Phase.MARKING
            self._outbox.ask(Mark(lane.message.id, lane.message.generation), lane)

    def _orphan(self, parent: Message, child: Message, now: Now) -> DeadLetter:
        reason = (
            f"no-queue: {parent.id} of queue {parent.queue} emitted it to {child.queue}, which is not there any more"
        )
        return DeadLetter(message=child, reason=reason, dead_at=now.wall, kept_by=parent.queue)

    def marked(self, lane: Lane, now: Now) -> None:
        self._finish(lane, lane.blocks, now)

    # The ack

    def _finish(self, lane: Lane, blocks: bool, now: Now) -> None:
        if not blocks:
            self._settle(lane)
        elif lane.head.channel == GONE:
            self._lanes.go_on(lane)
        else:
            self._lanes.park(lane, BLOCKED_SECONDS, now)

    def _settle(self, lane: Lane, *, comes_back: bool = False) -> None:
        """Acks the head, if there is still something to ack, and only then moves the lane on."""
        head = lane.head
        channel = self._membership.channels.get(head.channel)
        if channel is not None:
            self._outbox.ack(channel.number, head.tag)
            channel.acked[head.tag] = None if comes_back else (lane.message.id, lane.message.generation)
            channel.outstanding -= 1
            channel.bytes -= len(head.message.body)
            if channel.window > self._membership.window:
                self._membership.narrow(channel)
        self._lanes.go_on(lane)


def waves(emitted: Sequence[Message]) -> list[list[Message | DeadLetter]]:
    """The messages in groups: those of one session of one queue in different ones, in order."""
    found: list[list[Message | DeadLetter]] = []
    places: Counter[tuple[str, str]] = Counter()
    for message in emitted:
        place = places[message.queue, message.lane]
        places[message.queue, message.lane] += 1
        if place == len(found):
            found.append([])
        found[place].append(message)
    return found
