"""The world of one seed: queues, replicas, senders and operators, and what goes wrong. A seed decides all of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import msgspec

from backends.embedded.broker import EmbeddedBroker
from backends.embedded.state import QueueState
from backends.embedded.store import EmbeddedStore
from contracts.errors import TransientError
from contracts.message import Message
from contracts.records import replica_name
from contracts.topology import Partition
from contracts.workqueue import WorkQueue, parse_spec
from sidecar.core import events as ev
from sidecar.core.membership import LEASE_SECONDS
from tests.simulation.checker import Broken, Checker, run
from tests.simulation.clockwork import Clockwork
from tests.simulation.operators import Operators
from tests.simulation.replica import SimulatedReplica
from tests.simulation.store_faults import StoreFaults
from tests.simulation.trace import Line

NAMESPACE, QUEUE, SINK = "default", "q", "sink"
FAULTS_STOP_AT = 35.0
END_AT = 2000.0

KINDS = (
    "duplicates",
    "failures",
    "final failures",
    "bad deploy",
    "handler loses connections",
    "slow handlers",
    "timeouts",
    "accepted work",
    "silent handlers",
    "late threads",
    "emitting",
    "emitting to nowhere",
    "session state",
    "batches",
    "batches fail",
    "expiry",
    "store loses requests",
    "store loses replies",
    "slow store",
    "store forgets",
    "store loses its last second",
    "store calls late",
    "store unreachable",
    "store outages",
    "connections cut",
    "consumer timeouts",
    "half-open connections",
    "broker restarts",
    "replicas crash",
    "replicas pause",
    "replicas drain",
    "publishes unconfirmed",
    "handlers restart",
    "pausing",
    "doubling",
    "blocking",
    "cancels",
    "releases",
    "skips",
    "redrives",
    "clocks differ",
    "clocks drift",
    "wall clock jumps",
    "garbage",
    "deploys",
)
RARE = frozenset({"store forgets", "store loses its last second", "bad deploy", "batches fail", "doubling"})


class World:
    """Everything of one run. ``trace`` holds what happened, for people, when it is kept.

    Each seed has some kinds of faults and not others (swarm testing); those of ``force`` it has in any case, and
    those of ``without`` in none.
    """

    def __init__(
        self,
        seed: int,
        keep_trace: bool = False,
        force: Collection[str] = (),
        without: Collection[str] = (),
        most_messages: int = 1000,
    ) -> None:
        self.clock = Clockwork(seed)
        random = self.clock.random
        self.faults = {kind for kind in KINDS if random.random() < (0.15 if kind in RARE else 0.35)}.union(force)
        self.faults -= set(without)
        self._most_messages = most_messages
        self.trace: list[Line] | None = [] if keep_trace else None
        self.workqueue = WorkQueue(name=QUEUE, spec=self._draw_spec())
        self.broker = EmbeddedBroker(self.clock.soon, self.clock.at_wall)
        self.store = EmbeddedStore(self.clock.monotonic, self.clock.wall, self.clock.soon)
        run(self.broker.declare(self.workqueue))
        run(
            self.broker.declare(WorkQueue(name=SINK, spec=parse_spec({"partitions": 1, "scaling": {"maxReplicas": 1}})))
        )
        self.sink: list[str] = []
        """The emitted messages that their queue holds, in order."""
        self.checker = Checker(self.workqueue.spec)
        self.operators = Operators(self)
        self.store_faults = StoreFaults(self)
        self.replicas: list[SimulatedReplica] = []
        self.deployed_at = random.uniform(0, 30)
        self._born = 0

    def _draw_spec(self) -> Any:
        random = self.clock.random
        return parse_spec(
            {
                "partitions": random.choice([1, 2, 4]),
                "sessions": {
                    "maxConcurrent": random.choice([1, 2, 4, 64]),
                    "concurrencyPerReplica": random.choice([1, 2, 8]),
                },
                "delivery": {
                    "timeoutSeconds": 20,
                    "heartbeatTimeoutSeconds": 5,
                    "maxAttempts": 3,
                    "maxInterruptions": 3,
                    "onDead": "block" if "blocking" in self.faults else "continue",
                },
                "scaling": {"maxReplicas": 1},
            }
        )

    def has(self, fault: str) -> bool:
        return fault in self.faults and self.clock.now < FAULTS_STOP_AT

    def say(self, source: str, target: str, what: str, about: str = "") -> None:
        if self.trace is not None:
            self.trace.append(Line(self.clock.now, source, target, what, about))

    def state(self) -> QueueState:
        return self.store._state(NAMESPACE, QUEUE)

    def play(self) -> None:
        """One life: work comes in under faults, the faults stop, and then everything must end."""
        random = self.clock.random
        for _ in range(random.randint(1, 3)):
            self.join()
        self._send_all()
        for _ in range(random.randint(0, 8)):
            self.clock.at(random.uniform(0, FAULTS_STOP_AT), self._mishap)
        for _ in range(random.randint(0, 4)):
            self.clock.at(random.uniform(0, FAULTS_STOP_AT), self.operators.act)
        self.clock.at(FAULTS_STOP_AT, self._calm)
        self.clock.run_until(FAULTS_STOP_AT)
        self.clock.run_until(END_AT, self._all_settled)
        stuck = [replica.incarnation for replica in self.replicas if replica.alive and replica.draining]
        if stuck:
            raise Broken(f"draining: {stuck[0]} was asked to stop, and is still there")
        if self.workqueue.older:
            raise Broken(f"doubling: the set of {self.workqueue.older[0]} partitions was never seen to be empty")
        self.checker.at_the_end(self.broker, NAMESPACE, QUEUE, self.sink)

    def _all_settled(self) -> bool:
        if self.clock.now < FAULTS_STOP_AT or len(self.checker.ended) < len(self.checker.accepted):
            return False
        depth = run(self.broker.depth(NAMESPACE, QUEUE))
        left = sum(depth.ready) or depth.unacked or depth.scheduled
        return (
            not left
            and not self.workqueue.older
            and not any(replica.alive and replica.draining for replica in self.replicas)
        )

    def excuse_the_lapsed(self) -> None:
        """Whoever the store has not heard of for a lease is cut off: what it runs may be run again."""
        state, now = self.state(), self.clock.now
        lapsed = {one.incarnation for one in self.replicas if not state.alive(one.incarnation, now)}
        if not lapsed:
            return
        for call in self.checker.calls:
            if not call.excused and call.replica in lapsed:
                call.excused = not (self.checker.forgot and self._is_sound(call.replica))

    def _is_sound(self, incarnation: str) -> bool:
        """Alive and not cut off: after the store forgot, it still has a lease's time to say what it runs."""
        replica = next(r for r in self.replicas if r.incarnation == incarnation)
        return replica.alive and self.clock.now < self.state().quarantine_until

    def join(self) -> None:
        self._born += 1
        self.replicas.append(SimulatedReplica(self, f"r{self._born}#{self._born}"))

    # Senders

    def _send_all(self) -> None:
        random = self.clock.random
        sessions = [f"s{number}" for number in range(random.randint(1, 5))]
        for number in range(min(random.randint(3, 60 if "bad deploy" in self.faults else 30), self._most_messages)):
            expires = 0.0
            if "expiry" in self.faults and random.random() < 0.3:
                expires = self.clock.wall() + random.uniform(0, 40)
            message = Message(
                namespace=NAMESPACE,
                queue=QUEUE,
                id=f"m{number}",
                session=None if random.random() < 0.15 else random.choice(sessions),
                body=b"x",
                expires_at=expires,
            )
            self.clock.at(number * random.choice([0.0, 0.05]), lambda m=message: self._send(m))  # type: ignore[misc]

    def _send(self, message: Message) -> None:
        self.checker.accept(message)
        self.publish([message])
        if self.has("duplicates") and self.clock.random.random() < 0.3:
            self.clock.after(self.clock.random.uniform(0, 20), lambda: self._repeat(message))

    def _repeat(self, message: Message) -> None:
        """The sender repeats itself. After the store forgot, nobody can know it for a repeat."""
        if self.checker.forgot:
            self.checker.weak.add(message.id)
        self.publish([message])

    def publish(self, messages: Sequence[Message]) -> list[Any]:
        outcomes = run(self.broker.publish(messages))
        fresh = [m for m, outcome in zip(messages, outcomes, strict=True) if m.queue != QUEUE and outcome is None]
        if fresh:
            self.checker.published(fresh)
            self.sink.extend(message.id for message in fresh)
        return outcomes

    def delay(self, messages: Sequence[tuple[Message, float]]) -> list[Any]:
        for message, _ in messages:
            self.checker.delayed[message.id] += 1
        return run(self.broker.delay(messages))

    # Mishaps

    def _mishap(self) -> None:
        random = self.clock.random
        living = [replica for replica in self.replicas if replica.alive]
        if not living:
            self.join()
            return
        victim = random.choice(living)
        options: list[tuple[str, Callable[[], None]]] = [
            ("connections cut", victim.cut),
            ("half-open connections", lambda: victim.cut(noticed_after=random.uniform(0.5, 20))),
            ("broker restarts", self._restart_broker),
            ("replicas crash", victim.crash),
            ("replicas pause", lambda: victim.pause(random.choice([1.0, 8.0, LEASE_SECONDS + 10]))),
            ("replicas drain", victim.drain),
            ("handlers restart", victim.restart_handler),
            ("store forgets", self.store_faults.forget),
            ("store loses its last second", self.store_faults.roll_back),
            ("store unreachable", lambda: self.store_faults.cut_off(self._long(), victim.incarnation)),
            ("store outages", lambda: self.store_faults.outage(self._long())),
            ("consumer timeouts", victim.time_out_a_channel),
            ("wall clock jumps", self._jump),
            ("deploys", self._deploy),
            ("pausing", self._pause_queue),
            ("doubling", self._double),
        ]
        chosen = [(name, act) for name, act in options if self.has(name)]
        if chosen:
            name, act = random.choice(chosen)
            self.say("world", replica_name(victim.incarnation), name)
            act()
        if random.random() < 0.5 and len(living) < 4:
            self.join()

    def _restart_broker(self) -> None:
        for replica in self.replicas:
            if replica.alive:
                replica.cut()

    def _long(self) -> float:
        """A while: some shorter than a lease, and some longer."""
        return self.clock.random.choice([2.0, 10.0, LEASE_SECONDS + 10])

    def _jump(self) -> None:
        """Somebody sets the wall clock of all machines."""
        self.clock.wall_shift += self.clock.random.choice([-300.0, -5.0, 5.0, 300.0])

    def _deploy(self) -> None:
        """Every replica is replaced, one after the other."""
        for number, replica in enumerate([replica for replica in self.replicas if replica.alive]):
            self.clock.after(number * 2.0, self.join)
            self.clock.after(number * 2.0 + 1.0, replica.drain)

    def _pause_queue(self) -> None:
        self.redefine(paused=True)
        self.clock.after(self.clock.random.uniform(0.1, 10), lambda: self.redefine(paused=False))

    def _double(self) -> None:
        """The broker first, as the dispatcher does it; replicas hear of it one by one, and some much later."""
        partitions = self.workqueue.spec.partitions * self.clock.random.choice([2, 2, 4])
        if partitions > 16:
            return
        spec = msgspec.structs.replace(self.workqueue.spec, partitions=partitions)
        self._declared(msgspec.structs.replace(self.workqueue, spec=spec))
        self.clock.after(1.0, self._retire_what_is_empty)

    def _declared(self, wanted: WorkQueue) -> None:
        *older, _ = run(self.broker.declare(wanted))
        self.workqueue = msgspec.structs.replace(wanted, older=tuple(older))
        for replica in self.replicas:
            self.clock.after(self.clock.random.choice([0.0, 0.1, 5.0]), partial(self._hear, replica))

    def _hear(self, replica: SimulatedReplica) -> None:
        replica.happen(ev.Redefined(self.workqueue))

    def _retire_what_is_empty(self) -> None:
        """As the scaler does it."""
        emptied = run(self.store.emptied(NAMESPACE, QUEUE))
        for of in self.workqueue.older:
            if all(Partition(of, number) in emptied for number in range(of)):
                try:
                    run(self.broker.retire(NAMESPACE, QUEUE, of))
                except TransientError:
                    continue  # an ack is on its way, or was lost
                self._declared(self.workqueue)
        if self.workqueue.older:
            self.clock.after(1.0, self._retire_what_is_empty)

    def redefine(self, resume: bool = False, **changes: Any) -> None:
        """The queue's owner changes its spec, or resumes what has halted; everybody hears of it."""
        spec = msgspec.structs.replace(self.workqueue.spec, **changes)
        resumes = self.workqueue.resumes + resume
        if resume:
            self.checker.resumed()
        self.workqueue = msgspec.structs.replace(self.workqueue, spec=spec, resumes=resumes)
        for replica in self.replicas:
            self._hear(replica)

    def _calm(self) -> None:
        """The faults have stopped; somebody is there to do the work, and operators look after what is stuck."""
        self.redefine(resume=True, paused=False)
        if not any(replica.alive and not replica.draining for replica in self.replicas):
            self.join()
        self.operators.keep_unblocking()
