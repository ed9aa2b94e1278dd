"""The client of the handler between calls: which connection is used, what time ends, and how all of it is closed."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from contracts.answers import Answer, NoAnswer
from tests.unit.handler_scene import OK, OK_ANSWER, Peer, Scene, full_backlog, listening, on_both_loops

CLOSED = NoAnswer("lost", "client closed")


async def serve_on(peer: Peer) -> None:
    while True:
        await peer.serve()


async def hang(peer: Peer) -> None:
    await peer.request()
    assert await peer.ended()


# Which connection.


@on_both_loops
async def test_calls_one_after_the_other_share_a_connection(scene: Scene) -> None:
    await scene.serve(serve_on)
    for call in range(5):
        assert await scene.call(call) == OK_ANSWER
    assert len(scene.peers) == 1


@on_both_loops
async def test_calls_at_once_have_a_connection_each(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await everybody.wait()
        await peer.send(OK)
        await serve_on(peer)

    everybody = asyncio.Event()
    await scene.serve(script)
    for call in range(64):
        scene.post(call)
    await scene.peer(64)
    assert not scene.answers
    everybody.set()
    for call in range(64):
        assert await scene.answer(call) == OK_ANSWER
    for call in range(64, 128):
        scene.post(call)
    for call in range(64, 128):
        assert await scene.answer(call) == OK_ANSWER
    assert len(scene.peers) == 64


@on_both_loops
async def test_the_connection_used_last_is_used_next(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await let_go[peer.number].wait()
        while True:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % peer.number)
            await peer.request()

    let_go = {number: asyncio.Event() for number in (1, 2, 3)}
    await scene.serve(script)
    for call in (1, 2, 3):
        scene.post(call)
        await scene.peer(call)
    for call in (3, 1, 2):
        let_go[call].set()
        await scene.answer(call)
    assert await scene.call(4) == await scene.call(5) == Answer(200, body=b"2")


@on_both_loops
async def test_a_report_may_start_the_next_call(scene: Scene) -> None:
    def on_answer(call: int, answer: Answer | NoAnswer) -> None:
        reported(call, answer)
        if call < 100:
            scene.post(call + 1)

    await scene.serve(serve_on)
    reported = scene.client._on_answer
    scene.client._on_answer = on_answer
    scene.post(1)
    assert await scene.answer(100) == OK_ANSWER
    assert len(scene.peers) == 1


@pytest.mark.parametrize("unasked", [b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"?", b""])
@on_both_loops
async def test_what_comes_unasked_ends_an_idle_connection_and_no_call(scene: Scene, unasked: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve()
        if peer.number == 1:
            await idle.wait()
            await peer.send(unasked)
            if not unasked:
                peer.half_close()
            assert await peer.ended()

    idle = asyncio.Event()
    await scene.serve(script, idle_seconds=60.0)
    await scene.call(1)
    idle.set()
    await scene.peers[0].done.wait()
    assert await scene.call(2) == OK_ANSWER
    assert len(scene.peers) == 2
    assert sorted(scene.answers) == [1, 2]


@on_both_loops
async def test_a_reset_of_an_idle_connection_ends_no_call(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve()
        await idle.wait()
        peer.reset()

    idle = asyncio.Event()
    await scene.serve(script)
    await scene.call(1)
    idle.set()
    while scene.client._open:
        await asyncio.sleep(0)
    assert scene.client._idle == []
    assert await scene.call(2) == OK_ANSWER


# Time.


@on_both_loops
async def test_idle_connections_are_dropped_and_busy_ones_are_not(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await scene.answer(2)
            await scene.peers[1].done.wait()  # dropped for being idle, while this one was not
        await peer.send(OK)
        assert await peer.ended()

    await scene.serve(script, idle_seconds=0.05)
    scene.post(1)
    await scene.peer(1)
    assert await scene.call(2) == OK_ANSWER
    assert await scene.answer(1) == OK_ANSWER
    await scene.peers[0].done.wait()
    assert scene.client._idle == []


@on_both_loops
async def test_a_call_in_time_outlasts_a_shorter_one(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await scene.answer(2)
            await peer.send(OK)
        assert await peer.ended()

    await scene.serve(script)
    scene.post(1, timeout_seconds=30.0)
    await scene.peer(1)
    assert await scene.call(2, timeout_seconds=0.05) == NoAnswer("timeout")
    await scene.peers[1].done.wait()
    assert await scene.answer(1) == OK_ANSWER
    await scene.client.close()


@on_both_loops
async def test_a_timeout_between_does_not_keep_idle_connections(scene: Scene) -> None:
    await scene.serve(lambda peer: hang(peer) if peer.number == 1 else serve_on(peer), idle_seconds=0.3)
    scene.post(1, timeout_seconds=0.1)
    await scene.peer(1)
    assert await scene.call(2) == OK_ANSWER
    assert await scene.answer(1) == NoAnswer("timeout")
    await scene.peers[1].done.wait()


@on_both_loops
async def test_a_call_on_a_reused_connection_times_out_too(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve()
        await hang(peer)

    await scene.serve(script, idle_seconds=60.0, connect_timeout_seconds=60.0)
    await scene.call(1)
    assert await scene.call(2, timeout_seconds=0.05) == NoAnswer("timeout")
    assert len(scene.peers) == 1


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"], ids=["silence", "half"])
@on_both_loops
async def test_many_calls_time_out_and_their_connections_are_cut(scene: Scene, part: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve(part)
        assert await peer.ended()

    await scene.serve(script)
    for call in range(20):
        scene.post(call, timeout_seconds=0.3 - call % 10 * 0.02)
    await scene.peer(20)
    for call in range(20):
        assert await scene.answer(call) == NoAnswer("timeout")
    for peer in scene.peers:
        await peer.done.wait()


@on_both_loops
async def test_a_body_that_nobody_reads_times_out(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await scene.answer()
        assert await peer.ended()

    await scene.serve(script)
    assert await scene.call(body=bytes(1 << 24), timeout_seconds=0.1) == NoAnswer("timeout")
    await scene.peers[0].done.wait()


@on_both_loops
async def test_an_answer_that_came_while_the_process_was_held_up_counts(scene: Scene) -> None:
    """The loop stands still in a callback of its poll: it would see the timer before it polls again."""
    asked, go_on, sent = threading.Event(), threading.Event(), threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            asked.set()
            go_on.wait(10)
            connection.sendall(OK)
            sent.set()
            connection.recv(1 << 16)

    def stand_still() -> None:
        loop.remove_reader(waking)
        go_on.set()
        assert sent.wait(10)
        time.sleep(1.0)  # past the call's end

    loop = asyncio.get_running_loop()
    waking, wake = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener, waking, wake:
        handler = threading.Thread(target=serve)
        handler.start()
        scene.connect(listener.getsockname()[1])
        scene.post(timeout_seconds=0.5)
        await asyncio.to_thread(asked.wait, 10)
        loop.add_reader(waking, stand_still)
        wake.send(b"!")
        assert await scene.answer() == OK_ANSWER
        await scene.client.close()
        await asyncio.to_thread(handler.join)
    await loop.shutdown_default_executor()


# Abandoned calls.


@on_both_loops
async def test_an_abandoned_call_is_cut_and_not_reported(scene: Scene) -> None:
    await scene.serve(hang)
    scene.post(1)
    await scene.peer(1)
    scene.client.abandon(1)
    scene.client.abandon(1)
    scene.client.abandon(99)
    await scene.peers[0].done.wait()
    await scene.end()
    assert scene.answers == {}


@on_both_loops
async def test_a_call_may_be_abandoned_before_it_is_connected(scene: Scene) -> None:
    with listening() as listener:
        scene.connect(listener.getsockname()[1])
        scene.post(1)
        scene.client.abandon(1)  # before connecting has begun
        async with full_backlog(listener):
            scene.post(2)
            for _ in range(10):
                await asyncio.sleep(0)
            scene.client.abandon(2)  # while it goes on
        await scene.client.close()
    assert scene.answers == {}


# Awaited requests.


@on_both_loops
async def test_a_request_is_awaited_and_not_reported(scene: Scene) -> None:
    requests = []

    async def script(peer: Peer) -> None:
        for _ in range(3):
            requests.append(await peer.request())
            await peer.send(OK)

    await scene.serve(script)
    assert await scene.client.request("GET", "/healthz", {}, b"", 30.0) == OK_ANSWER
    assert await scene.client.request("POST", "/init", {"Content-Type": "application/json"}, b"{}", 30.0) == OK_ANSWER
    assert await scene.call(0) == OK_ANSWER
    host = b"Host: 127.0.0.1:%d\r\n" % scene.port
    assert requests[:2] == [
        b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n",
        b"POST /init HTTP/1.1\r\n" + host + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    ]
    assert scene.answers == {0: OK_ANSWER}
    assert len(scene.peers) == 1


@on_both_loops
async def test_a_request_ends_like_a_call(scene: Scene) -> None:
    await scene.serve(hang)
    assert await scene.client.request("GET", "/", {}, b"", 0.05) == NoAnswer("timeout")
    with pytest.raises(ValueError, match="the value of A"):
        await scene.client.request("GET", "/", {"A": "b\r\nC: d"}, b"", 30.0)
    waiting = asyncio.create_task(scene.client.request("GET", "/", {}, b"", 30.0))
    await scene.peer(2)
    await scene.client.close()
    assert await waiting == CLOSED
    assert (await scene.client.request("GET", "/", {}, b"", 30.0)) == NoAnswer("refused", "client closed")
    assert scene.answers == {}


@on_both_loops
async def test_a_cancelled_request_cuts_its_connection(scene: Scene) -> None:
    await scene.serve(hang)
    waiting = asyncio.create_task(scene.client.request("GET", "/", {}, b"", 30.0))
    await scene.peer(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await scene.peers[0].done.wait()


# Closing.


@on_both_loops
async def test_closing_ends_running_calls_and_every_connection(scene: Scene) -> None:
    async def script(peer: Peer) -> None:
        await peer.serve()
        assert await peer.ended()

    await scene.serve(script)
    for call in (1, 2, 3):
        scene.post(call)
    for call in (1, 2, 3):
        await scene.answer(call)
    scene.post(4, bytes(1 << 24))
    scene.post(5)
    await scene.client.close()
    assert scene.client._open == set()
    assert scene.answers == {1: OK_ANSWER, 2: OK_ANSWER, 3: OK_ANSWER, 4: CLOSED, 5: CLOSED}
    assert len(scene.peers) == 3
    for peer in scene.peers:
        await peer.done.wait()


@on_both_loops
async def test_closing_ends_what_is_being_connected(scene: Scene) -> None:
    with listening() as listener:
        async with full_backlog(listener):
            scene.connect(listener.getsockname()[1])
            scene.post(1)
            for _ in range(10):
                await asyncio.sleep(0)
            scene.post(2)
            await scene.client.close()
    assert scene.answers == {1: CLOSED, 2: CLOSED}
    assert len(asyncio.all_tasks()) == 1


@on_both_loops
async def test_closing_may_be_repeated_and_nothing_starts_after_it(scene: Scene) -> None:
    await scene.serve(serve_on)
    await scene.call(1)
    await asyncio.gather(scene.client.close(), scene.client.close())
    await scene.client.close()
    assert scene.client._timer is None
    assert await scene.call(2) == NoAnswer("refused", "client closed")
    assert len(scene.peers) == 1
