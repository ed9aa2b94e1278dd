"""The scene of the command line's tests: a scripted server with the API's shapes, and one way to run a command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from click.testing import CliRunner, Result

from contracts.problems import MEDIA_TYPE, Problem
from kubedaemon.cli.main import main

BASE = "/v1/namespaces/default/queues"
ID = "01a20a4873d95b3978b3dda0eaa0e4e7"


@dataclass(frozen=True)
class Reply:
    """What the server answers, once."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What it was asked. ``path`` is as it came over the wire, with the query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def says(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


def refuses(problem: Problem, detail: str, headers: dict[str, str] | None = None, **extra: Any) -> Reply:
    body = json.dumps(problem.body(detail, **extra)).encode()
    return Reply(problem.status, body, {"Content-Type": MEDIA_TYPE, **(headers or {})})


def queue(name: str = "words", *, paused: bool = False, **status: Any) -> dict[str, Any]:
    numbers = {
        "ready": 1200,
        "unacked": 12,
        "in_flight": 8,
        "scheduled": 0,
        "dead": 3,
        "sessions": 12,
        "oldest_age_seconds": 4.2,
        "rates": {"arrivals_per_second": 310.25, "settled_per_second": 295.5},
        "replicas": {"observed": 2, "desired": 4},
        "paused": paused,
        "reason": "1204 waiting at 20 ms each",
    }
    spec = {
        "partitions": 8,
        "sessions": {"maxConcurrent": 64, "concurrencyPerReplica": 8},
        "delivery": {"maxAttempts": 5, "timeoutSeconds": 60, "onDead": "continue"},
        "limits": {"maxLength": 0, "maxMessageBytes": 1048576, "ratePerSecond": 0},
        "results": {"retentionSeconds": 3600},
        "scaling": {"minReplicas": 0, "maxReplicas": 8},
        "paused": paused,
    }
    return {"name": name, "namespace": "default", "spec": spec, "status": numbers | status}


def message(message_id: str = ID, state: str = "succeeded", **more: Any) -> dict[str, Any]:
    attempt = {
        "attempt": 1,
        "replica": "words-1",
        "started_at": "2026-01-02T03:04:05.000Z",
        "ended_at": "2026-01-02T03:04:05.250Z",
        "status": 200,
        "outcome": "ack",
        "body": "A B",
    }
    return {
        "id": message_id,
        "namespace": "default",
        "queue": "words",
        "session": "me",
        "state": state,
        "attempt": 1,
        "attempts": [attempt],
        "enqueued_at": "2026-01-02T03:04:05.000Z",
        "deliver_at": None,
        "ended_at": "2026-01-02T03:04:06.500Z",
        "progress": None,
        "meta": {"source": "shop"},
        "result": {"content_type": "text/plain", "size": 3},
    } | more


def page(*entries: Any, following: str | None = None) -> Reply:
    return says({"items": list(entries), "next": following})


class Server:
    """Answers by script: the replies to a method and path one after another, the last one again and again."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self._script: dict[tuple[str, str], list[Reply]] = {}

    def on(self, method: str, path: str, *replies: Reply) -> None:
        """``path`` is below the queues of the namespace ``default``, or whole where it begins with /v1."""
        self._script[method, path if path.startswith("/v1") else BASE + path] = list(replies)

    async def answer(self, request: web.Request) -> web.Response:
        seen = Seen(request.method, request.raw_path, dict(request.headers), await request.read())
        self.seen.append(seen)
        replies = self._script.get((seen.method, seen.path.partition("?")[0]))
        if not replies:
            return _response(refuses(Problem.UNKNOWN_ROUTE, f"not in the script: {seen.method} {seen.path}"))
        return _response(replies.pop(0) if len(replies) > 1 else replies[0])


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """The server in a thread of its own, as a command runs a loop of its own."""
    server, loop, started = Server(), asyncio.new_event_loop(), threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{anything:.*}", server.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def run(*words: str, url: str = "", data: bytes | None = None, **environment: str | None) -> Result:
    """One command, with nothing from this machine's environment."""
    clean: dict[str, str | None] = {
        "KUBEDAEMON_URL": url or None,
        "KUBEDAEMON_TOKEN": None,
        "KUBEDAEMON_TOKEN_FILE": None,
        "KUBEDAEMON_TRACEBACK": None,
        "COLUMNS": None,
        "FORCE_COLOR": None,
    }
    return CliRunner().invoke(main, list(words), input=data, env=clean | environment)


def nobody() -> str:
    """An address at which nothing answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
