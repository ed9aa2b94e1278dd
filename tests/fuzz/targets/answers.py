"""Answers of handlers: raw bytes in pieces of any size, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

import msgspec

from contracts.answers import Answer, NoAnswer
from contracts.records import Ending, State
from contracts.workqueue import DeliveryPolicy
from sidecar.adapters.handler_answer import AnswerReader
from sidecar.core.retry import JITTER, Again, Past, decide
from tests.fuzz.target import Target

LIMITS: Final = (0, 1, 64, 2048)
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POLICY: Final = DeliveryPolicy()
WALL: Final = 1_700_000_000.0

Found = Answer | NoAnswer | None


def pieces(data: bytes, seed: int) -> Iterator[bytes]:
    """The same bytes cut somehow."""
    random, at = Random(seed), 0
    while at < len(data):
        size = random.choice((1, 2, 7, 100, 1000))
        yield data[at : at + size]
        at += size


class Reading:
    """One connection that ends after these pieces, or with the first answer."""

    def __init__(self, parts: Iterable[bytes], limit: int) -> None:
        self.reader = AnswerReader(limit)
        self.found: Found = None
        self.read_bytes = 0
        for part in parts:
            self.read_bytes += len(part)
            self.found = self.reader.read(part)
            if self.found is not None:
                return
            assert len(self.reader._body) <= limit, "more is kept than a body may have"
            assert not self.reader.reusable or not self.reader.has_begun
        self.found = self.reader.end()


def check_reader(data: bytes) -> None:
    limit, stream = LIMITS[data[0] % len(LIMITS) if data else 0], data[2:]
    whole = Reading([stream], limit)
    cut = Reading(pieces(stream, data[1] if len(data) > 1 else 0), limit)
    single = Reading((stream[at : at + 1] for at in range(len(stream))), limit)
    for reading in (cut, single):
        check_same(whole.found, reading.found)
    check_found(whole.found, limit)
    if isinstance(single.found, Answer):
        rest = stream[single.read_bytes :].strip(b"\r\n")
        assert not (rest and whole.reader.reusable), "what follows an answer must not be taken for the next one"
        if single.reader.reusable:
            expected = Answer(200, body=b"ok") if limit >= 2 else NoAnswer("too-large", f"more than {limit} bytes")
            assert expected == single.reader.read(OK), "a connection that may be used again is as good as new"
    for reading in (whole, cut, single):
        reading.reader.discard()


def check_same(one: Found, other: Found) -> None:
    assert type(one) is type(other), f"{one} and {other}, by how it was cut"
    if isinstance(one, Answer):
        assert one == other
    elif isinstance(one, NoAnswer) and isinstance(other, NoAnswer):
        assert one.kind == other.kind


def check_found(found: Found, limit: int) -> None:
    if isinstance(found, NoAnswer):
        assert found.kind in ("garbage", "too-large")
        assert 0 < len(found.detail) <= 160
    elif isinstance(found, Answer):
        assert 200 <= found.status <= 999
        assert len(found.body) <= limit
        for value in (found.outcome, found.retry_after, found.content_type):
            assert value is None or not set(value) & set("\r\n\0"), "a value that could end a header"
    if found is not None:
        check_decision(found)


def check_decision(found: Answer | NoAnswer) -> None:
    decision = decide(found, POLICY, Past("m", 0, 0), WALL, asynchronous=True)
    if isinstance(decision, Again):
        assert WALL <= decision.due_at <= WALL + POLICY.backoff.max_seconds * (1 + JITTER)
    elif isinstance(decision, Ending):
        assert (decision.state is State.DEAD) == bool(decision.reason)
        assert msgspec.json.encode(decision), "an end can be shown to anybody"


TARGETS: Final = {
    "handler-answer": Target(
        check_reader,
        (
            b"\x03\0" + OK,
            b"\x03\x01" + OK + OK,
            b"\x01\x02" + OK,
            b"\x03\x03HTTP/1.1 204 No Content\r\nKubedaemon-Outcome: retry\r\nRetry-After: 7\r\n\r\n",
            b"\x02\x04HTTP/1.1 304 N\r\nContent-Length: 99\r\n\r\n",
            b"\x03\x05HTTP/1.1 201 C\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n",
            b"\x03\x06HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nA: b\r\n\r\n" + OK,
            b"\x03\x07HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=\xe9\r\n\r\nup to the end",
            b"\x02\x08HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 5\r\n\r\nsorry",
            b"\x03\x09HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
            b"\x03\x0aHTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"\x03\x0bHTTP/1.1 202 A\r\nKubedaemon-Outcome: accepted\r\nKubedaemon-Outcome: ack\r\n\r\n",
            b"\x00\x0cHTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"\x03\x0dSSH-2.0-OpenSSH_9.6\r\n",
        ),
        (
            b"HTTP/1.1 ",
            b"HTTP/1.0 ",
            b"Content-Length: 2\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: keep-alive\r\n",
            b"Connection: close\r\n",
            b"Kubedaemon-Outcome: dead-letter\r\n",
            b"Retry-After: 1\r\n",
            b"\r\n\r\n",
            b"0\r\n\r\n",
            b"ffffffffffffffff\r\n",
            b" 200 ",
            b" 101 ",
            b"\r\n folded",
        ),
    ),
}
