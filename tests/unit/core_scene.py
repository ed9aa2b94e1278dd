"""A stage for the sidecar's core: its clock, a real fence of the embedded store, and everything else by hand."""

from __future__ import annotations

from typing import Any, TypeVar

from backends.embedded import fence
from backends.embedded.state import Now, QueueState
from contracts.answers import Answer, NoAnswer
from contracts.deliveries import ChannelLost, Delivered, Proven
from contracts.fence import Operation, Propose, Renew
from contracts.handler import NO_OPTIONS, Options
from contracts.message import Message
from contracts.records import Plan, Report
from contracts.replies import Push, Reply
from contracts.speech import Heard, Speaker, Words
from contracts.workqueue import WorkQueue, parse_spec
from sidecar.core import effects as fx
from sidecar.core import events as ev
from sidecar.core.turn import SidecarCore

ME = "r#1"
OTHER = "other#1"
WALL = 1_700_000_000.0
OK = Answer(200, body=b"ok")
FAILED = Answer(500, body=b"no")
REFUSED = Answer(422, body=b"never")

Sending = fx.Publish | fx.Bury | fx.Delay
Kind = TypeVar("Kind")


def message(name: str, session: str | None = "s", **more: Any) -> Message:
    return Message(namespace="default", queue="q", id=name, session=session, **more)


class CoreScene:
    """One core. ``turn`` lets it work until all is quiet; what it wanted done is kept until a test ``takes`` it.

    The fence answers by itself while ``store_answers``, else what it was asked waits in ``asked``; what is published
    is confirmed while ``broker_confirms``, else it waits in ``sending``. One partition unless ``spec`` says more.
    """

    def __init__(
        self, spec: dict[str, Any] | None = None, *, options: Options = NO_OPTIONS, ready: bool = True
    ) -> None:
        self.workqueue = WorkQueue(name="q", spec=parse_spec({"partitions": 1} | (spec or {})))
        self.core = SidecarCore(self.workqueue, ME)
        self.now = 100.0
        self.store_answers = True
        self.broker_confirms = True
        self.asked: list[fx.AskStore] = []
        self.sending: list[Sending] = []
        self.effects: list[fx.Effect] = []
        self._pushes: list[Push] = []
        self._tags = 0
        self._spoken = 0
        self.reborn(life=1)
        self.turn(*[ev.HandlerReady(options)] if ready else [])
        self.opened_at_start = self.taken(fx.OpenChannel)

    # Time and turns

    @property
    def clocks(self) -> ev.Now:
        return ev.Now(self.now, self.now + WALL)

    def turn(self, *events: ev.Event) -> None:
        """A turn with these events, and those that follow from the store, the broker and the clock of now."""
        waiting = list(events)
        while True:
            effects = self.core.handle(waiting, self.clocks)
            waiting = [event for effect in effects for event in self._do(effect)]
            pushes, self._pushes = self._pushes, []
            waiting += [ev.Pushed(push) for push in pushes]
            if not waiting:
                return

    def _do(self, effect: fx.Effect) -> list[ev.Event]:
        if isinstance(effect, fx.AskStore):
            if self.store_answers:
                return [ev.Replied(effect.ref, self.applied(effect))]
            self.asked.append(effect)
        elif isinstance(effect, Sending):
            self.effects.append(effect)
            if self.broker_confirms:
                return [ev.Sent(effect.ref, [ev.Fate.HELD] * count(effect))]
            self.sending.append(effect)
        else:
            self.effects.append(effect)
        return []

    def wait(self, seconds: float) -> None:
        """Lets time pass, with a turn whenever the core says that one is due."""
        end = self.now + seconds
        while (due := self.core.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.turn()
        self.now = end
        self.turn()

    def taken(self, kind: type[Kind]) -> list[Kind]:
        """What it wanted done of this kind since it was asked last."""
        found: list[Kind] = [effect for effect in self.effects if isinstance(effect, kind)]
        self.effects = [effect for effect in self.effects if not isinstance(effect, kind)]
        return found

    # The store

    def reborn(self, life: int, quarantine_seconds: float = 0.0) -> None:
        """The store has forgotten everything, and lives anew."""
        self.state = QueueState(self._push, lambda _: None, life, self.now + quarantine_seconds)

    def _push(self, incarnation: str, push: Push) -> None:
        if incarnation == ME:
            self._pushes.append(push)

    def forget_pushes(self) -> None:
        """What the store would have told is lost on its way."""
        self._pushes = []

    def applied(self, asked: fx.AskStore) -> list[Reply]:
        return self.apply(ME, *asked.operations)

    def apply(self, incarnation: str, *operations: Operation) -> list[Reply]:
        """What the fence answers to any replica."""
        return fence.apply(self.state, incarnation, list(operations), Now(self.now, self.now + WALL))

    def join(self, incarnation: str = OTHER) -> None:
        """Another replica comes, or renews; whoever waits for that is told."""
        self.apply(incarnation, Renew(15.0, Report()))
        self.turn()

    def give(self, *owners: str, members: tuple[str, ...] = (OTHER,)) -> None:
        """These are alive, and somebody has had this plan accepted."""
        for member in members:
            self.apply(member, Renew(15.0, Report()))
        self.apply(OTHER, Propose(Plan(self.state.plan.version + 1, owners)))
        self.turn()

    def answer(self, *replies: Reply) -> None:
        """The oldest call of the store that waits is answered: with these, or as the fence does."""
        asked = self.asked.pop(0)
        self.turn(ev.Replied(asked.ref, list(replies) or self.applied(asked)))

    def fail(self, *, applied: bool = False) -> None:
        """The answer to the oldest call that waits is lost, or the call itself."""
        asked = self.asked.pop(0)
        if applied:
            self.applied(asked)
        self.turn(ev.StoreFailed(asked.ref))

    def catch_up(self) -> None:
        """The fence answers again, and first what waits."""
        self.store_answers = True
        while self.asked:
            self.answer()

    # The broker

    def deliver(self, *messages: Message, channel: int = 1) -> None:
        self.turn(*[Delivered(channel, self._next_tag(), message) for message in messages])

    def _next_tag(self) -> int:
        self._tags += 1
        return self._tags

    def opened(self) -> list[tuple[int, int]]:
        """The channels opened since it was asked last, each with its partition."""
        return [(effect.channel, effect.partition.number) for effect in self.taken(fx.OpenChannel)]

    def closed(self) -> list[int]:
        return [effect.channel for effect in self.taken(fx.CloseChannel)]

    def lose(self, channel: int = 1) -> None:
        self.turn(ChannelLost(channel, "cut"))

    def prove(self, *tags: int, channel: int = 1) -> None:
        self.turn(Proven(channel, list(tags)))

    def sent(self, *fates: ev.Fate) -> None:
        """What became of the oldest sending that waits."""
        self.turn(ev.Sent(self.sending.pop(0).ref, list(fates)))

    def acked(self) -> list[int]:
        return [tag for effect in self.taken(fx.Ack) for tag in effect.tags]

    # The handler

    def calls(self) -> list[fx.Call]:
        return self.taken(fx.Call)

    def called(self) -> list[tuple[str, int]]:
        """The calls since it was asked last, as (message id, attempt)."""
        return [(call.message.id, call.attempt) for call in self.calls()]

    def call(self) -> fx.Call:
        """The one call since it was asked last."""
        [only] = self.calls()
        return only

    def batch(self) -> fx.CallBatch:
        [only] = self.taken(fx.CallBatch)
        return only

    def start(self, *messages: Message) -> fx.Call:
        """Delivers, and answers the call that follows."""
        self.deliver(*messages)
        return self.call()

    def end(self, call: fx.Call, answer: Answer | NoAnswer = OK) -> None:
        self.turn(ev.Answered(call.call, answer))

    def accept(self, *messages: Message) -> fx.Call:
        """As ``start``, and the handler takes it on."""
        call = self.start(*messages)
        self.end(call, Answer(202, outcome="accepted"))
        return call

    def speak(self, call: fx.Call | fx.BatchEntry, words: Words) -> Heard | None:
        """What the attempt is answered in the turn in which it says this; None where it has to wait."""
        heard = self.speak_all(call, words)
        return heard[0] if heard else None

    def speak_all(self, call: fx.Call | fx.BatchEntry, *words: Words) -> list[Heard]:
        speaker = Speaker(call.message.id, call.message.generation, call.attempt, call.epoch)
        spoken = []
        for one in words:
            self._spoken += 1
            spoken.append(ev.Spoken(self._spoken, speaker, one))
        self.turn(*spoken)
        return self.heard()

    def heard(self) -> list[Heard]:
        return [effect.heard for effect in self.taken(fx.AnswerSpeech)]


def count(sending: Sending) -> int:
    return len(sending.letters if isinstance(sending, fx.Bury) else sending.messages)


def operations(asked: fx.AskStore) -> list[str]:
    """What the store is asked, by name."""
    return [type(operation).__name__ for operation in asked.operations]
