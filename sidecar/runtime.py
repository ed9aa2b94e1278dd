"""The sidecar's shell: feeds what happens into the core, and does what the core wants."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from contracts.deliveries import Happening
from contracts.errors import KubedaemonError
from contracts.records import replica_name
from contracts.replies import Push
from contracts.tokens import Keys
from contracts.workqueue import WorkQueue
from sidecar.callbacks import callback_server
from sidecar.calling import Calling, MakeClient
from sidecar.core.effects import (
    AbandonCall,
    Ack,
    AnswerSpeech,
    AskStore,
    Bury,
    Call,
    CallBatch,
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
    Drain,
    Event,
    HandlerGone,
    Now,
    Pushed,
    Redefined,
    Replied,
    StoreFailed,
)
from sidecar.core.turn import SidecarCore
from sidecar.ports import Backend, FencedStore
from sidecar.publishing import Publishing
from sidecar.speaking import Speaking
from sidecar.telemetry import QueueTelemetry, Telemetry

_log = structlog.get_logger("sidecar")

T = TypeVar("T")


class Sidecar:
    """One incarnation of one replica: a core, its consumer, its handler, the callback API for it, and its tasks."""

    def __init__(
        self,
        workqueue: WorkQueue,
        incarnation: str,
        *,
        broker: Backend,
        store: FencedStore,
        make_client: MakeClient,
        telemetry: Telemetry,
        keys: Keys,
    ) -> None:
        self._where = (workqueue.namespace, workqueue.name)
        self._incarnation = incarnation
        self._store = store
        self._metrics = QueueTelemetry(telemetry, *self._where)
        self._log = _log.bind(queue=workqueue.name, replica=replica_name(incarnation))
        self._loop = asyncio.get_running_loop()
        self._core = SidecarCore(workqueue, incarnation)
        self._inbox: list[Event] = []
        self._scheduled = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()
        self.attempts = Speaking(*self._where, self._happen)
        self._callbacks = callback_server(keys, self.attempts, store, broker)
        self._calling = self._caller(workqueue, keys, make_client)
        publishing = Publishing(broker, store, queue=workqueue.name, happen=self._happen, spawn=self._spawn)
        self._do = self._performers(publishing)
        self.left: asyncio.Future[None] = self._loop.create_future()
        self.left.add_done_callback(lambda _: self.attempts.stop())
        self._consumer = broker.consumer(*self._where, incarnation, self._on_happenings)
        self._unsubscribe = store.subscribe(*self._where, incarnation, self._on_push)
        self._spawn(self._callbacks.serve())
        self._schedule()

    def _caller(self, workqueue: WorkQueue, keys: Keys, make_client: MakeClient) -> Calling:
        return Calling(
            workqueue,
            replica_name(self._incarnation),
            callback_url=self._callbacks.url,
            keys=keys,
            make_client=make_client,
            metrics=self._metrics,
            happen=self._happen,
            spawn=self._spawn,
        )

    # What others tell

    def attach(self, host: str, port: int) -> None:
        """The handler listens (or soon will) at this address; it is called once it is ready."""
        self._calling.attach(host, port)

    def detach(self, reason: str) -> None:
        """The handler is gone: its calls are interrupted, and nothing starts until another is attached."""
        self._calling.detach(HandlerGone(reason, died=True))

    def redefine(self, workqueue: WorkQueue) -> None:
        """The queue's definition has changed."""
        self._calling.delivery = workqueue.spec.delivery
        self._happen(Redefined(workqueue))

    async def drain(self, seconds: float) -> None:
        """Starts nothing more, lets what runs end for so long, and leaves. Harmless to repeat, also with less time."""
        self._happen(Drain(self._loop.time() + seconds))
        await asyncio.shield(self.left)

    async def close(self) -> None:
        """Gives everything back at once: connections, channels, tasks. What ran is interrupted."""
        self._closed = True
        self._unsubscribe()
        self._consumer.stop()
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._callbacks.close()
        await self._calling.close()
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

    def _on_push(self, push: Push) -> None:
        self._happen(Pushed(push))

    def _turn(self) -> None:
        self._scheduled = False
        if self._closed or self.left.done():
            return
        events, self._inbox = self._inbox, []
        monotonic = self._loop.time()
        try:
            for effect in self._core.handle(events, Now(monotonic, time.time())):
                self._do[effect.__class__](effect)
            self._calling.count()
            self._arm()
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        """A fault in here: the replica stops, and its owner starts another one."""
        self._log.error("a fault that nobody foresaw; the replica stops", exc_info=error)
        if not self.left.done():
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

    def _performers(self, publishing: Publishing) -> dict[type[Effect], Callable[[Any], None]]:
        """What performs each kind of effect."""
        return {
            OpenChannel: self._open,
            Widen: self._widen,
            Ack: self._ack,
            CloseChannel: self._close_channel,
            AskStore: self._ask_store,
            Publish: publishing.publish,
            Bury: publishing.bury,
            Delay: publishing.delay,
            Call: self._calling.call,
            CallBatch: self._calling.call_batch,
            AbandonCall: self._calling.abandon,
            CheckHandler: self._calling.check,
            AnswerSpeech: self.attempts.answer,
            Left: self._left,
        }

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

    def _left(self, effect: Left) -> None:
        if not self.left.done():
            self.left.set_result(None)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._give_up(error)
