"""``python -m bench``: the whole embedded path beside the raw one.

Raw: our handler client posting to the handler, 64 at once, with nothing in between. Embedded: the same messages,
preloaded, through broker, store and sidecar to the same handler, one by one, 64 sessions at once. Durable: the same
with broker and store in a file in the working directory, each step on disk before the next one follows from it. The handler is a bare
asyncio protocol in a process of its own on the other core. Figures are rate and CPU a message of the measuring process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from backends.durable.directory import DataDirectory
from backends.embedded.broker import EmbeddedBroker
from backends.embedded.store import EmbeddedStore
from backends.ports import Broker, Store
from contracts.answers import Answer, NoAnswer
from contracts.handler import message_heads
from contracts.message import Message
from contracts.tokens import derive_keys
from contracts.workqueue import WorkQueue, parse_spec
from scaler.runtime import QueueScaler
from scaler.telemetry import Telemetry as ScalerTelemetry
from sidecar.adapters.handler_client import HttpHandlerClient
from sidecar.runtime import Sidecar
from sidecar.telemetry import Telemetry

AT_ONCE = 64
BODY = b"x" * 1024
TOKEN = "t" * 112


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _message(number: int) -> Message:
    return Message(
        namespace="default",
        queue="bench",
        id=f"{number:032x}",
        session=f"s{number % AT_ONCE}",
        body=BODY,
        enqueued_at=time.time(),
    )


async def _raw(port: int, count: int) -> tuple[float, float]:
    head = message_heads(f"127.0.0.1:{port}", "default", "bench", "http://127.0.0.1:40000/v1/callback")
    done = asyncio.get_running_loop().create_future()
    started_calls = ended = 0

    def on_answer(call: int, answer: Answer | NoAnswer) -> None:
        nonlocal started_calls, ended
        assert isinstance(answer, Answer), answer
        ended += 1
        if started_calls < count:
            start()
        elif ended == count:
            done.set_result(None)

    def start() -> None:
        nonlocal started_calls
        started_calls += 1
        message = _message(started_calls)
        client.post(started_calls, head(message, 1, "2026-01-01T00:00:00.000Z", TOKEN), BODY, 60)

    client = HttpHandlerClient("127.0.0.1", port, on_answer)
    wall, cpu = time.perf_counter(), _cpu()
    for _ in range(AT_ONCE):
        start()
    await done
    figures = count / (time.perf_counter() - wall), (_cpu() - cpu) / count * 1e6
    await client.close()
    return figures


async def _embedded(port: int, count: int) -> tuple[float, float]:
    return await _through(EmbeddedBroker(), EmbeddedStore(), port, count)


async def _durable(port: int, count: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        data = DataDirectory(Path(place))
        try:
            return await _through(data.broker, data.store, port, count)
        finally:
            await data.close()


async def _through(broker: Broker, store: Store, port: int, count: int) -> tuple[float, float]:
    spec = parse_spec({"sessions": {"maxConcurrent": AT_ONCE, "concurrencyPerReplica": AT_ONCE}})
    workqueue = WorkQueue(name="bench", spec=spec)
    await broker.declare(workqueue)
    await broker.publish([_message(number) for number in range(count)])
    wall, cpu = time.perf_counter(), _cpu()
    sidecar = Sidecar(
        workqueue,
        "bench-1#0",
        broker=broker,
        store=store,
        make_client=HttpHandlerClient,
        telemetry=Telemetry(CollectorRegistry()),
        keys=derive_keys([bytes(32)]),
    )
    sidecar.attach("127.0.0.1", port)
    while True:
        depth = await broker.depth("default", "bench")
        if not sum(depth.ready) and not depth.unacked:
            break
        await asyncio.sleep(0.02)
    figures = count / (time.perf_counter() - wall), (_cpu() - cpu) / count * 1e6
    await sidecar.drain(1)
    await sidecar.close()
    return figures


class _Nothing:
    """Workloads that do nothing, so that only the decision is measured."""

    def __init__(self) -> None:
        self.decided = asyncio.Event()

    def observed(self, namespace: str, queue: str) -> int:
        return 0

    async def scale(self, workqueue: WorkQueue, desired: int) -> None:
        if desired:
            self.decided.set()


async def _wake(times: int) -> list[float]:
    """Seconds from publish to the decision to start a replica, at zero, each time anew."""
    measured = []
    for number in range(times):
        workqueue = WorkQueue(name="bench", spec=parse_spec(None))
        broker, store, workloads = EmbeddedBroker(), EmbeddedStore(), _Nothing()
        await broker.declare(workqueue)
        telemetry = ScalerTelemetry(CollectorRegistry())
        scaler = QueueScaler(workqueue, broker=broker, store=store, workloads=workloads, telemetry=telemetry)
        task = asyncio.create_task(scaler.run())
        while not (await store.scale("default", "bench")).reason.startswith("asleep"):
            await asyncio.sleep(0.001)
        started = time.perf_counter()
        await broker.publish([_message(number)])
        await workloads.decided.wait()
        measured.append(time.perf_counter() - started)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return measured


def _start_handler(cpu: int | None) -> tuple[subprocess.Popen[str], int]:
    script = Path(__file__).with_name("raw_handler.py")
    command = [sys.executable, str(script), "0", *([] if cpu is None else [str(cpu)])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline().split()[1])


def _machine() -> str:
    """What the figures were measured on, and how busy it was before."""
    model = platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, {python}, load {load}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    print(_machine(), flush=True)
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        os.sched_setaffinity(0, {cpus[0]})
    handler, port = _start_handler(cpus[1] if len(cpus) > 1 else None)
    raw, embedded, durable = [], [], []
    try:
        for _ in range(arguments.runs):
            raw.append(uvloop.run(_raw(port, arguments.messages)))
            embedded.append(uvloop.run(_embedded(port, arguments.messages)))
            durable.append(uvloop.run(_durable(port, arguments.messages)))
    finally:
        handler.terminate()
        handler.wait()
    for name, figures in (("raw", raw), ("embedded", embedded), ("durable", durable)):
        rate, cpu = (statistics.median(column) for column in zip(*figures, strict=True))
        spread = f"{min(c for _, c in figures):.0f} to {max(c for _, c in figures):.0f}"
        print(f"{name:9} {rate:9.0f} messages/s   {cpu:6.1f} us CPU a message ({spread})")
    ratio = statistics.median(e[0] / r[0] for e, r in zip(embedded, raw, strict=True))
    print(f"embedded / raw: {ratio:.2f} of the rate, medians of {arguments.runs} runs of {arguments.messages}")
    ratio = statistics.median(d[0] / e[0] for d, e in zip(durable, embedded, strict=True))
    print(f"durable / embedded: {ratio:.2f} of the rate")
    waking = sorted(uvloop.run(_wake(300)))
    print(f"publish to scale decision at zero: p50 {waking[150] * 1e3:.2f} ms, p99 {waking[297] * 1e3:.2f} ms (of 300)")


if __name__ == "__main__":
    main()
