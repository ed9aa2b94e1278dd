"""The client of the handler: what one call sends, and how each possible end of it is reported."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from contracts.answers import Answer, NoAnswer
from sidecar.adapters.handler_client import request_head
from tests.unit.handler_scene import OK, OK_ANSWER, Peer, Scene, full_backlog, head, kind, listening, on_both_loops

LARGE = os.urandom(1 << 20) * 8
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# Requests and whole answers.


@pytest.mark.parametrize("body", [b"", b"payload", LARGE[: 1 << 14], LARGE], ids=["empty", "small", "16 KiB", "8 MiB"])
@on_both_loops
async def test_a_request_arrives_byte_for_byte_and_is_answered(scene: Scene, body: bytes) -> None:
    requests = []

    async def script(peer: Peer) -> None:
        requests.append(await peer.request())
        await peer.send(OK)

    await scene.serve(script)
    assert await scene.call(body=body) == OK_ANSWER
    assert requests == [head(len(body)) + body]


@on_both_loops
async def test_an_answer_carries_what_decides_and_the_body(scene: Scene) -> None:
    answer = (
        b"HTTP/1.1 503 Busy\r\nKubedaemon-Outcome: retry\r\nRetry-After: 5\r\nContent-Type: text/plain; a=\xe9\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nlate\r\n1\r\nr\r\n0\r\n\r\n"
    )
    await scene.serve(lambda peer: peer.serve(answer))
    assert await scene.call() == Answer(503, "retry", "5", "text/plain; a=é", b"later")


@on_both_loops
async def test_an_answer_may_come_in_pieces(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        for byte in b"HTTP/1.1 100 Continue\r\n\r\n" + OK:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)

    await scene.serve(script)
    assert await scene.call() == OK_ANSWER


CLOSING = {
    "said so": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "more than an answer": OK + b"HTTP/1.1 500 Oh\r\n",
}


@pytest.mark.parametrize("answer", CLOSING.values(), ids=CLOSING)
@on_both_loops
async def test_a_connection_that_cannot_go_on_is_closed_and_replaced(scene: Scene, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve(answer)
        assert await peer.ended()

    await scene.serve(script)
    assert await scene.call(1) == OK_ANSWER
    assert await scene.call(2) == OK_ANSWER
    assert len(scene.peers) == 2


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", b"HTTP/1.0 200 OK\r\n\r\nok"])
@on_both_loops
async def test_a_body_may_end_with_the_connection(scene: Scene, answer: bytes) -> None:
    await scene.serve(lambda peer: peer.serve(answer))
    assert await scene.call(1) == OK_ANSWER
    assert await scene.call(2) == OK_ANSWER


@on_both_loops
async def test_a_handler_may_stop_sending_behind_its_answer(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve()
        peer.half_close()
        assert await peer.ended()

    await scene.serve(script)
    assert await scene.call(1) == OK_ANSWER
    await scene.peers[0].done.wait()
    assert await scene.call(2) == OK_ANSWER
    assert len(scene.peers) == 2


# Connections that end.

PARTS = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
    "half the chunks": CHUNKED + b"2\r\nok\r\n",
}


@pytest.mark.parametrize("how", ["half_close", "close", "reset"])
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@on_both_loops
async def test_a_connection_that_ends_before_the_answer_does_loses_the_call(
    scene: Scene, part: bytes, how: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(part)
        getattr(peer, how)()
        assert await peer.ended()

    await scene.serve(script)
    assert kind(await scene.call(body=LARGE[:100_000])) == "lost"
    assert len(scene.peers) == 1


@on_both_loops
async def test_a_body_that_ends_with_a_reset_is_not_whole(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve(b"HTTP/1.0 200 OK\r\n\r\nhal")
        await received.wait()
        peer.reset()

    received = asyncio.Event()
    await scene.serve(script)
    scene.post()
    while not (scene.peers and scene.client._running[1]._reader.has_begun):
        await asyncio.sleep(0)
    received.set()
    assert kind(await scene.answer()) == "lost"


@pytest.mark.parametrize("how", ["half_close", "close", "reset"])
@on_both_loops
async def test_a_reused_connection_that_ends_without_a_byte_costs_nothing(scene: Scene, how: str) -> None:
    requests = []

    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.serve()
        requests.append(await peer.request())
        if peer.number == 1:
            getattr(peer, how)()
        else:
            await peer.send(OK)

    await scene.serve(script)
    await scene.call(1)
    assert await scene.call(2, b"again") == OK_ANSWER
    assert requests == [head(5) + b"again"] * 2
    assert sorted(scene.answers) == [1, 2]


@on_both_loops
async def test_a_call_is_sent_again_only_once(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            await peer.serve()
        await peer.request()

    await scene.serve(script)
    await scene.call(1)
    assert kind(await scene.call(2)) == "lost"
    assert len(scene.peers) == 2


@on_both_loops
async def test_a_reused_connection_that_ends_within_an_answer_loses_the_call(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve()
        await peer.serve(b"H")

    await scene.serve(script)
    await scene.call(1)
    assert kind(await scene.call(2)) == "lost"
    assert len(scene.peers) == 1


@on_both_loops
async def test_a_call_is_lost_if_the_handler_is_gone_when_it_is_to_be_sent_again(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve()
        await peer.request()
        assert scene.server is not None
        scene.server.close()
        for listener in scene.server.sockets:
            listener.close()

    await scene.serve(script)
    await scene.call(1)
    assert kind(await scene.call(2)) == "lost"


# No connection.


@on_both_loops
async def test_nobody_listening_is_refused(scene: Scene) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        scene.connect(nobody.getsockname()[1])
        answer = await scene.call()
    assert kind(answer) == "refused"
    assert isinstance(answer, NoAnswer)
    assert answer.detail


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no..host", 80)])
@on_both_loops
async def test_an_address_that_cannot_be_is_refused(scene: Scene, host: str, port: int) -> None:
    scene.connect(port, connect_timeout_seconds=60.0)
    scene.client._host = host
    assert kind(await scene.call()) == "refused"
    await asyncio.get_running_loop().shutdown_default_executor()


@pytest.mark.parametrize(("connect_timeout_seconds", "timeout_seconds"), [(0.05, 30.0), (30.0, 0.05)])
@on_both_loops
async def test_no_connection_in_time_is_refused(
    scene: Scene, connect_timeout_seconds: float, timeout_seconds: float
) -> None:
    with listening() as listener:
        async with full_backlog(listener):
            scene.connect(listener.getsockname()[1], connect_timeout_seconds=connect_timeout_seconds)
            assert kind(await scene.call(timeout_seconds=timeout_seconds)) == "refused"


@pytest.mark.parametrize(
    ("connect_timeout_seconds", "timeout_seconds", "expected"), [(0.1, 30.0, "lost"), (30.0, 0.1, "timeout")]
)
@on_both_loops
async def test_no_second_connection_in_time_is_not_refused(
    scene: Scene, connect_timeout_seconds: float, timeout_seconds: float, expected: str
) -> None:
    loop = asyncio.get_running_loop()
    with listening() as listener:
        scene.connect(listener.getsockname()[1], connect_timeout_seconds=connect_timeout_seconds)
        scene.post(1)
        connection, _ = await loop.sock_accept(listener)
        with connection:
            await loop.sock_recv(connection, 1 << 16)
            await loop.sock_sendall(connection, OK)
            await scene.answer(1)
            async with full_backlog(listener):
                scene.post(2, timeout_seconds=timeout_seconds)
                await loop.sock_recv(connection, 1 << 16)
                connection.close()
                assert kind(await scene.answer(2)) == expected


# Answers that are none, or too early, or too long.


@on_both_loops
async def test_garbage_says_what_came_and_ends_the_connection(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve(b"SSH-2.0-x\r\n" if peer.number == 1 else OK)
        assert await peer.ended()

    await scene.serve(script)
    answer = await scene.call(1)
    assert kind(answer) == "garbage"
    assert "SSH-2.0-x" in str(answer)
    await scene.peers[0].done.wait()
    assert await scene.call(2) == OK_ANSWER


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nContent-Length: 5001\r\n\r\n", CHUNKED + b"1389\r\n"])
@on_both_loops
async def test_a_result_that_is_too_long_ends_the_connection(scene: Scene, start: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve(start + b"x" * 5001)
        assert await peer.ended()

    await scene.serve(script, max_result_bytes=5000)
    assert await scene.call() == NoAnswer("too-large", "more than 5000 bytes")
    await scene.peers[0].done.wait()


@pytest.mark.parametrize("how", ["half_close", "reset", "stay"])
@on_both_loops
async def test_an_answer_before_the_end_of_the_request_counts(scene: Scene, how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        if how == "reset":
            peer.close()  # with unread bytes in the kernel this is an RST
            return
        if how == "half_close":
            peer.half_close()
        await scene.answer(peer.number)
        assert await peer.ended()

    await scene.serve(script)
    for call in range(1, 11):
        assert await scene.call(call, LARGE) == Answer(413, body=b"no")
    assert len(scene.peers) == 10


@on_both_loops
async def test_both_sides_may_send_much_at_once(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE) + LARGE[:-1])
        assert await peer.reader.readexactly(len(LARGE)) == LARGE
        await peer.send(LARGE[-1:])
        await peer.serve()

    await scene.serve(script)
    assert await scene.call(1, LARGE) == Answer(200, body=LARGE)
    assert await scene.call(2) == OK_ANSWER
    assert len(scene.peers) == 1


# Heads.


def test_a_head_holds_exactly_what_was_given() -> None:
    expected = b"POST /a?b=c HTTP/1.1\r\nHost: [::1]:80\r\nX-A: caf\xe9 \r\nB: \r\nContent-Length: 3\r\n\r\n"
    assert expected == request_head("POST", "/a?b=c", "[::1]:80", [("X-A", "café "), ("B", "")], 3)
    assert request_head("GET", "/", "h", [], 0) == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    assert request_head("POST", "/", "h", [], 0) == b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "ä", "Host", "content-LENGTH", "Transfer-Encoding", "a\n"])
def test_a_header_name_that_is_no_token_or_not_ours_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="header"):
        request_head("POST", "/", "h", [(name, "v")], 0)


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\n", "\r", "\x00", "\x7f", "\t", "€", "\ud800"])
def test_a_header_value_that_http_cannot_carry_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="the value of X"):
        request_head("POST", "/", "h", [("X", value)], 0)


@pytest.mark.parametrize(
    ("method", "path", "host", "length"),
    [
        ("PO ST", "/", "h", 0), ("", "/", "h", 0), ("HEAD", "/", "h", 0), ("CONNECT", "/", "h", 0), ("GET", "", "h", 0),
        ("GET", "a", "h", 0), ("GET", "/ b", "h", 0), ("GET", "/\r\n", "h", 0), ("GET", "/é", "h", 0),
        ("GET", "/", "", 0), ("GET", "/", "h\r\nX: y", 0), ("GET", "/", "h", -1),
    ],
)  # fmt: skip
def test_a_request_line_that_could_be_two_is_refused(method: str, path: str, host: str, length: int) -> None:
    with pytest.raises(ValueError, match=r"cannot|not supported"):
        request_head(method, path, host, [], length)
