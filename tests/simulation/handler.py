"""A simulated handler: answers, fails, hangs, accepts work and finishes it later, speaks, and speaks too late."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.answers import Answer, NoAnswer
from contracts.fence import life_of
from contracts.message import Message
from contracts.records import Progress, SessionState, replica_name
from contracts.speech import (
    Beat,
    Complete,
    Emit,
    GiveUp,
    Heard,
    ReadSession,
    Speaker,
    Words,
    WriteSession,
)
from sidecar.core import effects as fx
from sidecar.core import events as ev
from tests.simulation.checker import Broken, SimulatedCall

if TYPE_CHECKING:
    from tests.simulation.replica import SimulatedReplica

Given = Answer | NoAnswer


class SimulatedHandler:
    """The handler of one replica. What it says goes to the core; what it hears is held against the promises."""

    def __init__(self, replica: SimulatedReplica) -> None:
        self._replica = replica
        self._world = replica.world
        self._clock = replica.clock
        self._single: dict[int, SimulatedCall] = {}
        self._batches: dict[int, list[SimulatedCall]] = {}
        self._accepted: set[SimulatedCall] = set()
        self._asked: dict[int, tuple[SimulatedCall, Words]] = {}
        self._serial = 0

    def do(self, effect: fx.Call | fx.CallBatch | fx.AbandonCall | fx.AnswerSpeech) -> None:
        match effect:
            case fx.Call():
                self._call(effect)
            case fx.CallBatch():
                self._call_batch(effect)
            case fx.AbandonCall(call):
                self._abandoned(call)
            case fx.AnswerSpeech(ref, heard):
                self._heard(ref, heard)

    # One call

    def _begin(self, message: Message, attempt: int, epoch: int) -> SimulatedCall:
        replica = self._replica
        call = SimulatedCall(replica.incarnation, message, attempt, epoch)
        name, what = replica_name(replica.incarnation), f"calls {message.id} ({message.generation}/{attempt})"
        self._world.say(name, "handler", what, message.id)
        call.excused = life_of(epoch) != self._world.state().life or self._permission_was_lost(call)
        self._world.checker.started(call, replica.wall())
        self._speak_at_start(call)
        return call

    def _permission_was_lost(self, call: SimulatedCall) -> bool:
        """The store gave it, then lost its last moments, and only then the answer arrived."""
        lock = self._world.state().locks.get(call.message.lane)
        held = lock is not None and (lock.owner, lock.epoch) == (call.replica, call.epoch)
        return self._world.checker.rolled_back and not held

    def _call(self, effect: fx.Call) -> None:
        call = self._begin(effect.message, effect.attempt, effect.epoch)
        self._single[effect.call] = call
        answer, seconds = self._answer(call, effect.timeout_seconds)
        self._clock.after(seconds, lambda: self._answered(effect.call, call, answer))

    def _answer(self, call: SimulatedCall, timeout: float) -> tuple[Given, float]:
        random, world = self._clock.random, self._world
        seconds = random.uniform(0, 10) if world.has("slow handlers") else random.choice([0.0, 0.01, 0.2])
        if world.has("bad deploy") and self._clock.now > world.deployed_at:
            return Answer(422, body=b"bad deploy"), seconds
        if world.has("timeouts") and random.random() < 0.1:
            call.excused = True
            return NoAnswer("timeout"), timeout
        if world.has("handler loses connections") and random.random() < 0.1:
            call.excused = True
            return NoAnswer("lost"), seconds
        if world.has("garbage") and random.random() < 0.1:
            return NoAnswer("garbage"), seconds
        if world.has("failures") and random.random() < 0.2:
            return Answer(random.choice([500, 503, 429, 404]), retry_after=random.choice([None, "1"])), seconds
        if world.has("final failures") and random.random() < 0.1:
            return Answer(422, body=b"no"), seconds
        if world.has("accepted work") and random.random() < 0.4:
            return Answer(202), seconds
        return Answer(200, body=call.body), seconds

    def _answered(self, number: int, call: SimulatedCall, answer: Given) -> None:
        if self._single.pop(number, None) is None or not self._replica.alive:
            call.running = False
            return
        self._over(call, answer)
        self._replica.happen(ev.Answered(number, answer))

    def _over(self, call: SimulatedCall, answer: Given) -> None:
        """The HTTP call is over; accepted work goes on behind it."""
        if isinstance(answer, Answer) and answer.status == 202:
            self._accept(call)
            return
        call.running = False
        sound = self._clock.now >= self._replica.paused_until
        if isinstance(answer, Answer) and answer.status == 200 and sound:
            call.acked_to_a_sound_replica = True
        if self._world.has("late threads"):
            self._speak_late(call)

    def _abandoned(self, number: int) -> None:
        call = self._single.pop(number, None)
        if call is not None:
            call.running = False

    # Batches

    def _call_batch(self, effect: fx.CallBatch) -> None:
        calls = [self._begin(entry.message, entry.attempt, entry.epoch) for entry in effect.entries]
        self._batches[effect.call] = calls
        poisoned = "batches fail" in self._world.faults and any(call.message.id.endswith("7") for call in calls)
        failed = poisoned and len(calls) > 1
        given = [self._answer(call, effect.timeout_seconds) for call in calls]
        seconds = max(seconds for _, seconds in given)
        answers: list[Given] | NoAnswer = [answer for answer, _ in given]
        if failed or any(isinstance(answer, NoAnswer) for answer, _ in given):
            for call in calls:
                call.excused = call.unmade = True
            answers = NoAnswer("garbage")
        self._clock.after(seconds, lambda: self._batch_answered(effect.call, calls, answers))

    def _batch_answered(self, number: int, calls: list[SimulatedCall], answers: list[Given] | NoAnswer) -> None:
        gone = self._batches.pop(number, None) is None or not self._replica.alive
        for place, call in enumerate(calls):
            if gone or isinstance(answers, NoAnswer):
                call.running = False
            else:
                self._over(call, answers[place])
        if not gone:
            self._replica.happen(ev.BatchAnswered(number, answers))

    # Accepted work

    def _accept(self, call: SimulatedCall) -> None:
        random = self._clock.random
        self._accepted.add(call)
        if self._world.has("silent handlers") and random.random() < 0.2:
            call.excused = True
            self._accepted.discard(call)
            return
        lasts = random.choice([0.1, 3.0, 12.0])
        for beat in range(1, int(lasts / 2) + 1):
            self._clock.after(beat * 2.0, lambda: self._beat(call))
        self._clock.after(lasts, lambda: self._finish(call))

    def _beat(self, call: SimulatedCall) -> None:
        if call in self._accepted:
            self._say(call, Beat(Progress(50, "half")))

    def _finish(self, call: SimulatedCall) -> None:
        if call not in self._accepted:
            return
        self._accepted.discard(call)
        call.running = False
        if self._world.has("failures") and self._clock.random.random() < 0.2:
            self._say(call, GiveUp("retry"))
        else:
            self._say(call, Complete(None, call.body))

    # Speaking

    def _say(self, call: SimulatedCall, words: Words) -> None:
        self._serial += 1
        self._asked[self._serial] = (call, words)
        speaker = Speaker(call.message.id, call.message.generation, call.attempt, call.epoch)
        self._replica.happen(ev.Spoken(self._serial, speaker, words))

    def _speak_at_start(self, call: SimulatedCall) -> None:
        random, world = self._clock.random, self._world
        if "emitting" in world.faults and random.random() < 0.4:
            for number in range(random.randint(1, 3)):
                nowhere = "emitting to nowhere" in world.faults and random.random() < 0.2
                self._say(call, Emit(self._child(call, number, "nowhere" if nowhere else "sink")))
        if "session state" in world.faults and call.message.session is not None:
            self._say(call, ReadSession())

    def _child(self, call: SimulatedCall, number: int, queue: str) -> Message:
        parent = call.message
        return Message(
            namespace=parent.namespace,
            queue=queue,
            id=f"{parent.id}.{parent.generation}.{call.attempt}.{call.epoch}.{number}",
            session=self._clock.random.choice(["a", "b", None]),
            meta={"parent": parent.id},
        )

    def _speak_late(self, call: SimulatedCall) -> None:
        """A thread of the attempt goes on after its end, and says things that must not count."""
        child = self._child(call, 99, "sink")
        self._clock.after(self._clock.random.uniform(0.5, 30), lambda: self._say(call, Emit(child)))

    def _heard(self, ref: int, heard: Heard) -> None:
        call, words = self._asked.pop(ref)
        if heard.refusal is not None:
            return
        if isinstance(words, Emit):
            if words.message.id.endswith(".99"):
                raise Broken(f"late threads: {words.message.id} was taken after its attempt had ended")
            call.emitted.append(words.message)
        elif isinstance(words, WriteSession):
            call.wrote = True
        elif isinstance(words, ReadSession):
            known = 0 if heard.state is None else int(heard.state.body)
            self._say(call, WriteSession(SessionState(str(known + 1).encode(), "text/plain")))
        elif isinstance(words, Complete) and call.message.id not in self._world.checker.ended:
            raise Broken(f"completing: {call.message.id} was said to be complete, and had not ended")

    # Mishaps

    def die(self) -> None:
        """The process is killed: every call is cut off, and nothing that it had accepted goes on."""
        replica = self._replica
        single, self._single = self._single, {}
        for number, call in single.items():
            call.running, call.excused = False, True
            replica.happen(ev.Answered(number, NoAnswer("lost")))
        batches, self._batches = self._batches, {}
        for number, calls in batches.items():
            for call in calls:
                call.running, call.excused, call.unmade = False, True, True
            replica.happen(ev.BatchAnswered(number, NoAnswer("lost")))
        for call in self._accepted:
            call.running, call.excused = False, True
        self._accepted.clear()
