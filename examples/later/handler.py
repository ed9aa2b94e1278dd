"""Prints reports that take their time: answers at once, works on, says how far it is, and ends the message itself.

The standard library alone. What it knows of a session it keeps in the session's state.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PAGE_SECONDS = float(os.environ.get("LATER_MS", "200")) / 1000
TRIES = 5


class AttemptOverError(Exception):
    """The message has ended, or another attempt is at work: nothing that is said for this one counts any more."""


class Callback:
    """The callback API, for one attempt of one message."""

    def __init__(self, url: str, token: str) -> None:
        self.url = urlsplit(url)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self, method: str, path: str, value: object = None) -> Any:
        """What it answers; None where there is nothing. Tries again while nobody answers."""
        body = None if value is None else json.dumps(value, ensure_ascii=False).encode()
        for tries in range(1, TRIES + 1):
            connection = HTTPConnection(str(self.url.hostname), self.url.port, timeout=10)
            try:
                connection.request(method, self.url.path + path, body, self.headers)
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, HTTPException):
                if tries == TRIES:
                    raise
            else:
                if answer.status in (401, 409):
                    raise AttemptOverError(said.decode())
                if answer.status == 404 and method == "GET":
                    return None
                if answer.status < 300:
                    return json.loads(said) if said else None
                if answer.status < 500 or tries == TRIES:
                    raise RuntimeError(f"{method} {path} was answered {answer.status}: {said.decode()}")
            finally:
                connection.close()
            time.sleep(0.1 * 2**tries)
        return None


def work(callback: Callback, pages: int) -> None:
    """Prints page by page; then the session's state, and only then the end: both count together."""
    try:
        for page in range(1, pages + 1):
            time.sleep(PAGE_SECONDS)
            callback.call(
                "PUT", "/message/progress", {"percent": 100 * page / pages, "note": f"page {page} of {pages}"}
            )
        so_far = callback.call("GET", "/session/state") or {"reports": 0, "pages": 0}
        so_far = {"reports": so_far["reports"] + 1, "pages": so_far["pages"] + pages}
        callback.call("PUT", "/session/state", so_far)
        callback.call("POST", "/message/complete", {"printed": pages, **so_far})
    except AttemptOverError:
        print("this attempt is over; the rest is left to others", file=sys.stderr)


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between messages."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Takes a message on: 202, and the end follows through the callback API."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # cut off on the way: half a message is none
            self.close_connection = True
        elif self.path == "/init":
            self.answer(200, {"async": True})
        elif self.path != "/message":
            self.answer(404, "only POST /init and /message are served here")
        elif (pages := pages_of(body)) is None:
            self.answer(422, 'expected {"pages": 1 to 1000}')
        elif "Kubedaemon-Session" not in self.headers:
            self.answer(422, "expected a session: whose report it is")
        else:
            callback = Callback(self.headers["Kubedaemon-Callback-Url"], self.headers["Kubedaemon-Token"])
            threading.Thread(target=work, args=(callback, pages), daemon=True).start()
            self.answer(202, "it takes a while")

    def answer(self, status: int, said: object) -> None:
        """Send a whole answer; its length lets the connection stay open."""
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a line for each message would cost more than the message."""


def pages_of(body: bytes) -> int | None:
    """How many pages are asked for; None where that cannot be told."""
    try:
        pages = json.loads(body)["pages"]
    except (ValueError, KeyError, TypeError):
        return None
    return pages if isinstance(pages, int) and 1 <= pages <= 1000 else None


class Server(ThreadingHTTPServer):
    """A thread for each connection. What is not finished at its end is tried again elsewhere."""

    request_queue_size = 128


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler)
    received: list[int] = []  # a signal may come in the middle of anything, so that no more is done there
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: received.append(number))
    threading.Thread(target=server.serve_forever, args=(0.1,)).start()
    while not received:
        time.sleep(0.1)
    server.shutdown()
