"""``python -m bench.turn``: what one message costs in the sidecar's core and the embedded fence, without any I/O.

One replica with 64 sessions; every answer is there at once. Run it at two commits in turn to compare them:
``PYTHONPATH=CHECKOUT python CHECKOUT/bench/turn.py``.
"""

from __future__ import annotations

import statistics
import time

from backends.embedded import fence
from backends.embedded.state import Now, QueueState
from contracts.answers import Answer
from contracts.deliveries import Delivered, Proven
from contracts.message import Message
from contracts.workqueue import WorkQueue, parse_spec
from sidecar.core import effects as fx
from sidecar.core import events as ev
from sidecar.core.turn import SidecarCore

SESSIONS = 64
WINDOW = 128
REPLICA = "bench-1#0"
OK = Answer(200, body=b"ok")
WALL = 1_700_000_000.0


class Bench:
    """A core between a broker, a store and a handler that never make it wait."""

    def __init__(self, count: int) -> None:
        most = {"maxConcurrent": SESSIONS, "concurrencyPerReplica": SESSIONS}
        self._core = SidecarCore(WorkQueue(name="bench", spec=parse_spec({"partitions": 1, "sessions": most})), REPLICA)
        self._state = QueueState(lambda incarnation, push: None, lambda message_id: None)
        self._waiting = [
            Message(namespace="default", queue="bench", id=f"{number:032x}", session=f"s{number % SESSIONS}")
            for number in reversed(range(count))
        ]
        self._left = count
        self._unacked = self._tag = 0
        self._channel: int | None = None
        self._now = 100.0

    def run(self) -> None:
        events: list[ev.Event] = [ev.HandlerReady()]
        while self._left:
            self._now += 0.001
            effects = self._core.handle(events, ev.Now(self._now, self._now + WALL))
            events = [event for effect in effects for event in self._do(effect)]
            if self._channel is not None:
                events += self._deliver(self._channel)
            if not events:
                self._now = max(self._now, self._core.next_due() or self._now)

    def _do(self, effect: fx.Effect) -> list[ev.Event]:
        if isinstance(effect, fx.AskStore):
            clocks = Now(self._now, self._now + WALL)
            return [ev.Replied(effect.ref, fence.apply(self._state, REPLICA, effect.operations, clocks))]
        if isinstance(effect, fx.Call):
            return [ev.Answered(effect.call, OK)]
        if isinstance(effect, fx.Ack):
            self._unacked -= len(effect.tags)
            self._left -= len(effect.tags)
            return [Proven(effect.channel, effect.tags)]
        if isinstance(effect, fx.OpenChannel):
            self._channel = effect.channel
        return []

    def _deliver(self, channel: int) -> list[ev.Event]:
        found: list[ev.Event] = []
        while self._waiting and self._unacked < WINDOW:
            self._unacked += 1
            self._tag += 1
            found.append(Delivered(channel, self._tag, self._waiting.pop()))
        return found


def main(count: int = 20_000, runs: int = 7) -> None:
    measured = []
    for _ in range(runs):
        bench = Bench(count)
        started = time.perf_counter()
        bench.run()
        measured.append((time.perf_counter() - started) / count * 1e6)
    spread = f"{min(measured):.1f} to {max(measured):.1f}"
    print(f"core and fence: {statistics.median(measured):.1f} us a message ({spread}), {runs} runs of {count}")


if __name__ == "__main__":
    main()
