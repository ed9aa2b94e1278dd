"""A bank's ledger as an ordinary HTTP program: POST /message moves money, once for each ``Idempotency-Key``.

It keeps its books in SQLite (``LEDGER_DB``) and takes as long as a bank does (``LEDGER_MS``, half of it before the
transfer is in the books and half of it after), so that it can die with the money moved and nobody told.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import socketserver
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (account TEXT PRIMARY KEY, balance INTEGER NOT NULL, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, transfer TEXT NOT NULL, account TEXT NOT NULL,
    n INTEGER NOT NULL, payee TEXT NOT NULL, cents INTEGER NOT NULL, balance INTEGER NOT NULL,
    pid INTEGER NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS calls (key TEXT NOT NULL, pid INTEGER NOT NULL, at REAL NOT NULL, repeated INTEGER NOT NULL);
"""
STORED = "SELECT transfer, account, n, balance FROM entries WHERE key = ?"
DEBIT = """INSERT INTO accounts VALUES (?, -?, 1)
    ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, n = n + 1 RETURNING n, balance"""
CREDIT = "INSERT INTO accounts VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance"
ENTER = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
CALL = "INSERT INTO calls VALUES (?, ?, ?, ?)"


def parse(body: bytes) -> tuple[str, str, str, int]:
    """Which transfer, from whom, to whom and how much. Raises ``ValueError`` if the message is no transfer."""
    match json.loads(body):
        case {"id": str(name), "account": str(account), "to": str(to), "cents": int(cents)}:
            return name, account, to, cents
    raise ValueError('expected {"id": "…", "account": "…", "to": "…", "cents": 1}')


class Ledger:
    """The books. SQLite has one writer at a time, so writers queue at a file lock instead of polling for their turn."""

    def __init__(self, path: Path) -> None:
        self._thread = threading.Lock()
        self._process = path.with_name(path.name + ".lock").open("wb")
        self._books = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        with self._alone():
            self._books.execute("PRAGMA journal_mode = WAL")
            self._books.execute("PRAGMA synchronous = OFF")  # outlives the process, which is what dies here
            self._books.executescript(SCHEMA)

    def close(self) -> None:
        """Close the books."""
        self._books.close()
        self._process.close()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._thread:
            fcntl.flock(self._process, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._process, fcntl.LOCK_UN)

    def transfer(self, key: str, name: str, account: str, to: str, cents: int) -> dict[str, object]:
        """Move the money and enter it, or find that this was done before: either way the same answer."""
        with self._alone(), self._books:
            self._books.execute("BEGIN IMMEDIATE")
            stored = self._books.execute(STORED, (key,)).fetchone()
            self._books.execute(CALL, (key, os.getpid(), time.time(), stored is not None))
            if stored is None:
                ((n, balance),) = self._books.execute(DEBIT, (account, cents)).fetchall()
                self._books.execute(CREDIT, (to, cents))
                self._books.execute(ENTER, (key, name, account, n, to, cents, balance, os.getpid(), time.time()))
                stored = name, account, n, balance
        return dict(zip(("id", "account", "n", "balance"), stored, strict=True))


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between messages."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes; the second must not wait for an ACK
    server: Server

    def do_POST(self) -> None:
        """Answer one message: 200 with its place in the books, 422 if it is no transfer, 503 to be asked again."""
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        key = self.headers.get("Idempotency-Key")
        if len(body) < length:  # cut off on the way: half a message is none
            self.close_connection = True
        elif self.path != "/message":
            self.answer(404, {"error": "only POST /message is served here"})
        elif key is None:
            self.answer(400, {"error": "a transfer without an Idempotency-Key might be done twice"})
        else:
            self.answer(*self.serve(key, body))

    def serve(self, key: str, body: bytes) -> tuple[int, dict[str, object]]:
        """Do one transfer, as slowly as a bank: what to answer."""
        time.sleep(self.server.pause_seconds)
        try:
            done = self.server.ledger.transfer(key, *parse(body))
        except ValueError as error:
            return 422, {"error": f"this is no transfer: {error}"}
        except sqlite3.Error as error:
            return 503, {"error": f"the books cannot be written: {error}"}
        time.sleep(self.server.pause_seconds)
        return 200, done

    def answer(self, status: int, value: dict[str, object]) -> None:
        """Send a whole answer; its length lets the connection stay open."""
        body = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the books hold every call."""


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection; stops when what it has received is answered."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, ledger: Ledger, pause_seconds: float) -> None:
        self.ledger = ledger
        self.pause_seconds = pause_seconds
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


def main() -> None:
    """Open the books and serve."""
    path = Path(os.environ.get("LEDGER_DB", "ledger.db"))
    try:
        ledger = Ledger(path)
    except (OSError, sqlite3.Error) as error:
        sys.exit(f"the ledger {path} cannot be opened ({error}); set LEDGER_DB to a file that can be written")
    pause_seconds = float(os.environ.get("LEDGER_MS", "4")) / 2000
    with contextlib.closing(ledger):
        Server(int(os.environ.get("PORT", "8080")), ledger, pause_seconds).run()


if __name__ == "__main__":
    main()
