"""Lets any program that reads stdin and writes stdout handle messages: one run of it for each message.

    python stdio.py [--type MEDIA/TYPE] -- COMMAND ARG…

The message is the program's standard input, and what it prints is the result. Its exit code says how it went:

    0           200: done
    75          503: try again later (EX_TEMPFAIL in sysexits.h)
    a signal    500: something happened to it, try again
    any other   422: never going to work; the end of stderr is the reason

Each header ``Kubedaemon-Some-Name`` reaches the program as the variable ``MESSAGE_SOME_NAME``, in plain text:
``MESSAGE_ID``, ``MESSAGE_SESSION``, ``MESSAGE_ATTEMPT``, ``MESSAGE_META_…``; and the body's type is in
``MESSAGE_CONTENT_TYPE``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

OK = 200
STDERR_KEPT_BYTES = 2000


def variables(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The message's headers as environment variables; a value that no variable can hold stays encoded."""
    found = {}
    for name, value in headers:
        prefix, _, rest = name.upper().partition("-")
        plain = unquote(value)
        if prefix == "KUBEDAEMON":
            key = "MESSAGE_" + rest.removeprefix("MESSAGE-").replace("-", "_")
            found[key] = value if "\0" in plain else plain
        elif name.lower() == "content-type":
            found["MESSAGE_CONTENT_TYPE"] = value
    return found


def run(command: list[str], body: bytes, message: Mapping[str, str]) -> tuple[int, bytes]:
    """Run the program on one message, and say how it went: a status and what goes with it.

    A program that ends before it has read everything is fine; so is one that prints more than a pipe holds.
    """
    try:
        done = subprocess.run(command, input=body, capture_output=True, check=False, env={**os.environ, **message})
    except OSError as error:
        return 503, f"{command[0]} could not be started: {error}\n".encode()
    said = done.stderr[-STDERR_KEPT_BYTES:]
    if done.returncode == 0:
        return OK, done.stdout
    if done.returncode == os.EX_TEMPFAIL:
        return 503, said
    if done.returncode < 0:
        return 500, f"{command[0]} was killed by {signal.Signals(-done.returncode).name}\n".encode() + said
    return 422, said or f"{command[0]} exited with {done.returncode} and said nothing\n".encode()


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between messages."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; the second must not wait for an ACK
    server: Server

    def do_POST(self) -> None:
        """Run the program on one message and send what it made of it."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # cut off on the way: half a message is none
            self.close_connection = True
        elif self.path != "/message":
            self.answer(404, b"only POST /message is served here\n")
        else:
            self.answer(*run(self.server.command, body, variables(self.headers.items())))

    def answer(self, status: int, body: bytes) -> None:
        """Send a whole answer; its length lets the connection stay open."""
        self.send_response(status)
        self.send_header("Content-Type", self.server.content_type if status == OK else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what there is to say is in the answer."""


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection; stops when what it has received is answered."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, command: list[str], content_type: str) -> None:
        self.command = command
        self.content_type = content_type
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, then serve it in a thread."""
        self.connections.add(request)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        """Close and forget the connection."""
        self.connections.discard(request)
        super().close_request(request)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then let running programs finish: an idle connection just reads its end."""
        received: list[int] = []  # a signal may come in the middle of anything, so that no more is done there
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: received.append(number))
        threading.Thread(target=self.serve_forever, args=(0.1,)).start()
        while not received:
            time.sleep(0.1)
        self.shutdown()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        self.server_close()


def main() -> None:
    """Read the command line, look for the program, serve."""
    parser = argparse.ArgumentParser(usage="%(prog)s [--type MEDIA/TYPE] -- COMMAND ARG…")
    parser.add_argument("--type", default="application/octet-stream", help="what the program prints")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    if shutil.which(options.command[0]) is None:
        sys.exit(f"stdio.py: there is no program {options.command[0]!r} on the PATH, or it may not be executed")
    Server(int(os.environ.get("PORT", "8080")), options.command, options.type).run()


if __name__ == "__main__":
    main()
