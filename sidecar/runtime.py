"""The sidecar's shell: feeds what happens into the core, and does what the core wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog

from backends.ports import Consumers, Fence, Publisher, Pushes
from contracts.answers import Answer, NoAnswer
from contracts.deliveries import Happening
from contracts.errors import KubedaemonError, PermanentError
from contracts.fence import Push
from contracts.handler import init_body, message_heads
from contracts.records import replica_name
from contracts.timestamps import format_time
from contracts.workqueue import WorkQueue
from sidecar.core.effects import (
    AbandonCall,
    Ack,
    AskStore,
    Bury,
    Call,
    CheckHandler,
    CloseChannel,
    Delay,
    Effect,
    Left,
    OpenChannel,
    Publish,
    Widen,
)
from sidecar.core.events import (
    Answered,
    Drain,
    Event,
    Fate,
    HandlerGone,
    HandlerReady,
    Now,
    Pushed,
    Redefined,
    Replied,
    Sent,
    StoreFailed,
)
from sidecar.core.turn import SidecarCore
from sidecar.ports import HandlerClient, OnAnswer
from sidecar.probe import make_ready
from sidecar.telemetry import QueueTelemetry, Telemetry

_log = structlog.get_logger("sidecar")


class Backend(Consumers, Publisher, Protocol):
    """What the sidecar asks of a broker."""


class FencedStore(Fence, Pushes, Protocol):
    """What the sidecar asks of a store."""


MakeClient = Callable[[str, int, OnAnswer], HandlerClient]


class Sidecar:
    """One incarnation of one replica: a core, its consumer, its handler client and its tasks."""

    def __init__(
        self,
        workqueue: WorkQueue,
        incarnation: str,
        *,
        broker: Backend,
        store: FencedStore,
        make_client: MakeClient,
        telemetry: Telemetry,
    ) -> None:
        self._workqueue = workqueue
        self._where = (workqueue.namespace, workqueue.name)
        self._incarnation = incarnation
        self._store = store
        self._publisher = broker
        self._make_client = make_client
        self._metrics = QueueTelemetry(telemetry, *self._where)
        self._log = _log.bind(queue=workqueue.name, replica=replica_name(incarnation))
        self._loop = asyncio.get_running_loop()
        self._core = SidecarCore(workqueue, incarnation)
        self._inbox: list[Event] = []
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._client: HandlerClient | None = None
        self._head = message_heads("127.0.0.1", *self._where)
        self._probe: asyncio.Task[None] | None = None
        self._deadline = (0.0, "")
        self.left: asyncio.Future[None] = self._loop.create_future()
        self._consumer = broker.consumer(*self._where, incarnation, self._on_happenings)
        self._unsubscribe = store.subscribe(*self._where, incarnation, self._on_push)
        self._schedule()

    # What others tell

    def attach(self, host: str, port: int) -> None:
        """The handler listens (or soon will) at this address; it is called once it is ready."""
        self._drop_client()
        self._client = self._make_client(host, port, self._on_answer)
        self._head = message_heads(f"{host}:{port}", *self._where)
        self._check_handler(CheckHandler("started"))

    def detach(self, reason: str) -> None:
        """The handler is gone: its calls are interrupted, and nothing starts until another is attached."""
        self._drop_client()
        self._happen(HandlerGone(reason, died=True))

    def redefine(self, workqueue: WorkQueue) -> None:
        """The queue's definition has changed."""
        self._workqueue = workqueue
        self._happen(Redefined(workqueue))

    async def drain(self, seconds: float) -> None:
        """Starts nothing more, lets what runs end for so long, and leaves. Harmless to repeat, also with less time."""
        self._happen(Drain(self._loop.time() + seconds))
        await asyncio.shield(self.left)

    async def close(self) -> None:
        """Gives everything back at once: connections, channels, tasks. What ran is interrupted."""
        self._unsubscribe()
        self._consumer.stop()
        self._drop_client()
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self.left.done():
            self.left.cancel()

    # Turns

    def _happen(self, event: Event) -> None:
        self._inbox.append(event)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def _on_happenings(self, happenings: list[Happening]) -> None:
        self._inbox.extend(happenings)
        self._schedule()

    def _on_answer(self, call: int, answer: Answer | NoAnswer) -> None:
        self._inbox.append(Answered(call, answer))
        self._schedule()

    def _on_push(self, push: Push) -> None:
        self._happen(Pushed(push))

    def _turn(self) -> None:
        self._scheduled = False
        if self.left.done():
            return
        events, self._inbox = self._inbox, []
        monotonic = self._loop.time()
        try:
            for effect in self._core.handle(events, Now(monotonic, time.time())):
                _DO[effect.__class__](self, effect)
            self._arm()
        except Exception as error:  # a fault in here: the replica is given up, and another one started
            self._log.exception("the sidecar's core failed; the replica stops")
            self.left.set_exception(error)

    def _arm(self) -> None:
        """Makes sure of a turn when the core's next timer is due, with one timer of the loop."""
        due = self._core.next_due()
        if due is None or due == float("inf") or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._schedule()

    # Effects

    def _open(self, effect: OpenChannel) -> None:
        self._consumer.open(effect.channel, effect.partition, effect.window)

    def _widen(self, effect: Widen) -> None:
        self._consumer.widen(effect.channel, effect.window)

    def _ack(self, effect: Ack) -> None:
        self._consumer.ack(effect.channel, effect.tags)

    def _close_channel(self, effect: CloseChannel) -> None:
        self._consumer.close(effect.channel)

    def _ask_store(self, effect: AskStore) -> None:
        self._metrics.asked(effect.operations)
        self._spawn(self._ask(effect))

    async def _ask(self, effect: AskStore) -> None:
        try:
            replies = await self._store.turn(*self._where, self._incarnation, effect.operations)
        except KubedaemonError as error:
            self._metrics.store_failures.inc()
            self._log.warning("the store did not answer; asking again", error=str(error))
            self._happen(StoreFailed(effect.ref))
        else:
            self._happen(Replied(effect.ref, replies))

    def _publish(self, effect: Publish) -> None:
        self._spawn(self._send(effect.ref, self._publisher.publish(effect.messages)))

    def _bury(self, effect: Bury) -> None:
        for letter in effect.letters:
            self._log.warning("dead-lettered", message=letter.message.id, reason=letter.reason)
        self._spawn(self._send(effect.ref, self._publisher.bury(effect.letters)))

    def _delay(self, effect: Delay) -> None:
        self._spawn(self._send(effect.ref, self._publisher.delay(effect.messages)))

    async def _send(self, ref: int, sending: Awaitable[list[KubedaemonError | None]]) -> None:
        self._happen(Sent(ref, [_fate(outcome) for outcome in await sending]))

    def _call(self, effect: Call) -> None:
        self._metrics.calls.inc()
        if self._client is None:
            self._happen(Answered(effect.call, NoAnswer("refused", "no handler is attached")))
            return
        when, text = self._deadline
        if when != effect.deadline:
            text = format_time(effect.deadline)
            self._deadline = (effect.deadline, text)
        message = effect.message
        head = self._head(message, effect.attempt, text)
        self._client.post(effect.call, head, message.body, effect.timeout_seconds)

    def _abandon(self, effect: AbandonCall) -> None:
        if self._client is not None:
            self._client.abandon(effect.call)

    def _left(self, effect: Left) -> None:
        if not self.left.done():
            self.left.set_result(None)

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The handler

    def _check_handler(self, effect: CheckHandler) -> None:
        if self._client is None or (self._probe is not None and not self._probe.done()):
            return
        self._metrics.handler_checks.inc()
        self._probe = self._loop.create_task(self._make_ready(self._client))
        self._tasks.add(self._probe)
        self._probe.add_done_callback(self._tasks.discard)

    async def _make_ready(self, client: HandlerClient) -> None:
        init = init_body(*self._where, replica_name(self._incarnation))
        limit = self._workqueue.spec.delivery.init_timeout_seconds
        await make_ready(client, init, limit, self._late)
        self._happen(HandlerReady())

    def _late(self, reason: str) -> None:
        self._log.warning(reason)
        self._happen(HandlerGone(reason))

    def _drop_client(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        client, self._client = self._client, None
        if client is not None:
            self._spawn(client.close())


def _fate(outcome: KubedaemonError | None) -> Fate:
    if outcome is None:
        return Fate.HELD
    return Fate.NO_QUEUE if isinstance(outcome, PermanentError) else Fate.UNKNOWN


_DO: dict[type[Effect], Callable[[Sidecar, Any], None]] = {
    OpenChannel: Sidecar._open,
    Widen: Sidecar._widen,
    Ack: Sidecar._ack,
    CloseChannel: Sidecar._close_channel,
    AskStore: Sidecar._ask_store,
    Publish: Sidecar._publish,
    Bury: Sidecar._bury,
    Delay: Sidecar._delay,
    Call: Sidecar._call,
    AbandonCall: Sidecar._abandon,
    CheckHandler: Sidecar._check_handler,
    Left: Sidecar._left,
}
