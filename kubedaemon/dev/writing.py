"""Text to a terminal or a pipe that may stand still, be slow or go away, without ever waiting for it."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from typing import TextIO

MOST_BYTES = 8 << 20
"""How much may wait to be written; more of what is not important is left out then."""
_PIECE_BYTES = 1 << 16


class Writer:
    """Writes lines to a stream's file, from a thread of its own and in order."""

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._file = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._left_out = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="writing", daemon=True)
        self._thread.start()

    def put(self, line: str, *, important: bool = True) -> None:
        """Has the line written when there is time. What is not important may be left out, which is then said."""
        encoded = f"{line}\n".encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._closing:
                return
            if not important and self._bytes + len(encoded) > MOST_BYTES:
                self._left_out += 1
                return
            self._say_what_was_left_out()
            self._append(encoded)
            self._changed.notify()

    def _append(self, encoded: bytes) -> None:
        self._lines.append(encoded)
        self._bytes += len(encoded)

    def _say_what_was_left_out(self) -> None:
        lost, self._left_out = self._left_out, 0
        if lost:
            self._append(f"-- output was left out here that nobody read, {lost} lines\n".encode())

    def close(self, seconds: float) -> None:
        """Waits so long, and no longer, until all is written."""
        with self._changed:
            self._say_what_was_left_out()
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while piece := self._take():
            try:
                self._write(piece)
            except OSError:
                # A terminal that went away is no reason to stop working, and a full disk may have room again.
                continue

    def _take(self) -> bytes:
        """The next lines, once there are any; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing)
            piece = bytearray()
            while self._lines and len(piece) < _PIECE_BYTES:
                piece += self._lines.popleft()
            self._bytes -= len(piece)
            return bytes(piece)

    def _write(self, piece: bytes) -> None:
        while piece:
            try:
                piece = piece[os.write(self._file, piece) :]
            except BlockingIOError:  # somebody who shares the terminal has made it so
                select.select([], [self._file], [])
