"""The world of one seed: senders, replicas with their links to broker and store, handlers, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from backends.embedded.broker import EmbeddedBroker, EmbeddedConsumer
from backends.embedded.store import EmbeddedStore
from contracts.answers import Answer, NoAnswer
from contracts.deliveries import Happening
from contracts.fence import Push
from contracts.message import Message
from contracts.workqueue import WorkQueue, parse_spec
from sidecar.core import effects as fx
from sidecar.core import events as ev
from sidecar.core.membership import LEASE_SECONDS
from sidecar.core.turn import SidecarCore
from tests.simulation.checker import Checker, SimulatedCall, run
from tests.simulation.clockwork import Clockwork

NAMESPACE, QUEUE = "default", "q"
FAULTS_STOP_AT = 60.0
END_AT = 2000.0

KINDS = (
    "duplicates",
    "failures",
    "final failures",
    "handler loses connections",
    "slow handlers",
    "timeouts",
    "store loses requests",
    "store loses replies",
    "slow store",
    "connections cut",
    "replicas crash",
    "replicas pause",
    "replicas drain",
    "publishes unconfirmed",
    "handlers restart",
    "pausing",
)


class World:
    """Everything of one run. ``trace`` holds what happened, for people, when it is kept."""

    def __init__(self, seed: int, keep_trace: bool = False) -> None:
        self.clock = Clockwork(seed)
        random = self.clock.random
        self.faults = {kind for kind in KINDS if random.random() < 0.4}
        self.trace: list[str] | None = [] if keep_trace else None
        spec = parse_spec(
            {
                "partitions": random.choice([1, 2, 4]),
                "sessions": {
                    "maxConcurrent": random.choice([1, 2, 4, 64]),
                    "concurrencyPerReplica": random.choice([1, 2, 8]),
                },
                "delivery": {"timeoutSeconds": 20, "maxAttempts": 3, "maxInterruptions": 3},
                "scaling": {"maxReplicas": 1},
            }
        )
        self.workqueue = WorkQueue(name=QUEUE, spec=spec)
        self.broker = EmbeddedBroker(self.clock.soon, self.clock.at_wall)
        self.store = EmbeddedStore(self.clock.monotonic, self.clock.wall, self.clock.soon)
        run(self.broker.declare(self.workqueue))
        self.checker = Checker(spec.sessions.max_concurrent)
        self.replicas: list[SimulatedReplica] = []
        self._born = 0

    def has(self, fault: str) -> bool:
        return fault in self.faults and self.clock.now < FAULTS_STOP_AT

    def say(self, text: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.clock.now:9.3f}  {text}")

    def play(self) -> None:
        """One life: work comes in under faults, the faults stop, and then everything must end."""
        for _ in range(self.clock.random.randint(1, 3)):
            self.join()
        self._send_all()
        for _ in range(self.clock.random.randint(0, 8)):
            self.clock.at(self.clock.random.uniform(0, FAULTS_STOP_AT), self._mishap)
        self.clock.at(FAULTS_STOP_AT, self._calm)
        self.clock.run_until(END_AT, self._all_settled)
        self.checker.at_the_end(self.broker, NAMESPACE, QUEUE)

    def _all_settled(self) -> bool:
        if self.clock.now < FAULTS_STOP_AT or len(self.checker.ended) < len(self.checker.accepted):
            return False
        depth = run(self.broker.depth(NAMESPACE, QUEUE))
        return not sum(depth.ready) and not depth.unacked

    def excuse_the_lapsed(self) -> None:
        """Whoever the store has not heard of for a lease is cut off: what it runs may be run again."""
        state = self.store._state(NAMESPACE, QUEUE)
        for call in self.checker.calls:
            if not call.excused and not state.alive(call.replica, self.clock.now):
                call.excused = True

    def join(self) -> None:
        self._born += 1
        self.replicas.append(SimulatedReplica(self, f"r{self._born}#{self._born}"))

    def _send_all(self) -> None:
        random = self.clock.random
        sessions = [f"s{number}" for number in range(random.randint(1, 5))]
        for number in range(random.randint(3, 30)):
            session = None if random.random() < 0.1 else random.choice(sessions)
            message = Message(namespace=NAMESPACE, queue=QUEUE, id=f"m{number}", session=session, body=b"x")
            self.clock.at(number * random.choice([0.0, 0.05]), lambda m=message: self._send(m))  # type: ignore[misc]

    def _send(self, message: Message) -> None:
        self.checker.accept(message)
        self._publish(message)
        if self.has("duplicates") and self.clock.random.random() < 0.3:
            self.clock.after(self.clock.random.uniform(0, 20), lambda: self._publish(message))

    def _publish(self, message: Message) -> None:
        run(self.broker.publish([message]))

    def _mishap(self) -> None:
        random = self.clock.random
        living = [replica for replica in self.replicas if replica.alive]
        if not living:
            self.join()
            return
        victim = random.choice(living)
        options: list[tuple[str, Callable[[], None]]] = [
            ("connections cut", victim.cut),
            ("replicas crash", victim.crash),
            ("replicas pause", lambda: victim.pause(random.choice([1.0, 8.0, LEASE_SECONDS + 10]))),
            ("replicas drain", victim.drain),
            ("handlers restart", victim.restart_handler),
            ("pausing", self._pause_queue),
        ]
        chosen = [(name, act) for name, act in options if self.has(name)]
        if chosen:
            name, act = random.choice(chosen)
            self.say(f"{victim.incarnation}: {name}")
            act()
        if random.random() < 0.5 and len(living) < 4:
            self.join()

    def _pause_queue(self) -> None:
        self._set_paused(True)
        self.clock.after(self.clock.random.uniform(0.1, 10), lambda: self._set_paused(False))

    def _set_paused(self, paused: bool) -> None:
        spec = msgspec.structs.replace(self.workqueue.spec, paused=paused)
        self.workqueue = msgspec.structs.replace(self.workqueue, spec=spec)
        for replica in self.replicas:
            replica.happen(ev.Redefined(self.workqueue))

    def _calm(self) -> None:
        """The faults have stopped; somebody is there to do the work."""
        self._set_paused(False)
        if not any(replica.alive and not replica.draining for replica in self.replicas):
            self.join()


class SimulatedReplica:
    """A core with its links. A crash takes the core and the connection away; its handler's calls go on unheard."""

    def __init__(self, world: World, incarnation: str) -> None:
        self.world = world
        self.clock = world.clock
        self.incarnation = incarnation
        self.alive = True
        self.draining = False
        self.paused_until = 0.0
        self._core = SidecarCore(world.workqueue, incarnation)
        self._inbox: list[ev.Event] = []
        self._scheduled = False
        self._calls: dict[int, SimulatedCall] = {}
        self._store_free_at = 0.0
        self._timer = -1.0
        self._consumer: EmbeddedConsumer = world.broker.consumer(NAMESPACE, QUEUE, incarnation, self._on_happenings)
        self._unsubscribe = world.store.subscribe(NAMESPACE, QUEUE, incarnation, self._on_push)
        self.clock.after(self.clock.random.uniform(0, 1), lambda: self.happen(ev.HandlerReady()))
        self._schedule()

    # Turns

    def happen(self, event: ev.Event) -> None:
        if self.alive:
            self._inbox.append(event)
            self._schedule()

    def _on_happenings(self, happenings: list[Happening]) -> None:
        for happening in happenings:
            self.happen(happening)

    def _on_push(self, push: Push) -> None:
        self.happen(ev.Pushed(push))

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.clock.at(max(self.clock.now, self.paused_until), self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if not self.alive:
            return
        if self.clock.now < self.paused_until:
            self._schedule()
            return
        events, self._inbox = self._inbox, []
        for effect in self._core.handle(events, ev.Now(self.clock.now, self.clock.wall())):
            self._do(effect)
        due = self._core.next_due()
        if due is not None and due != self._timer and due != float("inf"):
            self._timer = due
            self.clock.at(due, self._schedule)

    def _do(self, effect: fx.Effect) -> None:
        match effect:
            case fx.OpenChannel(channel, partition, window):
                self._consumer.open(channel, partition, window)
            case fx.Widen(channel, window):
                self._consumer.widen(channel, window)
            case fx.Ack(channel, tags):
                self._consumer.ack(channel, tags)
            case fx.CloseChannel(channel):
                self._consumer.close(channel)
            case fx.AskStore():
                self._ask(effect)
            case fx.Publish():
                self._send(effect.ref, effect.messages, self.world.broker.publish)
            case fx.Bury():
                self._send(effect.ref, effect.letters, self.world.broker.bury)
            case fx.Delay():
                self._send(effect.ref, effect.messages, self.world.broker.delay)
            case fx.Call():
                self._call(effect)
            case fx.CheckHandler():
                self.clock.after(self.clock.random.uniform(0, 0.5), lambda: self.happen(ev.HandlerReady()))
            case fx.Left():
                self._end()

    # The store, over a link that keeps order and sometimes loses

    def _ask(self, effect: fx.AskStore) -> None:
        random, world = self.clock.random, self.world
        delay = random.choice([0.0, 0.001, 0.01])
        if world.has("slow store") and random.random() < 0.1:
            delay = random.uniform(0.1, 12)
        if world.has("store loses requests") and random.random() < 0.1:
            self.clock.after(delay, lambda: self.happen(ev.StoreFailed(effect.ref)))
            return
        self._store_free_at = arrives = max(self.clock.now + delay, self._store_free_at)
        lost = world.has("store loses replies") and random.random() < 0.1

        def arrive() -> None:
            replies = world.store.apply(NAMESPACE, QUEUE, self.incarnation, effect.operations)
            records = world.store._state(NAMESPACE, QUEUE).records
            world.excuse_the_lapsed()
            world.checker.applied(effect.operations, replies, records)
            answer: Any = ev.StoreFailed(effect.ref) if lost else ev.Replied(effect.ref, replies)
            self.clock.after(delay, lambda: self.happen(answer))

        self.clock.at(arrives, arrive)

    def _send(self, ref: int, things: list[Any], publish: Callable[[Any], Any]) -> None:
        def arrive() -> None:
            sure = not (self.world.has("publishes unconfirmed") and self.clock.random.random() < 0.3)
            fates = [ev.Fate.UNKNOWN] * len(things)
            if sure or self.clock.random.random() < 0.5:
                outcomes = run(publish(things))
                if sure:
                    fates = [ev.Fate.HELD if outcome is None else ev.Fate.NO_QUEUE for outcome in outcomes]
            self.happen(ev.Sent(ref, fates))

        self.clock.after(self.clock.random.choice([0.0, 0.01, 1.0]), arrive)

    # The handler

    def _call(self, effect: fx.Call) -> None:
        call = SimulatedCall(self.incarnation, effect.message, effect.attempt)
        self.world.say(f"{self.incarnation}: calls {effect.message.id} attempt {effect.attempt}")
        self.world.checker.started(call)
        self._calls[effect.call] = call
        answer, seconds = self._answer(call, effect.timeout_seconds)
        self.clock.after(seconds, lambda: self._answered(effect.call, call, answer))

    def _answer(self, call: SimulatedCall, timeout: float) -> tuple[Answer | NoAnswer, float]:
        random, world = self.clock.random, self.world
        seconds = random.uniform(0, 10) if world.has("slow handlers") else random.choice([0.0, 0.01, 0.2])
        if world.has("timeouts") and random.random() < 0.1:
            call.excused = True
            return NoAnswer("timeout"), timeout
        if world.has("handler loses connections") and random.random() < 0.1:
            call.excused = True
            return NoAnswer("lost"), seconds
        if world.has("failures") and random.random() < 0.2:
            return Answer(random.choice([500, 503, 429, 404]), retry_after=random.choice([None, "1"])), seconds
        if world.has("final failures") and random.random() < 0.1:
            return Answer(422, body=b"no"), seconds
        return Answer(200, body=call.body), seconds

    def _answered(self, number: int, call: SimulatedCall, answer: Answer | NoAnswer) -> None:
        call.running = False
        if self._calls.pop(number, None) is None or not self.alive:
            return
        if isinstance(answer, Answer) and answer.status == 200 and self.clock.now >= self.paused_until:
            call.acked_to_a_sound_replica = True
        self.happen(ev.Answered(number, answer))

    # Mishaps

    def cut(self) -> None:
        self._consumer.lose("the simulation cut it")

    def _excuse_calls(self) -> None:
        for call in self.world.checker.calls:
            if call.replica == self.incarnation:
                call.excused = True

    def crash(self) -> None:
        self._excuse_calls()
        self._end()

    def _end(self) -> None:
        self.alive = False
        self._unsubscribe()
        self._consumer.stop()

    def pause(self, seconds: float) -> None:
        """The whole sidecar stands still, as by SIGSTOP; beyond its lease others may take over what it runs."""
        self.paused_until = self.clock.now + seconds
        if seconds > LEASE_SECONDS / 2:
            self._excuse_calls()

    def drain(self) -> None:
        """Asked to stop, with little time: calls that last longer are left to others."""
        seconds = self.clock.random.choice([0.5, 30.0])
        self.draining = True
        self.happen(ev.Drain(self.clock.now + seconds))
        self.clock.after(seconds, self._excuse_calls)

    def restart_handler(self) -> None:
        """The handler process dies and comes back: every call that runs is cut off."""
        self.happen(ev.HandlerGone("killed"))
        for number, call in list(self._calls.items()):
            call.running = False
            call.excused = True
            del self._calls[number]
            self.happen(ev.Answered(number, NoAnswer("lost")))
        self.clock.after(self.clock.random.uniform(0.05, 2), lambda: self.happen(ev.HandlerReady()))
