"""A handler as cheap as one can be, for benchmarks: answers 200 ``ok`` to every request, keep-alive.

    python bench/raw_handler.py PORT [CPU]

Prints ``ready`` once it listens on 127.0.0.1; port 0 takes a free one and prints ``ready PORT``. Understands requests
with a Content-Length or without a body, however they are split over packets. Ends with the
process that started it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_PR_SET_PDEATHSIG = 1
_LENGTH = b"\r\ncontent-length:"


def _body_bytes(data: bytes, end: int) -> int:
    head = data[:end].lower()
    at = head.find(_LENGTH)
    if at < 0:
        return 0
    start = at + len(_LENGTH)
    stop = head.find(b"\r\n", start)
    return int(head[start : stop if stop >= 0 else end])


class RawHandler(asyncio.Protocol):
    """Counts bytes: a head up to its empty line, then as many as it announced."""

    __slots__ = ("_head", "_missing_bytes", "_transport")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._head = b""
        self._missing_bytes = 0

    def data_received(self, data: bytes) -> None:
        while data:
            if self._missing_bytes:
                if len(data) < self._missing_bytes:
                    self._missing_bytes -= len(data)
                    return
                data = data[self._missing_bytes :]
                self._missing_bytes = 0
                self._transport.write(_ANSWER)
                continue
            if self._head:
                data = self._head + data
                self._head = b""
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            whole = end + 4 + _body_bytes(data, end)
            if len(data) < whole:
                self._missing_bytes = whole - len(data)
                return
            self._transport.write(_ANSWER)
            if len(data) == whole:
                return
            data = data[whole:]


async def serve(port: int) -> None:
    """Serves for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(RawHandler, "127.0.0.1", port, backlog=1024)
    print("ready" if port else f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        server.close()


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if len(sys.argv) > 2:
        os.sched_setaffinity(0, {int(sys.argv[2])})
    uvloop.run(serve(int(sys.argv[1])))
