"""One keep-alive connection to the handler: writes a request, reads the answer, and knows what each end means.

It opens nothing and keeps no time; whoever owns it does. It carries one call at a time and never reports from
inside ``send``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Protocol, cast

from contracts.answers import Answer, NoAnswer
from sidecar.adapters.handler_answer import AnswerReader

_JOINED_BYTES = 16 * 1024
"""Up to here copying a body behind its head is cheaper than writing them as two."""

_LAST_READ_BYTES = 256 * 1024


class Owner(Protocol):
    """Who owns connections, and hears of whatever happens to them. A method that names a call ends it there."""

    def opened(self, connection: HandlerConnection) -> None:
        """There is a transport now."""

    def answered(self, connection: HandlerConnection, call: int, answer: Answer, reusable: bool) -> None:
        """A complete answer. The connection is free for another call, or else is to be aborted by the owner."""

    def failed(self, call: int, failure: NoAnswer) -> None:
        """No usable answer; the connection has aborted itself."""

    def unanswered(self, call: int, head: bytes, body: bytes, until: float) -> None:
        """A connection that had served before has ended without a byte for this call, and aborted itself."""

    def dropped(self, connection: HandlerConnection) -> None:
        """The connection must not be used any more."""

    def closed(self, connection: HandlerConnection) -> None:
        """The transport is gone. Comes once for each ``opened``, and last."""


class HandlerConnection(asyncio.Protocol):
    """``call`` is the running call, if any; ``until`` is when it times out; ``deadline`` when the owner looks next."""

    __slots__ = (
        "_ending", "_limit_bytes", "_owner", "_read", "_reader", "_request_body", "_request_head", "_transport",
        "_write", "call", "deadline", "idle_since", "resent", "reused", "until",
    )  # fmt: skip

    def __init__(self, owner: Owner, limit_bytes: int) -> None:
        self.call: int | None = None
        self.deadline = 0.0
        self.until = 0.0
        self.idle_since = 0.0
        self.reused = False
        self.resent = False
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._limit_bytes = limit_bytes
        self._write: Callable[[bytes], None]
        self._reader: AnswerReader
        self._read: Callable[[bytes], Answer | NoAnswer | None]
        self._request_head = self._request_body = b""
        self._ending = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def prepare(self, call: int, head: bytes, body: bytes, until: float) -> None:
        """Takes ``call`` before there is a transport; it is sent once there is one."""
        self.call = call
        self._request_head = head
        self._request_body = body
        self.until = until

    def send(self, call: int, head: bytes, body: bytes, until: float) -> None:
        """Starts ``call`` on a connection that is open and free."""
        self.call = call
        self._request_head = head
        self._request_body = body
        self.until = self.deadline = until
        if len(body) <= _JOINED_BYTES:
            self._write(head + body)
        else:
            self._opened().writelines((head, body))

    def abort(self) -> None:
        """Closes at once, whatever is still unsent or unread; a running call is forgotten."""
        self.call = None
        self._request_head = self._request_body = b""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write = self._transport.write
        self._reader = AnswerReader(self._limit_bytes)
        self._read = self._reader.read
        self._owner.opened(self)
        if self.call is None:
            self._transport.abort()
        else:
            self.send(self.call, self._request_head, self._request_body, self.until)

    def data_received(self, data: bytes) -> None:
        call = self.call
        if call is None:
            self._drop()
            return
        answer = self._read(data)
        if answer is None:
            return
        if answer.__class__ is Answer:
            self._finish(call, answer)
        else:
            self._fail(call, cast(NoAnswer, answer))

    def eof_received(self) -> bool:
        call = self.call
        if call is None:
            self._drop()
        elif answer := self._reader.end():
            self._finish(call, answer)
        else:
            self._lose(call, "")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._ending = True
        if self.call is not None and error is not None:
            self._read_last_words()
        if self.call is not None:
            self._lose(self.call, f": {error}" if error else "")
        self._transport = None
        self._reader.discard()
        del self._write, self._read
        self._owner.dropped(self)
        self._owner.closed(self)

    def _opened(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self._transport)

    def _finish(self, call: int, answer: Answer) -> None:
        # An answer to half a request ends the connection: nobody knows what the other half would be taken for.
        reusable = self._reader.reusable and not self._ending and not self._opened().get_write_buffer_size()
        self.call = None
        self._request_head = self._request_body = b""
        self._owner.answered(self, call, answer, reusable)

    def _fail(self, call: int, failure: NoAnswer) -> None:
        self.abort()
        self._owner.failed(call, failure)

    def _drop(self) -> None:
        self._owner.dropped(self)
        self.abort()

    def _lose(self, call: int, why: str) -> None:
        """The connection ended before the answer did."""
        if self._reader.has_begun:
            self._fail(call, NoAnswer("lost", f"the connection ended in the middle of an answer{why}"))
        elif self.reused:
            head, body = self._request_head, self._request_body
            self.abort()
            self._owner.unanswered(call, head, body, self.until)
        else:
            self._fail(call, NoAnswer("lost", f"the connection ended without an answer{why}"))

    def _read_last_words(self) -> None:
        """Reads the answer that a failing write hid.

        A handler may answer and hang up before it has read the request; the loop may notice that first in a write,
        and then reads no more, although the answer has come. A body that only the end of the connection would end is
        not whole for that: this end was no orderly one.
        """
        socket = self._opened().get_extra_info("socket")
        with contextlib.suppress(OSError):
            while self.call is not None and (data := os.read(socket.fileno(), _LAST_READ_BYTES)):
                self.data_received(data)
