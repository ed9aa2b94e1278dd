"""How many POSTs a second the handler client makes on one core, and what CPU each costs.

    python -m bench.handler_client [--seconds 3] [--runs 5] [--in-flight 64] [--body-bytes 1024] [--profile]

The client runs on one core under uvloop, a bare handler (``raw_handler.py``) on another.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import uvloop

from contracts.answers import Answer, NoAnswer
from sidecar.adapters.handler_client import HttpHandlerClient, request_head

_HANDLER = Path(__file__).with_name("raw_handler.py")
_WARM_UP_SECONDS = 0.3


class Figures(NamedTuple):
    """Of one run."""

    posts_per_second: float
    cpu_micros_per_post: float


class _Load:
    """Keeps a fixed number of calls in flight; what a turn answered is posted again at the turn's end."""

    def __init__(self, port: int, in_flight: int, body_bytes: int) -> None:
        self.answered = 0
        self.failed: list[Answer | NoAnswer] = []
        self._in_flight = in_flight
        self._body = b"x" * body_bytes
        headers = [
            ("Kubedaemon-Message-Id", "0190a1b2c3d4e5f60718293a4b5c6d7e"),
            ("Kubedaemon-Namespace", "default"),
            ("Kubedaemon-Queue", "bench"),
            ("Kubedaemon-Session", "customer-4711"),
            ("Kubedaemon-Attempt", "1"),
            ("Kubedaemon-Enqueued-At", "2026-01-01T00:00:00.000Z"),
            ("Kubedaemon-Deadline", "2026-01-01T00:01:00.000Z"),
            ("Idempotency-Key", "0190a1b2c3d4e5f60718293a4b5c6d7e"),
            ("Content-Type", "application/json"),
        ]
        self._head = request_head("POST", "/message", "127.0.0.1", headers, body_bytes)
        self._running = True
        self.client = HttpHandlerClient("127.0.0.1", port, self._on_answer)

    def start(self) -> None:
        for call in range(self._in_flight):
            self.client.post(call, self._head, self._body, 60.0)

    def stop(self) -> None:
        self._running = False

    def _on_answer(self, call: int, answer: Answer | NoAnswer) -> None:
        if not isinstance(answer, Answer) or answer.status != 200:
            self.failed.append(answer)
        self.answered += 1
        if self._running:
            self.client.post(call, self._head, self._body, 60.0)


async def _run(port: int, in_flight: int, body_bytes: int, seconds: float) -> Figures:
    load = _Load(port, in_flight, body_bytes)
    load.start()
    await asyncio.sleep(_WARM_UP_SECONDS)
    answered, clock, cpu = load.answered, time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    answered, clock, cpu = load.answered - answered, time.perf_counter() - clock, time.process_time() - cpu
    load.stop()
    failed = list(load.failed)
    await load.client.close()
    if failed or not answered:
        raise RuntimeError(f"not answered as it should be: {failed[:3]}")
    return Figures(answered / clock, cpu / answered * 1e6)


def measure(seconds: float = 3.0, runs: int = 5, in_flight: int = 64, body_bytes: int = 1024) -> list[Figures]:
    """``runs`` runs against one handler process, this process and that one pinned to two cores if there are two."""
    mine = os.sched_getaffinity(0)
    cores = sorted(mine)
    command = [sys.executable, str(_HANDLER), "0", str(cores[-1])]
    handler = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(0, {cores[0]})
    try:
        assert handler.stdout is not None
        port = int(handler.stdout.readline().split()[1])
        return [uvloop.run(_run(port, in_flight, body_bytes, seconds)) for _ in range(runs)]
    finally:
        handler.kill()
        handler.communicate()
        os.sched_setaffinity(0, mine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--body-bytes", type=int, default=1024)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    figures = measure(options.seconds, options.runs, options.in_flight, options.body_bytes)
    if options.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(15)
    for run in figures:
        print(f"{run.posts_per_second:10,.0f} POST/s  {run.cpu_micros_per_post:6.1f} us CPU a POST")
    rate = statistics.median(run.posts_per_second for run in figures)
    cpu = statistics.median(run.cpu_micros_per_post for run in figures)
    print(f"median of {len(figures)}: {rate:,.0f} POST/s, {cpu:.1f} us CPU a POST")


if __name__ == "__main__":
    main()
