"""``kubedaemon dev`` is told to stop: in order, or at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kubedaemon.dev.replicas import KILL_AFTER_SECONDS
from tests.system.dev_scene import HANDLER, Stage, staged

DEAF = f"sh -c 'trap \"\" TERM; exec {HANDLER}'"
"""A handler that ends by force alone."""
AT_ONCE_SECONDS = KILL_AFTER_SECONDS * 0.8
"""Less than a handler gets that was asked to end."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_what_runs_ends_and_nothing_is_left(stage: Stage, how: str) -> None:
    ours, theirs = os.openpty()
    words = ("-f", stage.manifest(), "--exec", HANDLER)
    with stage.dev(*words, terminal=os.ttyname(theirs)) as dev, ThreadPoolExecutor(1) as pool:
        script = "leave_behind(); note('called'); wait_for('go'); answer = 'done'"
        running = pool.submit(dev.handle, script, Kubedaemon_Session="me")
        stage.noted("called")
        dev.send("note('called')", Kubedaemon_Session="me")
        if how == "Ctrl-C":
            os.write(ours, b"\x03")
        else:
            dev.signal(signal.SIGTERM)
        dev.says("stopping: what runs may end; press Ctrl-C again to stop at once")
        stage.touch("go")
        assert "done" == running.result()
        assert (0, set()) == (dev.wait(), stage.alive())
        assert dev.said.endswith("\nstopped\n")
        assert 1 == len(stage.journal("called")), "what had not started is not started any more"
        assert [] == list(stage.records.iterdir())
    os.close(ours)
    os.close(theirs)


def test_a_second_time_it_stops_at_once(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest(), "--exec", DEAF) as dev:
        dev.send("leave_behind(); note('called'); wait_for('never')")
        stage.noted("called")
        dev.signal(signal.SIGINT)
        dev.says("stopping: ")
        dev.signal(signal.SIGINT)
        assert (130, set()) == (dev.process.wait(AT_ONCE_SECONDS), stage.alive())
        assert dev.said.endswith("\nstopping at once\n")


def test_a_guard_that_stands_still_does_not_hold_it_up(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest(), "--exec", HANDLER) as dev:
        dev.handle("leave_behind()")
        (start,) = stage.journal("start")
        os.kill(start["parent"], signal.SIGSTOP)
        dev.signal(signal.SIGINT)
        dev.says("stopping: ")
        dev.signal(signal.SIGINT)
        assert (130, set()) == (dev.wait(), stage.alive())
