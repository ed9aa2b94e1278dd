"""The callback API under ``kubedaemon dev``: for its handlers, and through the dispatcher for anybody with a token."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from contracts.problems import BASE
from tests.examples_all.program import EXAMPLES
from tests.system.dev_scene import HANDLER, PATIENCE_SECONDS, Dev, Reply, Stage, staged, until

LATER = shlex.join([sys.executable, str(EXAMPLES / "later" / "handler.py")])
WAITS = 'note("token", token=headers["Kubedaemon-Token"], url=headers["Kubedaemon-Callback-Url"]); wait_for("go")'


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


def call(url: str, token: str, method: str, path: str, body: bytes = b"") -> Reply:
    """A call of the callback API below this URL."""
    host, _, prefix = url.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request(method, f"/{prefix}{path}", body, {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read())


def through(dev: Dev, token: str, method: str, path: str, body: bytes = b"") -> Reply:
    """The same through the dispatcher."""
    return call(f"{dev.url}/v1/callback", token, method, path, body)


def problem(reply: Reply) -> tuple[int, str]:
    return reply.status, str(reply.json["type"]).removeprefix(BASE)


def test_a_handler_that_finishes_later(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest("reports"), "--exec", LATER, env=stage.environment(LATER_MS="1")) as dev:
        for number in (1, 2):
            answer = dev.handle('{"pages": 3}', "reports", Kubedaemon_Session="anna")
            assert {"printed": 3, "reports": number, "pages": 3 * number} == json.loads(answer)


def test_both_ends_of_the_api_speak_for_a_message_at_work(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest(), "-f", stage.manifest("other", paused=True), "--exec", HANDLER) as dev:
        name = dev.send(WAITS, Kubedaemon_Session="s")
        (noted,) = stage.noted("token")
        token, own = noted["token"], noted["url"]
        assert own != f"{dev.url}/v1/callback"
        assert 200 == through(dev, token, "PUT", "/message/progress", b'{"percent": 40}').status
        assert 204 == through(dev, token, "PUT", "/session/state", b"kept").status
        assert b"kept" == call(own, token, "GET", "/session/state").body, "one and the same attempt"
        urls = (own, f"{dev.url}/v1/callback")
        emitted = [call(url, token, "POST", "/queues/other/messages", b"x").json["id"] for url in urls]
        assert 0 == dev.status("other")["ready"]
        assert (404, "unknown-queue") == problem(through(dev, token, "POST", "/queues/nowhere/messages"))
        assert 200 == through(dev, token, "POST", "/message/complete", b"mine").status
        stage.touch("go")
        assert b"mine" == dev.call("GET", f"work/messages/{name}/result?wait=20").body
        until(lambda: dev.status("other")["ready"] + dev.status("other")["unacked"], lambda count: count == 2)
        assert ["queued"] * 2 == [dev.message(one, "other")["state"] for one in emitted]


def test_what_is_over_stays_over_also_when_no_replica_is_left(stage: Stage) -> None:
    spec: dict[str, Any] = {"scaling": {"idleSeconds": 0.1}}
    with stage.dev("-f", stage.manifest(**spec), "--exec", HANDLER) as dev:
        dev.send(WAITS)
        stage.touch("go")
        token = stage.noted("token")[0]["token"]
        until(lambda: dev.status()["replicas"]["observed"], lambda count: count == 0)
        assert 200 == through(dev, token, "POST", "/message/complete", b"again").status
        assert (409, "attempt-over") == problem(through(dev, token, "POST", "/message/fail"))
        assert (409, "attempt-over") == problem(through(dev, token, "PUT", "/message/progress"))
        assert (401, "unauthorized") == problem(through(dev, token + "x", "PUT", "/message/progress"))
