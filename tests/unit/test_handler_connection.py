"""A connection to the handler at the moments that no real socket shows reliably."""

from __future__ import annotations

import asyncio
import socket

import pytest

from contracts.answers import Answer, NoAnswer
from sidecar.adapters.handler_connection import HandlerConnection
from tests.unit.handler_scene import OK, OK_ANSWER, Scene, kind, on_both_loops


class Broken(asyncio.Transport):
    """A transport whose last write has failed, with something still to be read."""

    aborted = False

    def __init__(self, rest: socket.socket | None) -> None:
        super().__init__({"socket": rest})

    def write(self, data: object) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    ("rest", "expected"),
    [(OK, "200"), (b"HTTP/1.0 200 OK\r\n\r\nok", "lost"), (OK[:-1], "lost"), (b"", "lost"), (b"SSH-2", "garbage")],
)
@on_both_loops
async def test_a_failing_write_does_not_hide_the_answer(scene: Scene, rest: bytes, expected: str) -> None:
    handler, ours = socket.socketpair()
    with ours:
        handler.sendall(rest)
        handler.close()
        scene.connect(0)
        connection = HandlerConnection(scene.client, 100)
        scene.client._running[1] = connection
        connection.prepare(1, b"head", b"", 30.0)
        connection.connection_made(Broken(ours))
        connection.connection_lost(ConnectionResetError("reset"))
    assert expected == kind(await scene.answer())


@on_both_loops
async def test_a_dead_connection_takes_no_call_that_its_last_answer_starts(scene: Scene) -> None:
    def on_answer(call: int, answer: Answer | NoAnswer) -> None:
        scene.client._on_answer = reported
        scene.post(2)
        connections.append(scene.client._running[2])
        reported(call, answer)

    handler, ours = socket.socketpair()
    connections: list[HandlerConnection] = []
    with ours, handler:
        handler.sendall(OK)
        scene.connect(0)
        reported, scene.client._on_answer = scene.client._on_answer, on_answer
        connection = HandlerConnection(scene.client, 100)
        scene.client._running[1] = connection
        connection.prepare(1, b"head", b"", 30.0)
        connection.connection_made(Broken(ours))
        connection.connection_lost(ConnectionResetError("reset"))
    assert await scene.answer(1) == OK_ANSWER
    assert connection not in connections


@on_both_loops
async def test_a_connection_that_comes_after_its_call_is_gone_is_cut(scene: Scene) -> None:
    scene.connect(0)
    connection, transport = HandlerConnection(scene.client, 100), Broken(None)
    connection.prepare(1, b"head", b"", 30.0)
    connection.abort()
    connection.connection_made(transport)
    assert transport.aborted
    connection.connection_lost(None)


@pytest.mark.parametrize("unasked", [b"?", None], ids=["bytes", "end"])
@on_both_loops
async def test_an_idle_connection_that_is_not_to_be_used_is_out_of_the_pool_at_once(
    scene: Scene, unasked: bytes | None
) -> None:
    scene.connect(0)
    connection, transport = HandlerConnection(scene.client, 100), Broken(None)
    scene.client._running[1] = connection
    connection.prepare(1, b"head", b"", 30.0)
    connection.connection_made(transport)
    connection.data_received(OK)
    assert scene.client._idle == [connection]
    if unasked is None:
        connection.eof_received()
    else:
        connection.data_received(unasked)
    assert scene.client._idle == []
    assert transport.aborted
    connection.connection_lost(None)


@on_both_loops
async def test_a_call_may_be_abandoned_by_the_report_of_one_that_times_out_with_it(scene: Scene) -> None:
    def on_answer(call: int, answer: Answer | NoAnswer) -> None:
        scene.client.abandon(3 - call)
        reported(call, answer)

    scene.connect(0)
    reported, scene.client._on_answer = scene.client._on_answer, on_answer
    transports = {1: Broken(None), 2: Broken(None)}
    for call, transport in transports.items():
        connection = scene.client._running[call] = HandlerConnection(scene.client, 100)
        connection.prepare(call, b"head", b"", 0.0)
        connection.connection_made(transport)
    scene.client._look()
    assert scene.answers == {1: NoAnswer("timeout")}
    assert all(transport.aborted for transport in transports.values())
    scene.client._open.clear()
