"""``python -m bench.listeners``: ten thousand callers who wait, and ten thousand who listen, on one ``kubedaemon dev``.

Figures: the memory of ``dev`` for each of them; how long it takes from the end of a message to the answer of the one
call that waits for it, with all the others waiting; how long until an event has reached every stream.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

QUEUE = "/v1/namespaces/default/queues/default"
AT_ONCE = 500
SPARE_FILES = 200


class Server:
    """A ``kubedaemon dev`` without a handler, in a process of its own."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self._process = process

    def resident_kib(self) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    async def ask(self, method: str, path: str, *headers: str, body: bytes = b"") -> Connection:
        """A connection on which this was asked."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{method} {QUEUE}{path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Content-Length: {len(body)}"]
        writer.write("\r\n".join([*lines, *headers, "", ""]).encode() + body)
        return reader, writer

    async def told(self, method: str, path: str, *headers: str, body: bytes = b"") -> str:
        """The head of the answer."""
        reader, writer = await self.ask(method, path, *headers, body=body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.close()
        return head


@contextmanager
def serving() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "kubedaemon", "dev", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield Server(port, process)
        finally:
            process.terminate()


async def opened(count: int, open_one: Callable[[int], Awaitable[Connection]]) -> list[Connection]:
    connections: list[Connection] = []
    for first in range(0, count, AT_ONCE):
        connections += await asyncio.gather(*(open_one(n) for n in range(first, min(first + AT_ONCE, count))))
    return connections


async def waits(server: Server, count: int, ended: int) -> None:
    ids = []
    for number in range(count):
        head = await server.told("POST", "/messages", f"Idempotency-Key: k{number}", body=b"x")
        ids.append(head.partition("Location: ")[2].partition("\r\n")[0].rpartition("/")[2])
    before = server.resident_kib()
    connections = await opened(count, lambda number: server.ask("GET", f"/messages/{ids[number]}?wait=300"))
    await server.told("GET", "/messages?limit=1")  # answered behind all that was asked before
    each = (server.resident_kib() - before) / count
    measured = []
    for number in random.sample(range(count), ended):
        began = time.perf_counter()
        await server.told("DELETE", f"/messages/{ids[number]}")
        await connections[number][0].readuntil(b"\r\n\r\n")
        measured.append(time.perf_counter() - began)
    measured.sort()
    middle, late = measured[len(measured) // 2] * 1e3, measured[int(len(measured) * 0.99)] * 1e3
    print(
        f"{count} waits: {each:.1f} KiB each; an end wakes its wait in {middle:.1f} ms, p99 {late:.1f} ms (of {ended})"
    )


async def streams(server: Server, count: int) -> None:
    async def listen(_: int) -> Connection:
        reader, writer = await server.ask("GET", "/events")
        await reader.readuntil(b"\n\n\r\n")
        return reader, writer

    before = server.resident_kib()
    connections = await opened(count, listen)
    each = (server.resident_kib() - before) / count
    began = time.perf_counter()
    await server.told("POST", "/messages", body=b"x")
    await asyncio.gather(*(reader.readuntil(b"}\n\n") for reader, _ in connections))
    took = time.perf_counter() - began
    print(f"{count} event streams: {each:.1f} KiB each; one event reaches all of them in {took:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.listeners", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    count = parser.parse_args().count
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, count + SPARE_FILES), most))
    if count + SPARE_FILES > most:
        parser.error(f"this machine allows {most} open files a process; take fewer with --count")
    with serving() as server:
        asyncio.run(waits(server, count, min(300, count)))
    with serving() as server:
        asyncio.run(streams(server, count))


if __name__ == "__main__":
    main()
