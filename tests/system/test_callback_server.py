"""The endpoint as a server: what it makes of HTTP in all its forms, under both event loops."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from backends.http.callback import CallbackApi
from backends.http.callback_server import HEAD_BYTES, CallbackServer
from backends.sending import Accepted
from contracts.enqueue import Enqueue
from contracts.errors import TransientError
from contracts.message import Message
from contracts.records import SessionState
from contracts.speech import HEARD, Complete, Heard, ReadSession, Speaker, Words, WriteSession
from contracts.tokens import AttemptToken, derive_keys, signer
from contracts.workqueue import WorkQueue

KEYS = derive_keys([b"k" * 32])
TOKEN = signer(KEYS)(AttemptToken("default", "orders", "m1", 1, 1, 1, 1 << 40))
HEAD = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"
PREFIX = "/v1/callback"
BEAT = f"PUT {PREFIX}/message/progress HTTP/1.1\r\n{HEAD}Content-Length: 0\r\n\r\n".encode()


class Listener:
    """Hears everything, and says of the state what it was told last; and an outlet that knows no queue."""

    def __init__(self) -> None:
        self.heard: list[Words] = []
        self.state = SessionState(b"none", "text/plain")
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def speak(self, namespace: str, queue: str, speaker: Speaker, words: Words) -> Heard:
        self.heard.append(words)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        if isinstance(words, WriteSession):
            assert words.state is not None
            self.state = words.state
        return Heard(state=self.state) if isinstance(words, ReadSession | WriteSession) else HEARD

    async def find(self, namespace: str, queue: str) -> WorkQueue:
        raise NotImplementedError("a defect")

    def compose(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Message:
        raise NotImplementedError

    async def send(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Accepted:
        raise NotImplementedError


class Answer:
    """One answer, as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.version, status, _ = first.split(" ", 2)
        self.status = int(status)
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        self.body = body

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"

    @property
    def problem(self) -> str:
        return str(json.loads(self.body)["type"]).rpartition("/")[2]


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes | str) -> None:
        for part in parts:
            self.writer.write(part.encode() if isinstance(part, str) else part)
            await self.writer.drain()

    async def answer(self, *, bodiless: bool = False) -> Answer:
        head = await self.reader.readuntil(b"\r\n\r\n")
        answer = Answer(head, b"")
        if not bodiless:
            answer.body = await self.reader.readexactly(int(answer.headers.get("content-length", 0)))
        return answer

    async def ask(self, *parts: bytes | str) -> Answer:
        await self.send(*parts)
        return await self.answer()

    async def ended(self) -> bool:
        """Has the server closed, with nothing more to say?"""
        return b"" == await self.reader.read(1)


class Scene:
    def __init__(self) -> None:
        self.listener = Listener()
        self.server = CallbackServer(CallbackApi(KEYS, self.listener, self.listener, time.time))
        self.port = int(self.server.url.removesuffix(PREFIX).rpartition(":")[2])
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return Client(reader, writer)

    async def end(self) -> None:
        await self.server.close()
        for writer in self._writers:
            writer.close()


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs ``test(scene, …)`` under asyncio's own loop and under uvloop, and holds it to leaving nothing behind."""

    async def play(**arguments: Any) -> None:
        scene = Scene()
        await scene.server.serve()
        try:
            async with asyncio.timeout(20):
                await test(scene, **arguments)
        finally:
            await scene.end()
        await asyncio.sleep(0.01)
        assert {asyncio.current_task()} == asyncio.all_tasks()

    @functools.wraps(test)
    def run(new_loop: Callable[[], asyncio.AbstractEventLoop], **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(play(**arguments))
        gc.collect()  # whatever was not closed says so now

    parameters = list(inspect.signature(test).parameters.values())[1:]
    new_loop = inspect.Parameter("new_loop", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([new_loop, *parameters])  # type: ignore[attr-defined]
    loops = [asyncio.new_event_loop, uvloop.new_event_loop]
    both: Callable[..., None] = pytest.mark.parametrize("new_loop", loops, ids=["asyncio", "uvloop"])(run)
    return both


def put_state(body: bytes, *more: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in more)
    head = f"PUT {PREFIX}/session/state HTTP/1.1\r\n{HEAD}{lines}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@on_both_loops
async def test_one_connection_serves_many_calls(scene: Scene) -> None:
    client = await scene.connect()
    answers = [await client.ask(BEAT) for _ in range(3)]
    assert [(200, False, "HTTP/1.1")] * 3 == [(one.status, one.closes, one.version) for one in answers]
    assert ["kubedaemon"] * 3 == [one.headers["server"] for one in answers]


@on_both_loops
async def test_a_call_may_come_in_pieces(scene: Scene) -> None:
    client = await scene.connect()
    request = put_state(b"hello")
    await client.send(*[request[at : at + 1] for at in range(len(request))])
    assert (204, b"hello") == ((await client.answer(bodiless=True)).status, scene.listener.state.body)


@on_both_loops
async def test_a_body_may_come_in_chunks(scene: Scene) -> None:
    client = await scene.connect()
    head = f"POST {PREFIX}/message/complete HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n"
    assert 200 == (await client.ask(head, b"3\r\nabc\r\n", b"2;x=y\r\nde\r\n", b"0\r\n\r\n")).status
    assert [Complete(None, b"abcde")] == scene.listener.heard
    assert 200 == (await client.ask(BEAT)).status


@on_both_loops
async def test_a_large_body_arrives_byte_for_byte(scene: Scene) -> None:
    client = await scene.connect()
    body = bytes(range(256)) * 4096
    await client.send(put_state(body))
    await client.answer(bodiless=True)
    await client.send(f"GET {PREFIX}/session/state HTTP/1.1\r\n{HEAD}\r\n")
    assert body == (await client.answer()).body


@on_both_loops
async def test_who_expects_it_is_told_to_go_on_once_the_body_is_wanted(scene: Scene) -> None:
    client = await scene.connect()
    head = put_state(b"x" * 10, "Expect: 100-continue").removesuffix(b"x" * 10)
    await client.send(head)
    assert 100 == (await client.answer(bodiless=True)).status
    await client.send(b"y" * 10)
    assert 204 == (await client.answer(bodiless=True)).status
    await client.send(head.replace(TOKEN.encode(), b"wrong"))
    refused = await client.answer()
    assert (401, True) == (refused.status, refused.closes)


@pytest.mark.parametrize("framing", ["Content-Length: 1048577", "Transfer-Encoding: chunked"])
@on_both_loops
async def test_a_body_that_is_too_long_is_refused_and_the_refusal_arrives(scene: Scene, framing: str) -> None:
    client = await scene.connect()
    await client.send(f"PUT {PREFIX}/session/state HTTP/1.1\r\n{HEAD}{framing}\r\n\r\n")
    if "chunked" in framing:
        for _ in range(17):
            await client.send(b"10000\r\n" + bytes(65536) + b"\r\n")
    else:
        await client.send(bytes(65536) * 10)
    answer = await client.answer()
    assert (413, "payload-too-large", True) == (answer.status, answer.problem, answer.closes)
    assert await client.ended()
    assert [] == scene.listener.heard


@on_both_loops
async def test_the_rest_of_a_refused_body_may_end_in_order(scene: Scene) -> None:
    client = await scene.connect()
    await client.send(put_state(bytes(500_000)).replace(TOKEN.encode(), b"wrong"))
    answer = await client.answer()
    assert (401, "unauthorized") == (answer.status, answer.problem)
    assert await client.ended()


@pytest.mark.parametrize(
    ("request_line", "status", "problem"),
    [
        ("GET /", 404, "unknown-route"),
        (f"GET {PREFIX}", 404, "unknown-route"),
        (f"PUT {PREFIX}/message/progres", 404, "unknown-route"),
        (f"POST {PREFIX}/queues//messages", 404, "unknown-route"),
        (f"GET {PREFIX}/message/progress", 405, "method-not-allowed"),
        (f"DELETE {PREFIX}/queues/orders/messages", 405, "method-not-allowed"),
        (f"GET {PREFIX}/token", 405, "method-not-allowed"),
        (f"PUT {PREFIX}/message/progress?x=1", 400, "malformed-request"),
        (f"POST {PREFIX}/message/fail?outcome=retry&outcome=retry", 400, "malformed-request"),
    ],
)
@on_both_loops
async def test_what_is_not_served_is_a_problem(scene: Scene, request_line: str, status: int, problem: str) -> None:
    client = await scene.connect()
    answer = await client.ask(f"{request_line} HTTP/1.1\r\n{HEAD}\r\n")
    assert (status, problem, False) == (answer.status, answer.problem, answer.closes)
    assert (status == 405) == ("allow" in answer.headers)
    assert 200 == (await client.ask(BEAT)).status, "the connection is as good as before"


@on_both_loops
async def test_an_absolute_url_and_escapes_are_understood(scene: Scene) -> None:
    client = await scene.connect()
    line = f"PUT http://127.0.0.1{PREFIX}/m%65ssage/progress HTTP/1.1\r\n{HEAD}Content-Length: 0\r\n\r\n"
    assert 200 == (await client.ask(line)).status


@on_both_loops
async def test_an_answer_to_head_has_no_body(scene: Scene) -> None:
    client = await scene.connect()
    await client.send(f"HEAD {PREFIX}/session/state HTTP/1.1\r\n{HEAD}\r\n")
    answer = await client.answer(bodiless=True)
    assert (405, True) == (answer.status, int(answer.headers["content-length"]) > 0)
    assert 200 == (await client.ask(BEAT)).status


@pytest.mark.parametrize(
    "request_line", [BEAT.replace(b"HTTP/1.1", b"HTTP/1.0"), BEAT.replace(b"Host: x", b"Connection: close")]
)
@on_both_loops
async def test_who_wants_one_answer_gets_one(scene: Scene, request_line: bytes) -> None:
    client = await scene.connect()
    answer = await client.ask(request_line)
    assert (200, True) == (answer.status, answer.closes)
    assert await client.ended()


@on_both_loops
async def test_who_has_hung_up_on_one_side_is_answered(scene: Scene) -> None:
    client = await scene.connect()
    client.writer.write(BEAT)
    client.writer.write_eof()
    assert 200 == (await client.answer()).status
    assert await client.ended()


@on_both_loops
async def test_who_hangs_up_in_the_middle_of_a_call_has_said_nothing(scene: Scene) -> None:
    client = await scene.connect()
    client.writer.write(put_state(b"hello")[:-2])
    client.writer.write_eof()
    assert await client.ended()
    assert [] == scene.listener.heard


@pytest.mark.parametrize("offers", ["", "\r\nConnection: Upgrade\r\nUpgrade: h2c"])
@on_both_loops
async def test_what_is_sent_ahead_ends_the_connection_after_the_answer(scene: Scene, offers: str) -> None:
    client = await scene.connect()
    answer = await client.ask(BEAT.replace(b"Host: x", b"Host: x" + offers.encode()) + BEAT)
    assert (200, True) == (answer.status, answer.closes)
    assert await client.ended()
    assert 1 == len(scene.listener.heard)


@on_both_loops
async def test_an_upgrade_that_is_offered_is_not_taken(scene: Scene) -> None:
    """Java's client offers HTTP/2 with its first call."""
    client = await scene.connect()
    upgrade = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")
    request = put_state(b"hello", *upgrade)
    for cut in (len(request), len(request) - 3, len(request) - 5, 20):
        scene.listener.state = SessionState(b"", "")
        await client.send(request[:cut])
        await asyncio.sleep(0.01)
        await client.send(request[cut:])
        assert (204, b"hello") == ((await client.answer(bodiless=True)).status, scene.listener.state.body)
    lines = "\r\n".join(upgrade)
    answer = await client.ask(f"GET {PREFIX}/session/state HTTP/1.1\r\n{HEAD}{lines}\r\n\r\n")
    assert (200, b"hello") == (answer.status, answer.body)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES,
        b"GET /" + b"x" * HEAD_BYTES,
    ],
    ids=["ssh", "tls", "header", "length", "long header", "long path"],
)
@on_both_loops
async def test_what_is_no_http_is_said_to_be_none(scene: Scene, data: bytes) -> None:
    client = await scene.connect()
    answer = await client.ask(data)
    assert (400, "malformed-request", True) == (answer.status, answer.problem, answer.closes)
    assert await client.ended()


@on_both_loops
async def test_a_body_whose_chunks_are_none_is_refused(scene: Scene) -> None:
    client = await scene.connect()
    head = f"PUT {PREFIX}/session/state HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n"
    answer = await client.ask(head, b"zz\r\n")
    assert (400, "malformed-request", True) == (answer.status, answer.problem, answer.closes)
    assert [] == scene.listener.heard


@on_both_loops
async def test_what_cannot_be_said_now_is_unavailable(scene: Scene) -> None:
    scene.listener.error = TransientError("This replica stops")
    answer = await (await scene.connect()).ask(BEAT)
    assert (503, "unavailable", "1") == (answer.status, answer.problem, answer.headers["retry-after"])


@on_both_loops
async def test_a_defect_is_told_as_one_and_not_in_its_words(scene: Scene) -> None:
    client = await scene.connect()
    answer = await client.ask(f"POST {PREFIX}/queues/q/messages HTTP/1.1\r\n{HEAD}Content-Length: 0\r\n\r\n")
    assert (500, "internal", False) == (answer.status, answer.problem, b"defect" in answer.body)
    assert 200 == (await client.ask(BEAT)).status


@on_both_loops
async def test_a_client_that_goes_away_leaves_nothing_behind(scene: Scene) -> None:
    scene.listener.gate.clear()
    client = await scene.connect()
    await client.send(BEAT)
    while not scene.listener.heard:
        await asyncio.sleep(0)
    client.writer.transport.abort()
    await asyncio.sleep(0.01)
    scene.listener.gate.set()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)


@on_both_loops
async def test_closing_ends_calls_that_are_at_work(scene: Scene) -> None:
    scene.listener.gate.clear()
    client = await scene.connect()
    await client.send(BEAT)
    while not scene.listener.heard:
        await asyncio.sleep(0)
    await scene.server.close()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.answer()
    with pytest.raises(ConnectionError):
        await scene.connect()


@on_both_loops
async def test_one_that_never_served_can_be_closed(scene: Scene) -> None:
    server = CallbackServer(CallbackApi(KEYS, scene.listener, scene.listener, time.time))
    await server.close()
    await server.close()
