"""Reads one HTTP answer after the other out of the bytes of a connection. No I/O.

``httptools`` does the parsing; this decides what may count as an answer, and bounds what is kept of it.
"""

from __future__ import annotations

from collections.abc import Callable

import httptools

from contracts.answers import Answer, NoAnswer

HEAD_BYTES = 64 * 1024
"""The most that may come before the body: all interim heads and the final one."""

_GAP_BYTES = 4 * HEAD_BYTES
"""The most that may come between two parts of a body, or after the last."""

_DETAIL_CHARS = 160
_SHOWN_BYTES = 40
_SWITCHING_PROTOCOLS = 101
_BODILESS = frozenset({204, 304})

_LENGTH, _CODING, _OUTCOME, _RETRY_AFTER, _CONTENT_TYPE = range(5)
_KNOWN_HEADERS = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"kubedaemon-outcome": _OUTCOME,
    b"retry-after": _RETRY_AFTER,
    b"content-type": _CONTENT_TYPE,
}


class _StopParsingError(Exception):
    """Leaves the parser from inside one of its callbacks."""


def _garbage(detail: str) -> NoAnswer:
    return NoAnswer("garbage", detail[:_DETAIL_CHARS])


def _joined(before: str | None, value: bytes) -> str:
    text = value.strip().decode("latin-1")
    return text if before is None else f"{before}, {text}"


class AnswerReader:
    """Reads the answers of one connection, one after the other.

    After an answer ``reusable`` says whether another may follow on the same connection. After a failure the reader
    is of no more use. ``discard`` ends it; it refers to itself through its parser, and that is undone there.
    """

    __slots__ = (
        "_body", "_chunked", "_content_type", "_counted_bytes", "_done", "_failure", "_feed", "_headed", "_length",
        "_limit_bytes", "_outcome", "_overhead_bytes", "_parser", "_retry_after", "_size_bytes", "_status", "reusable",
    )  # fmt: skip

    def __init__(self, limit_bytes: int) -> None:
        self.reusable = False
        self._limit_bytes = limit_bytes
        self._parser = httptools.HttpResponseParser(self)
        self._feed: Callable[[bytes | memoryview], None] = self._parser.feed_data
        self._status = 0
        self._failure: NoAnswer | None = None
        self._expect()

    def _expect(self) -> None:
        self._headed = False
        self._done = False
        self._chunked = False
        self._length = -1
        self._outcome: str | None = None
        self._retry_after: str | None = None
        self._content_type: str | None = None
        self._body: bytes | bytearray = b""
        self._size_bytes = 0
        self._counted_bytes = 0
        self._overhead_bytes = 0

    @property
    def has_begun(self) -> bool:
        """Whether anything at all of the next answer has come."""
        return self._headed or self._overhead_bytes > 0

    def read(self, data: bytes) -> Answer | NoAnswer | None:
        """What ``data`` completes. Bytes after an answer cost it nothing, but the connection is not reusable."""
        try:
            if self._headed or self._overhead_bytes + len(data) <= HEAD_BYTES:
                self._feed(data)
            else:
                self._feed_long_head(data)
        except httptools.HttpParserError as error:
            if not self._done:
                return self._failure or self._garbage(error, data)
            self.reusable = False
        return self._answer() if self._done else self._count(len(data))

    def end(self) -> Answer | None:
        """The answer whose body ends where the connection ends, if that is what came."""
        if not self._headed or self._chunked or self._length >= 0:
            return None
        self.reusable = False
        return self._answer()

    def discard(self) -> None:
        self._expect()
        del self._parser, self._feed

    # What the parser calls. Whatever follows the end of an answer stops at ``on_message_begin``.

    def on_message_begin(self) -> None:
        if self._done:
            raise _StopParsingError

    def on_header(self, name: bytes, value: bytes) -> None:
        known = _KNOWN_HEADERS.get(name.lower())
        if known is None or self._headed:  # a trailer decides nothing
            return
        if known == _LENGTH:
            self._length = int(value)
        elif known == _CONTENT_TYPE:
            self._content_type = _joined(self._content_type, value)
        elif known == _OUTCOME:
            self._outcome = _joined(self._outcome, value)
        elif known == _RETRY_AFTER:
            self._retry_after = _joined(self._retry_after, value)
        elif value.strip().lower() == b"chunked":
            self._chunked = True
        else:
            self._fail(_garbage(f"a transfer coding that nobody asked for: {value[:_SHOWN_BYTES]!r}"))

    def on_headers_complete(self) -> None:
        status = self._status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == _SWITCHING_PROTOCOLS:
                self._fail(NoAnswer("garbage", f"an unexpected status {status}"))
            overhead = self._overhead_bytes
            self._expect()
            self._overhead_bytes = overhead
            return
        self._headed = True
        self._overhead_bytes = 0
        if self._length > self._limit_bytes and status not in _BODILESS:
            self._fail(self._too_large())

    def on_body(self, data: bytes) -> None:
        size = self._size_bytes + len(data)
        if size > self._limit_bytes:
            self._fail(self._too_large())
        if not self._size_bytes:
            self._body = data
        elif isinstance(self._body, bytearray):
            self._body += data
        else:
            self._body = bytearray(self._body) + data
        self._size_bytes = size

    def on_message_complete(self) -> None:
        if self._headed:
            self._done = True
            self.reusable = self._parser.should_keep_alive()

    # The rest.

    def _feed_long_head(self, data: bytes) -> None:
        """Feeds no more of a head than a head may be."""
        room = HEAD_BYTES - self._overhead_bytes
        self._feed(memoryview(data)[:room])
        if self._headed:
            self._feed(memoryview(data)[room:])
        else:
            self._failure = NoAnswer("garbage", f"a header block over {HEAD_BYTES // 1024} KiB")
            raise httptools.HttpParserError

    def _fail(self, failure: NoAnswer) -> None:
        self._failure = failure
        raise _StopParsingError

    def _count(self, received_bytes: int) -> NoAnswer | None:
        """Nothing without a body goes on for ever: a head is bounded exactly, chunk headers and trailers roughly."""
        if self._size_bytes != self._counted_bytes:
            self._counted_bytes = self._size_bytes
            self._overhead_bytes = 0
            return None
        self._overhead_bytes += received_bytes
        return NoAnswer("garbage", "no end of headers") if self._overhead_bytes > _GAP_BYTES else None

    def _answer(self) -> Answer:
        body = bytes(self._body)  # the same object if it is bytes already
        answer = Answer(self._status, self._outcome, self._retry_after, self._content_type, body)
        self._expect()
        return answer

    def _too_large(self) -> NoAnswer:
        return NoAnswer("too-large", f"more than {self._limit_bytes} bytes")

    def _garbage(self, error: Exception, data: bytes) -> NoAnswer:
        got = "" if self.has_begun else f", got {data[:_SHOWN_BYTES]!r}"
        return _garbage(f"{error}{got}")
