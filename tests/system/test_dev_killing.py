"""``kill -9``, of ``kubedaemon dev``, of a guard and of a handler."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.dev_scene import HANDLER, Stage, staged, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends all that came of a process")

RUNS = """
attempt = int(headers["Kubedaemon-Attempt"])
note("called", key=headers["Idempotency-Key"], attempt=attempt)
if attempt < 3:
    leave_behind()
    wait_for("never")
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


def test_of_dev_leaves_no_orphan(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest(partitions=2), "--exec", HANDLER) as dev:
        for number in range(4):
            dev.send(RUNS, Kubedaemon_Session=f"s{number}")
        stage.noted("left behind", 4)
        dev.signal(signal.SIGKILL)
        assert -signal.SIGKILL == dev.wait()
        until(lambda: not stage.alive())


def test_of_a_handler_and_of_a_guard_is_survived(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest(), "--exec", HANDLER) as dev:
        sent = dev.send(RUNS, Kubedaemon_Session="me")
        behind = [dev.send("note('behind')", Kubedaemon_Session="me") for _ in range(3)]
        for life, victim in ((1, "pid"), (2, "parent")):
            stage.noted("left behind", life)
            before = dev.handlers()
            start = stage.journal("start")[-1]
            assert {start["pid"], start["parent"]} < before
            os.kill(start[victim], signal.SIGKILL)
            stage.noted("called", life + 1)
            assert set() == before & dev.handlers(), "what it left behind has ended too"
        attempts = [attempt["outcome"] for attempt in dev.ended(sent)["attempts"]]
        assert ["interrupted", "interrupted", "ack"] == attempts
        called = stage.journal("called")
        assert ([1, 2, 3], 1) == ([call["attempt"] for call in called], len({call["key"] for call in called}))
        assert [1, 1, 1] == [dev.ended(one)["attempt"] for one in behind]
        assert 2 == dev.said.count("the handler was killed by SIGKILL; starting it again in")
