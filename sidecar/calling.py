"""The shell towards the handler: its client, what it is sent, what it answers, and whether it is ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from contracts.answers import Answer, NoAnswer
from contracts.handler import Format, init_body, message_heads
from contracts.handler_batch import Entry, batch_body, batch_head, read_batch_answer
from contracts.timestamps import format_time
from contracts.tokens import AttemptToken, Keys, ReplicaToken, attempt_expiry, replica_expiry, signer
from contracts.workqueue import WorkQueue
from sidecar.core.effects import AbandonCall, Call, CallBatch, CheckHandler
from sidecar.core.events import Answered, BatchAnswered, Event, HandlerGone, HandlerReady
from sidecar.ports import HandlerClient, OnAnswer
from sidecar.probe import make_ready
from sidecar.telemetry import QueueTelemetry

_log = structlog.get_logger("sidecar")

MakeClient = Callable[[str, int, OnAnswer], HandlerClient]


class Calling:
    """One handler at a time. What it answers, and whether it can be called, goes to ``happen``.

    ``spawn`` starts what may end with the sidecar at any moment.
    """

    def __init__(
        self,
        workqueue: WorkQueue,
        replica: str,
        *,
        callback_url: str,
        keys: Keys,
        make_client: MakeClient,
        metrics: QueueTelemetry,
        happen: Callable[[Event], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.delivery = workqueue.spec.delivery
        self._where = (workqueue.namespace, workqueue.name)
        self._replica = replica
        self._callback_url = callback_url
        self._sign = signer(keys)
        self._make_client = make_client
        self._metrics = metrics
        self._happen = happen
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._client: HandlerClient | None = None
        self._host = ""
        self._head = message_heads(self._host, *self._where, callback_url)
        self._format: Format = "json"
        self._running: set[int] = set()
        self._batches: dict[int, tuple[list[str], Format]] = {}
        self._counted = (0, 0)
        self._started = 0
        self._probe: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._deadline = (0.0, "", 0)

    # The handler comes and goes

    def attach(self, host: str, port: int) -> None:
        """It listens (or soon will) at this address; it is called once it is ready."""
        if self._client is not None:
            self.detach(HandlerGone("another handler takes its place"))
        self._host = f"{host}:{port}"
        self._client = self._make_client(host, port, self._on_answer)
        self._head = message_heads(self._host, *self._where, self._callback_url)
        self.check(CheckHandler("started"))

    def detach(self, gone: HandlerGone) -> None:
        """It is gone: what still runs there is lost, and only then it is told why."""
        self._drop()
        self._loop.call_soon(self._happen, gone)

    def _drop(self) -> None:
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None
        client, self._client = self._client, None
        if client is not None:
            closing = self._loop.create_task(client.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Returns once no connection is left."""
        self._drop()
        await asyncio.gather(*self._closing, return_exceptions=True)
        self.count()

    def check(self, effect: CheckHandler) -> None:
        """Asks /healthz and /init until both are well; where that is under way, that will do."""
        if self._client is None or (self._probe is not None and not self._probe.done()):
            return
        self._metrics.handler_checks.inc()
        self._probe = self._spawn(self._make_ready(self._client))

    async def _make_ready(self, client: HandlerClient) -> None:
        options = await make_ready(client, self._init, self.delivery.init_timeout_seconds, self._late)
        self._format = options.format
        self._happen(HandlerReady(options))

    def _init(self) -> bytes:
        until = replica_expiry(time.time())
        token = self._sign(ReplicaToken(*self._where, self._replica, until))
        return init_body(*self._where, self._replica, self._callback_url, token, until)

    def _late(self, reason: str) -> None:
        _log.warning(reason, queue=self._where[1], replica=self._replica)
        self._happen(HandlerGone(reason))

    # Calls

    def count(self) -> None:
        """Tells the metrics what has changed since it was called last: once a turn, not once a call."""
        running, started = len(self._running), self._started
        known_running, known_started = self._counted
        if (running, started) != self._counted:
            self._counted = (running, started)
            self._metrics.in_flight.inc(running - known_running)
            self._metrics.calls.inc(started - known_started)

    def call(self, effect: Call) -> None:
        if self._client is None:
            self._happen(Answered(effect.call, NoAnswer("refused", "no handler is attached")))
            return
        message, attempt = effect.message, effect.attempt
        text, until = self._until(effect.deadline)
        token = AttemptToken(*self._where, message.id, message.generation, attempt, effect.epoch, until)
        head = self._head(message, attempt, text, self._sign(token))
        self._started += 1
        self._running.add(effect.call)
        self._client.post(effect.call, head, message.body, effect.timeout_seconds)

    def call_batch(self, effect: CallBatch) -> None:
        if self._client is None:
            self._happen(BatchAnswered(effect.call, NoAnswer("refused", "no handler is attached")))
            return
        text, until = self._until(effect.deadline)
        entries = []
        for entry in effect.entries:
            message, attempt = entry.message, entry.attempt
            token = AttemptToken(*self._where, message.id, message.generation, attempt, entry.epoch, until)
            entries.append(Entry(message, attempt, self._sign(token)))
        body = batch_body(entries, text, self._format)
        self._batches[effect.call] = [entry.message.id for entry in entries], self._format
        head = batch_head(self._host, len(body), self._format)
        self._started += 1
        self._running.add(effect.call)
        self._client.post(effect.call, head, body, effect.timeout_seconds)

    def abandon(self, effect: AbandonCall) -> None:
        self._running.discard(effect.call)
        if self._client is not None:
            self._client.abandon(effect.call)

    def _until(self, deadline: float) -> tuple[str, int]:
        """The deadline as people read it, and until when a token verifies: the same for all calls of a turn."""
        known, text, until = self._deadline
        if known != deadline:
            text, until = format_time(deadline), attempt_expiry(deadline, self.delivery.heartbeat_timeout_seconds)
            self._deadline = (deadline, text, until)
        return text, until

    def _on_answer(self, call: int, answer: Answer | NoAnswer) -> None:
        self._running.discard(call)
        batch = self._batches.pop(call, None) if self._batches else None
        if batch is None:
            self._happen(Answered(call, answer))
        else:
            self._happen(BatchAnswered(call, read_batch_answer(answer, *batch)))
