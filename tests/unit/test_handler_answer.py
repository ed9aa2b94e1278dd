"""What counts as an answer of the handler: framing, headers, and everything that is refused."""

from __future__ import annotations

import pytest

from contracts.answers import Answer, NoAnswer
from sidecar.adapters.handler_answer import HEAD_BYTES, AnswerReader

LIMIT_BYTES = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def read(*parts: bytes, limit_bytes: int = LIMIT_BYTES) -> Answer | NoAnswer | None:
    """What ``parts`` complete, which must not be before the last of them."""
    reader = AnswerReader(limit_bytes)
    for part in parts[:-1]:
        assert reader.read(part) is None
    return reader.read(parts[-1])


def singly(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


WHOLE = {
    "length": (OK, Answer(200, body=b"ok")),
    "no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Answer(200)),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Answer(200)),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204)),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99999999\r\n\r\n", Answer(304)),
    "chunks": (
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        Answer(201, body=b"abcde"),
    ),
    "trailers decide nothing": (
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
            b"Kubedaemon-Outcome: retry\r\nContent-Type: text/html\r\n\r\n"
        ),
        Answer(200, body=b"a"),
    ),
    "headers": (
        (
            b"HTTP/1.1 503 No\r\nkubedaemon-OUTCOME:  ack \r\nRETRY-after: 7\r\nContent-type: a/b; c=\xe9\r\n"
            b"content-length: 1\r\n\r\nx"
        ),
        Answer(503, outcome="ack", retry_after="7", content_type="a/b; c=é", body=b"x"),
    ),
    "a header without a value before one with": (
        b"HTTP/1.1 200 OK\r\nX-Empty:\r\nKubedaemon-Outcome: retry\r\nContent-Length: 0\r\n\r\n",
        Answer(200, outcome="retry"),
    ),
    "an empty outcome": (b"HTTP/1.1 204 No\r\nKubedaemon-Outcome:\r\n\r\n", Answer(204, outcome="")),
    "two outcomes": (
        b"HTTP/1.1 204 No\r\nKubedaemon-Outcome: ack\r\nA: b\r\nKubedaemon-Outcome: retry\r\n\r\n",
        Answer(204, outcome="ack, retry"),
    ),
    "interim answers": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nKubedaemon-Outcome: retry\r\n"
        b"Content-Type: text/html\r\nContent-Length: 9\r\n\r\n" + OK,
        Answer(200, body=b"ok"),
    ),
}


@pytest.mark.parametrize(("data", "expected"), WHOLE.values(), ids=WHOLE)
def test_an_answer_is_read_whole_or_byte_by_byte(data: bytes, expected: Answer) -> None:
    assert expected == read(data)
    assert expected == read(*singly(data))


NOT_HTTP = {
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "b'SSH-2.0-OpenSSH_9.6"),
    "html": (b"<html>oops</html>", "b'<html>oops</html>'"),
    "status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", ""),
    "status below 100": (b"HTTP/1.1 099 Odd\r\n\r\n", "99"),
    "101 with an upgrade": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        "101",
    ),
    "101 alone": (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "101"),
    "101 after 100": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n", "101"),
    "bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk size"),
    "chunk longer than said": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", ""),
    "another coding": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc", "gzip"),
    "two codings": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "gzip, chunked"),
    "coding and length": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "Content-Length",
    ),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "Content-Length"),
    "length no number": (b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n", "Content-Length"),
    "length without bounds": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", "Content-Length"),
    "header without colon": (b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "header"),
    "control character in a value": (b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n", "header"),
}


@pytest.mark.parametrize(("data", "words"), NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_no_http_is_garbage_with_a_short_reason(data: bytes, words: str) -> None:
    failure = read(data)
    assert isinstance(failure, NoAnswer)
    assert failure.kind == "garbage"
    assert words in failure.detail
    assert 0 < len(failure.detail) <= 160


def padded(head_bytes: int) -> bytes:
    """A complete answer whose head is ``head_bytes`` long, with a body after it."""
    start, end = b"HTTP/1.1 200 OK\r\nX: ", b"\r\nContent-Length: 90000\r\n\r\n"
    return start + b"x" * (head_bytes - len(start) - len(end)) + end + b"b" * 90000


@pytest.mark.parametrize("part_bytes", [1000, 65535, 65536, 65537, 1 << 20])
def test_a_head_may_have_64_kib_and_not_a_byte_more(part_bytes: int) -> None:
    def parts(data: bytes) -> list[bytes]:
        return [data[at : at + part_bytes] for at in range(0, len(data), part_bytes)]

    assert Answer(200, body=b"b" * 90000) == read(*parts(padded(HEAD_BYTES)))

    reader = AnswerReader(LIMIT_BYTES)
    results = (reader.read(part) for part in parts(padded(HEAD_BYTES + 1)))
    first = next(result for result in results if result is not None)
    assert NoAnswer("garbage", "a header block over 64 KiB") == first


@pytest.mark.parametrize("flood", [b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n"], ids=["interim", "empty lines"])
def test_what_comes_before_the_final_head_has_an_end(flood: bytes) -> None:
    reader = AnswerReader(LIMIT_BYTES)
    for _ in range(HEAD_BYTES // len(flood)):
        assert reader.read(flood) is None
    assert isinstance(reader.read(flood), NoAnswer)


def test_trailers_have_an_end() -> None:
    reader = AnswerReader(LIMIT_BYTES)
    assert reader.read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ") is None
    results = [reader.read(b"x" * 1024) for _ in range(300)]
    assert NoAnswer("garbage", "no end of headers") in results


def test_many_small_chunks_are_no_flood() -> None:
    head, chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"
    expected = Answer(200, body=b"a" * 100_000)
    assert expected == read(head, chunk * 50_000, chunk * 50_000, b"0\r\n\r\n")
    assert expected == read(head, *[chunk] * 100_000, b"0\r\n\r\n")
    assert expected == read(head, *[b"1\r\n", b"a\r\n"] * 100_000, b"0\r\n\r\n")


def test_a_result_may_be_as_long_as_the_limit() -> None:
    assert Answer(200, body=b"12345") == read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345", limit_bytes=5)
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n2\r\n45\r\n0\r\n\r\n"
    assert Answer(200, body=b"12345") == read(chunks, limit_bytes=5)


TOO_LARGE = {
    "announced": [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"],
    "in chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n", b"3\r\n456"],
    "until the end": [b"HTTP/1.1 200 OK\r\n\r\n", b"1234", b"56"],
}


@pytest.mark.parametrize("parts", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_longer_result_is_refused_at_once(parts: list[bytes]) -> None:
    assert NoAnswer("too-large", "more than 5 bytes") == read(*parts, limit_bytes=5)


def test_answers_follow_one_another_and_share_nothing() -> None:
    reader = AnswerReader(LIMIT_BYTES)
    rich = (
        b"HTTP/1.1 500 Oh\r\nKubedaemon-Outcome: retry\r\nRetry-After: 1\r\nContent-Type: a/b\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
    )
    bare = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    rich_answer = Answer(500, outcome="retry", retry_after="1", content_type="a/b", body=b"ab")
    for data, expected in [(rich, rich_answer), (bare, Answer(200)), (rich, rich_answer)]:
        assert not reader.has_begun
        assert reader.read(data[:30]) is None
        assert reader.has_begun
        assert expected == reader.read(data[30:])
        assert reader.reusable


REUSABLE = {
    "1.1": (OK, True),
    "1.1 close": (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
    "1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    "1.0 keep-alive": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", True),
    "another answer behind": (OK + OK, False),
    "a beginning behind": (OK + b"H", False),
    "rubbish behind": (OK + b"\x00\x01", False),
    "rubbish behind a closing one": (b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\nrubbish", False),
}


@pytest.mark.parametrize(("data", "expected"), REUSABLE.values(), ids=REUSABLE)
def test_reusable_is_only_what_says_so_and_ends_where_it_should(data: bytes, expected: bool) -> None:
    reader = AnswerReader(LIMIT_BYTES)
    assert isinstance(reader.read(data), Answer)
    assert expected == reader.reusable


ENDED = {
    "nothing": (b"", None),
    "half a head": (b"HTTP/1.1 200 OK\r\n", None),
    "only an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", None),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", None),
    "half the chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", None),
    "body until the end": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", Answer(200, body=b"abc")),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nRetry-After: 1\r\n\r\nabc", Answer(200, retry_after="1", body=b"abc")),
    "an empty body until the end": (b"HTTP/1.1 500 Oh\r\n\r\n", Answer(500)),
}


@pytest.mark.parametrize(("data", "expected"), ENDED.values(), ids=ENDED)
def test_the_end_of_the_connection_ends_only_bodies_of_unknown_length(data: bytes, expected: Answer | None) -> None:
    reader = AnswerReader(LIMIT_BYTES)
    assert reader.read(data) is None
    assert expected == reader.end()
    assert not reader.reusable
