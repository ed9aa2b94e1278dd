"""A simulated replica: the real core, with links to broker, store and handler that delay, lose and reorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from backends.embedded.broker import EmbeddedConsumer
from contracts.deliveries import Happening
from contracts.handler import Batch, Options
from contracts.replies import Push, Reply
from sidecar.core import effects as fx
from sidecar.core import events as ev
from sidecar.core.membership import LEASE_SECONDS
from sidecar.core.turn import SidecarCore
from tests.simulation.checker import run
from tests.simulation.handler import SimulatedHandler
from tests.simulation.trace import store_lines

if TYPE_CHECKING:
    from tests.simulation.world import World

WHERE = ("default", "q")
ROUNDING_SECONDS = 1e-9
"""So much later than due, so that a clock of another pace is sure to show it."""


class SimulatedReplica:
    """A core with its links. A crash takes the core and the connection away; its handler's calls go on unheard."""

    def __init__(self, world: World, incarnation: str) -> None:
        self.world = world
        self.clock = world.clock
        self.incarnation = incarnation
        self.alive = True
        self.draining = False
        self.paused_until = 0.0
        self.store_away_until = 0.0
        self.wall_offset = self.clock.random.uniform(-2, 2) if "clocks differ" in world.faults else 0.0
        self._pace = self.clock.random.uniform(0.99, 1.01) if "clocks drift" in world.faults else 1.0
        self._batch_wait_ms = self.clock.random.choice([50.0, 3000.0])
        self._core = SidecarCore(world.workqueue, incarnation)
        self._inbox: list[ev.Event] = []
        self._scheduled = False
        self._deaf_until = 0.0
        self._held_back: list[Happening] = []
        self._store_free_at = 0.0
        self._timer: float | None = None
        self.handler = SimulatedHandler(self)
        self._consumer: EmbeddedConsumer = world.broker.consumer(*WHERE, incarnation, self._on_happenings)
        self._unsubscribe = world.store.subscribe(*WHERE, incarnation, self._on_push)
        self.clock.after(self.clock.random.uniform(0, 1), self.handler_is_ready)
        self._schedule()

    def wall(self) -> float:
        return self.clock.wall() + self.wall_offset

    def handler_is_ready(self) -> None:
        batch = Batch(max_messages=4, max_wait_ms=self._batch_wait_ms) if "batches" in self.world.faults else None
        self.happen(ev.HandlerReady(Options(batch=batch, asynchronous="accepted work" in self.world.faults)))

    # Turns

    def happen(self, event: ev.Event) -> None:
        if self.alive:
            self._inbox.append(event)
            self._schedule()

    def _on_happenings(self, happenings: list[Happening]) -> None:
        if self.clock.now < self._deaf_until:
            self._held_back.extend(happenings)
            return
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
        for effect in self._core.handle(events, ev.Now(self.clock.now * self._pace, self.wall())):
            self._do(effect)
        due = self._core.next_due()
        if due != self._timer:
            self._timer = due
            if due is not None and due != float("inf"):
                self.clock.at(due / self._pace + ROUNDING_SECONDS, lambda: self._on_timer(due))

    def _on_timer(self, due: float) -> None:
        """One that was set before the core wanted another time means nothing."""
        if due == self._timer:
            self._timer = None
            self._schedule()

    def _do(self, effect: fx.Effect) -> None:
        match effect:
            case fx.OpenChannel(channel, partition, window):
                self._consumer.open(channel, partition, window)
            case fx.Widen(channel, window):
                self._consumer.widen(channel, window)
            case fx.Ack():
                self._ack(effect)
            case fx.CloseChannel(channel):
                self._consumer.close(channel)
            case fx.AskStore():
                self._ask(effect)
            case fx.Publish():
                self._send(effect.ref, effect.messages, self.world.publish)
            case fx.Bury():
                self._send(effect.ref, effect.letters, lambda letters: run(self.world.broker.bury(letters)))
            case fx.Delay():
                self._send(effect.ref, effect.messages, self.world.delay)
            case fx.CheckHandler():
                self.clock.after(self.clock.random.uniform(0, 0.5), self.handler_is_ready)
            case fx.Left():
                self._end()
            case fx.Call() | fx.CallBatch() | fx.AbandonCall() | fx.AnswerSpeech():
                self.handler.do(effect)

    def _ack(self, effect: fx.Ack) -> None:
        channel = self._consumer._channels.get(effect.channel)
        for tag in effect.tags:
            message = None if channel is None else channel.unacked.get(tag)
            if message is not None:
                self.world.checker.acked(message, self.world.broker, self.world.sink)
        self._consumer.ack(effect.channel, effect.tags)

    # The store, over a link that keeps order and sometimes loses

    def _ask(self, effect: fx.AskStore) -> None:
        random, world = self.clock.random, self.world
        delay = random.choice([0.0, 0.001, 0.01])
        if world.has("slow store") and random.random() < 0.1:
            delay = random.uniform(0.1, 12)
        if world.has("store loses requests") and random.random() < 0.1:
            self.clock.after(delay, lambda: self.happen(ev.StoreFailed(effect.ref)))
            return
        if self.clock.now + delay < self.store_away_until:
            self.clock.after(delay, lambda: self.happen(ev.StoreFailed(effect.ref)))
            return
        if world.has("store calls late") and random.random() < 0.1:
            # Its connection was given up, and what had been written to it is read all the same, some time.
            self.clock.after(delay, lambda: self.happen(ev.StoreFailed(effect.ref)))
            self.clock.after(delay + random.uniform(0, 20), lambda: self._arrive_late(effect))
            return
        self._store_free_at = arrives = max(self.clock.now + delay, self._store_free_at)
        lost = world.has("store loses replies") and random.random() < 0.1

        def arrive() -> None:
            replies = self._apply(effect)
            answer: Any = ev.StoreFailed(effect.ref) if lost else ev.Replied(effect.ref, replies)
            self.clock.after(delay, lambda: self.happen(answer))

        self.clock.at(arrives, arrive)

    def _arrive_late(self, effect: fx.AskStore) -> None:
        self._apply(effect)

    def _apply(self, effect: fx.AskStore) -> list[Reply]:
        world = self.world
        replies = world.store.apply(*WHERE, self.incarnation, effect.operations)
        if world.trace is not None:
            world.trace += store_lines(self.clock.now, self.incarnation, effect.operations, replies)
        world.excuse_the_lapsed()
        world.checker.applied(effect.operations, replies, world.state().records)
        return replies

    def _send(self, ref: int, things: Sequence[Any], publish: Callable[[Sequence[Any]], list[Any]]) -> None:
        def arrive() -> None:
            self.happen(ev.Sent(ref, [self._publish(thing, publish) for thing in things]))

        self.clock.after(self.clock.random.choice([0.0, 0.01, 1.0]), arrive)

    def _publish(self, thing: Any, publish: Callable[[Sequence[Any]], list[Any]]) -> ev.Fate:
        """One thing at a time: some are not confirmed, and of those some did arrive."""
        random = self.clock.random
        sure = not (self.world.has("publishes unconfirmed") and random.random() < 0.3)
        if not sure and random.random() < 0.5:
            return ev.Fate.UNKNOWN
        [outcome] = publish([thing])
        if not sure:
            return ev.Fate.UNKNOWN
        return ev.Fate.HELD if outcome is None else ev.Fate.NO_QUEUE

    # Mishaps

    def time_out_a_channel(self) -> None:
        """The broker ends one channel, for a delivery that was unacked for too long; the others go on."""
        if self._consumer._channels:
            number = self.clock.random.choice(sorted(self._consumer._channels))
            self._consumer.drop(number, "a delivery was unacked for too long")

    def cut(self, noticed_after: float = 0.0) -> None:
        """The connection to the broker ends; the replica may learn of it much later, and acks into nothing."""
        self._deaf_until = self.clock.now + noticed_after
        self._consumer.lose("the simulation cut it")
        if noticed_after:
            self.clock.at(self._deaf_until, self._hear_again)

    def _hear_again(self) -> None:
        held, self._held_back = self._held_back, []
        for happening in held:
            self.happen(happening)

    def excuse_calls(self) -> None:
        for call in self.world.checker.calls:
            if call.replica == self.incarnation:
                call.excused = True

    def crash(self) -> None:
        self.excuse_calls()
        self._end()

    def _end(self) -> None:
        self.alive = False
        self._unsubscribe()
        self._consumer.stop()

    def pause(self, seconds: float) -> None:
        """The whole sidecar stands still, as by SIGSTOP; beyond its lease others may take over what it runs."""
        self.paused_until = self.clock.now + seconds
        if seconds > LEASE_SECONDS / 2:
            self.excuse_calls()

    def drain(self) -> None:
        """Asked to stop, with little time: calls that last longer are left to others."""
        seconds = self.clock.random.choice([0.5, 30.0])
        self.draining = True
        self.happen(ev.Drain(self.clock.now + seconds))
        self.clock.after(seconds, self.excuse_calls)

    def restart_handler(self) -> None:
        """The handler process dies and comes back: every call that runs is cut off."""
        self.happen(ev.HandlerGone("killed", died=True))
        self.handler.die()
        self.clock.after(self.clock.random.uniform(0.05, 2), self.handler_is_ready)
