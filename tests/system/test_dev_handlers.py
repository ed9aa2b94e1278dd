"""Handlers of ``kubedaemon dev``: what they are given, how many there are, and what happens where they do not work."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from kubedaemon.dev import guards, processes
from kubedaemon.dev.leftovers import Records
from kubedaemon.dev.processes import HandlerProcess
from tests.system.dev_scene import HANDLER, PATIENCE_SECONDS, ROOT, Stage, staged, until


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


def test_what_they_are_given(stage: Stage) -> None:
    environment = stage.environment(MINE="1", PORT="80", KUBEDAEMON_TOKEN="secret", KUBEDAEMON_NAMESPACE="x")
    ours, theirs = os.openpty()
    with stage.dev("-f", stage.manifest(), "--exec", HANDLER, env=environment, stdin=theirs) as dev:
        given = json.loads(dev.handle("answer = json.dumps(dict(os.environ))"))
        assert ("1", stage.token) == (given["MINE"], given["TOKEN"])
        assert [] == [name for name in given if name.startswith("KUBEDAEMON")]
        assert {"80", dev.url.rpartition(":")[2]}.isdisjoint({given["PORT"]})
        os.write(ours, b"typed\n")
        assert str((False, "")) == dev.handle("answer = os.isatty(0), sys.stdin.read()")
        assert str(os.getsid(dev.process.pid)) != dev.handle("answer = os.getsid(0)")
    os.close(ours)
    os.close(theirs)


def test_from_zero_and_back_again_and_again_and_away_with_the_queue(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest(scaling={"idleSeconds": 0.2}), "--exec", HANDLER) as dev:
        dev.says("listens on")
        for life in (1, 2):
            assert set() == dev.handlers()
            assert {"observed": 0, "desired": 0} == dev.status()["replicas"]
            assert f"{life}" == dev.handle(f"note('called'); answer = {life}")
            until(lambda: not dev.handlers() and not dev.status()["replicas"]["observed"])
        assert 2 == len({entry["pid"] for entry in stage.journal("called")})
        assert re.search(r"^work -> 1 replica: .*\nwork -> 0 replicas: .*\nwork -> 1 replica: ", dev.said, re.MULTILINE)
        dev.send("leave_behind(); wait_for('never')")
        stage.noted("left behind")
        assert 204 == dev.call("DELETE", "work?force=true").status
        until(lambda: not dev.handlers())


def test_one_that_ends_is_started_again_ever_later(stage: Stage) -> None:
    dies = "sh -c 'echo started >> $STAGE/starts; exit 3'"
    with stage.dev("-f", stage.manifest(), "--exec", dies) as dev:
        sent = dev.send()
        said = re.compile(r"^work-1 \| -- the handler exited with status 3; starting it again in (.*) s$", re.MULTILINE)
        waits = until(lambda: said.findall(dev.said), lambda found: len(found) >= 3)
        assert ["0.1", "0.2", "0.4"] == waits[:3]
        assert len((stage.directory / "starts").read_text().splitlines()) >= len(waits)
        told = "the handler exited with status 3; starting it again in "
        until(lambda: str(dev.status()["reason"]), lambda reason: told in reason)
        message = dev.message(sent)
        assert ("queued", 0) == (message["state"], message["attempt"])


def test_one_that_cannot_be_run_says_why(stage: Stage) -> None:
    program = stage.directory / "program"
    program.write_bytes(b"\x7fELF, or so it says")
    program.chmod(0o755)
    with stage.dev("-f", stage.manifest(), "--exec", str(program)) as dev:
        dev.send()
        assert f"work-1 | {program}: Exec format error" == dev.says("format error")
        assert "exited with status 127" in dev.says("starting it again")


def test_one_that_never_listens_is_said_so(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest(delivery={"initTimeoutSeconds": 0.2}), "--exec", "sleep 1000") as dev:
        sent = dev.send()
        expected = "the handler is not ready after 0.2 s: /healthz: refused (nothing listens on 127.0.0.1:"
        until(lambda: str(dev.status()["reason"]), lambda reason: expected in reason)
        assert expected in dev.err.read_text()
        assert "queued" == dev.message(sent)["state"]


async def test_one_that_is_stopped_while_it_is_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "adopt_orphans", lambda: None)
    monkeypatch.setattr(processes, "_GUARD_SECONDS", 1000.0)  # that its guard is killed is not what is meant here
    said: list[str] = []
    process = HandlerProcess(
        ["sleep", "1000"],
        name="work-1",
        guards=guards.Guards(Records()),
        on_output=lambda name, line: said.append(line),
        on_up=lambda port: said.append("up"),
        on_down=said.append,
    )
    process.start()
    await asyncio.sleep(0)  # far enough that the guard is being started, and not known yet
    await asyncio.wait_for(process.stop(0.0), PATIENCE_SECONDS)
    assert [] == said


async def test_one_that_this_machine_cannot_start_is_tried_again() -> None:
    class Full(guards.Guards):
        def __init__(self) -> None:
            pass

        async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> guards.Guarded:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    told: asyncio.Queue[str] = asyncio.Queue()
    process = HandlerProcess(
        ["true"],
        name="work-1",
        guards=Full(),
        on_output=lambda name, line: None,
        on_up=lambda port: None,
        on_down=told.put_nowait,
    )
    process.start()
    expected = "could not be started: Resource temporarily unavailable; starting it again in"
    assert [f"{expected} 0.1 s", f"{expected} 0.2 s"] == [await told.get(), await told.get()]
    await process.stop(0.0)


def test_one_at_an_address_is_waited_for_and_not_scaled(stage: Stage) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    queue = stage.manifest(delivery={"initTimeoutSeconds": 0.2}, partitions=4, scaling={"idleSeconds": 0})
    with stage.dev("-f", queue, "--handler", f"http://127.0.0.1:{port}") as dev:
        assert f"handler: http://127.0.0.1:{port}, one replica that is not scaled" == dev.says("handler: ")
        sent = [dev.send("note('called')", Kubedaemon_Session=f"s{number}") for number in range(20)]
        expected = "the handler is not ready after 0.2 s: /healthz: refused"
        status = until(dev.status, lambda status: expected in status["reason"])
        assert (20, 0, 1) == (status["ready"] + status["unacked"], status["in_flight"], status["replicas"]["observed"])
        environment = stage.environment(PORT=str(port))
        with subprocess.Popen(["sh", "-c", f"exec {HANDLER}"], cwd=ROOT, env=environment) as handler:
            assert {1} == {dev.ended(one)["attempt"] for one in sent}
            assert {handler.pid} == {entry["pid"] for entry in stage.journal("called")}
            assert 1 == dev.status()["replicas"]["observed"]
            dev.process.terminate()
            assert 0 == dev.wait()
            assert {handler.pid} == stage.alive(), "it is not ours to end"
            handler.kill()
        assert " -> " not in dev.said
