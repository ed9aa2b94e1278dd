"""Counts the words of each message: a handler in Python, with the standard library alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote


def count(body: bytes, session: str, attempt: int) -> dict[str, object]:
    """What this handler is for. Raises ``UnicodeDecodeError`` if the body is not text."""
    return {"words": len(body.decode().split()), "bytes": len(body), "session": session, "attempt": attempt}


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between messages."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; the second must not wait for an ACK

    def do_POST(self) -> None:
        """Answer one message: 200 is done, 422 is never going to work, 5xx would be tried again."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # cut off on the way: half a message is none
            self.close_connection = True
            return
        if self.path != "/message":
            self.answer(404, "text/plain", b"only POST /message is served here\n")
            return
        session = unquote(self.headers.get("Kubedaemon-Session", ""))
        attempt = int(self.headers.get("Kubedaemon-Attempt", 1))
        try:
            result = count(body, session, attempt)
        except UnicodeDecodeError as error:
            self.answer(422, "text/plain", f"the message is not UTF-8: {error}\n".encode())
        else:
            self.answer(200, "application/json", json.dumps(result, ensure_ascii=False).encode())

    def answer(self, status: int, content_type: str, body: bytes) -> None:
        """Send a whole answer; its length lets the connection stay open."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a line for each message would cost more than the message."""


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection; stops when what it has received is answered."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
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
        """Serve until SIGTERM or SIGINT, then let running calls finish: an idle connection just reads its end."""
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


if __name__ == "__main__":
    Server(int(os.environ.get("PORT", "8080"))).run()
