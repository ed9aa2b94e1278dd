"""However the bytes of an answer are cut into packets, the handler's connection hears the same answer."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from contracts.answers import Answer, NoAnswer
from sidecar.adapters.handler_connection import HandlerConnection

LIMIT_BYTES = 4096
CALL = 7

Report = tuple[int, Answer | NoAnswer, bool]


class Recorder:
    """An owner of connections that only remembers."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def opened(self, connection: HandlerConnection) -> None:
        pass

    def answered(self, connection: HandlerConnection, call: int, answer: Answer, reusable: bool) -> None:
        self.reports.append((call, answer, reusable))

    def failed(self, call: int, failure: NoAnswer) -> None:
        self.reports.append((call, failure, False))

    def unanswered(self, call: int, head: bytes, body: bytes, until: float) -> None:
        raise AssertionError("only a reused connection may be unanswered")

    def dropped(self, connection: HandlerConnection) -> None:
        pass

    def closed(self, connection: HandlerConnection) -> None:
        pass


class FakeTransport(asyncio.Transport):
    """Takes everything and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True


def packets(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


def heard(data: bytes, cuts: list[int], ended: bool) -> list[Report]:
    """What a fresh connection with one call reports when ``data`` comes in, cut at ``cuts``."""
    owner, transport = Recorder(), FakeTransport()
    connection = HandlerConnection(owner, LIMIT_BYTES)
    connection.prepare(CALL, b"head", b"body", 1.0)
    connection.connection_made(transport)
    assert transport.written == b"headbody"
    for packet in packets(data, cuts):
        if owner.reports:
            break
        connection.data_received(packet)
    if ended and not owner.reports:
        connection.eof_received()
    reports = list(owner.reports)
    connection.connection_lost(None)
    return reports


class Response(NamedTuple):
    """Bytes of a valid answer, what it says, and whether the end of the connection is part of it."""

    data: bytes
    answer: Answer
    reusable: bool
    ended: bool


text = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=12)
values = st.none() | text
casings = st.sampled_from([str.lower, str.upper, str.title])
chunk_lists = st.lists(st.binary(min_size=1, max_size=300), max_size=6)
interim_heads = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nContent-Type: x/y\r\nA: b\r\n\r\n"]
interims = st.lists(st.sampled_from(interim_heads), max_size=2)
cut_lists = st.lists(st.integers(min_value=0, max_value=1 << 16), max_size=40)


@st.composite
def responses(draw: st.DrawFn) -> Response:
    status = draw(st.integers(min_value=200, max_value=999).filter(lambda status: status not in (204, 304)))
    outcome, retry_after, content_type = draw(values), draw(values), draw(values)
    named = {"Kubedaemon-Outcome": outcome, "Retry-After": retry_after, "Content-Type": content_type}
    headers = [(name, value) for name, value in named.items() if value is not None]
    headers += draw(st.lists(st.tuples(st.just("X-Other"), text), max_size=3))
    chunks = draw(chunk_lists)
    framing = draw(st.sampled_from(["length", "chunks", "end"]))
    closes = draw(st.booleans())
    if framing == "length":
        headers.append(("Content-Length", str(sum(map(len, chunks)))))
    elif framing == "chunks":
        headers.append(("Transfer-Encoding", "chunked"))
    if closes:
        headers.append(("Connection", "close"))
    lines = [f"{draw(casings)(name)}: {value}\r\n" for name, value in draw(st.permutations(headers))]
    head = b"".join(draw(interims)) + f"HTTP/1.1 {status} Reason\r\n{''.join(lines)}\r\n".encode("latin-1")
    body = b"".join(chunks)
    if framing == "chunks":
        trailer = b"Kubedaemon-Outcome: x\r\n" if draw(st.booleans()) else b""
        sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"
    else:
        sent = body
    answer = Answer(status, outcome, retry_after, content_type, body)
    return Response(head + sent, answer, framing != "end" and not closes, framing == "end")


@given(responses(), cut_lists)
def test_a_valid_answer_is_the_same_however_it_is_cut(response: Response, cuts: list[int]) -> None:
    assert [(CALL, response.answer, response.reusable)] == heard(response.data, cuts, response.ended)


@given(responses(), cut_lists, st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_an_answer_with_a_wrong_byte_ends_the_call_once_and_the_same_way(
    response: Response, cuts: list[int], place: int, byte: int
) -> None:
    place %= len(response.data)
    data = response.data[:place] + bytes([byte]) + response.data[place + 1 :]
    [(_, whole, _)] = heard(data, [], ended=True)
    [(call, cut, _)] = heard(data, cuts, ended=True)
    assert call == CALL
    if isinstance(whole, Answer):
        assert whole == cut
    else:
        assert isinstance(cut, NoAnswer)
        assert whole.kind == cut.kind


@given(st.binary(max_size=400), cut_lists)
def test_any_bytes_whatever_end_the_call_once(data: bytes, cuts: list[int]) -> None:
    [(call, result, _)] = heard(data, cuts, ended=True)
    assert call == CALL
    assert isinstance(result, Answer | NoAnswer)


@given(responses(), cut_lists, st.integers(min_value=0))
def test_an_answer_cut_short_is_no_answer(response: Response, cuts: list[int], length: int) -> None:
    short = response.data[: length % len(response.data)]
    [(_, result, reusable)] = heard(short, cuts, ended=True)
    if response.ended:
        assert not reusable
    else:
        assert isinstance(result, NoAnswer)
        assert result.kind == "lost"
