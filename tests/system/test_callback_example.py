"""The example that finishes later, as a real process: under a sidecar, and under ``kubedaemon dev``."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from contracts.records import Progress, Record, State
from tests.examples_all.program import EXAMPLES, Program, running
from tests.system.sidecar_scene import Scene, scene

HANDLER = str(EXAMPLES / "later" / "handler.py")


@asynccontextmanager
async def printing(milliseconds: int) -> AsyncIterator[tuple[Scene, Program]]:
    """A queue with a sidecar and the example beside it."""
    with running([sys.executable, HANDLER], {"LATER_MS": str(milliseconds)}) as program:
        async with scene() as stage:
            await stage.store.put(stage.workqueue())
            stage.start(None).attach("127.0.0.1", program.port)
            yield stage, program


def result(record: Record) -> object:
    assert record.ending is not None
    assert State.SUCCEEDED is record.ending.state, record.ending.reason
    return json.loads(record.ending.body)


async def test_a_report_is_printed_in_the_background() -> None:
    async with printing(1) as (stage, _):
        await stage.send("r1", session="anna", body=b'{"pages": 3}')
        record = await stage.ended("r1")
        assert {"printed": 3, "reports": 1, "pages": 3} == result(record)
        assert ["ack"] == [attempt.outcome for attempt in record.attempts]


async def test_each_session_has_its_own_count() -> None:
    async with printing(1) as (stage, _):
        await stage.send("r1", "r2", session="anna", body=b'{"pages": 3}')
        await stage.send("r3", session="ben", body=b'{"pages": 2}')
        assert {"printed": 3, "reports": 2, "pages": 6} == result(await stage.ended("r2"))
        assert {"printed": 2, "reports": 1, "pages": 2} == result(await stage.ended("r3"))


async def test_it_says_how_far_it_is() -> None:
    async with printing(50) as (stage, _):
        await stage.send("r1", session="anna", body=b'{"pages": 100}')
        record = await stage.known("r1", lambda record: record.progress is not None)
        assert isinstance(record.progress, Progress)
        assert record.progress.note.endswith("of 100")
        assert (State.RUNNING, "accepted") == (record.state, record.attempts[-1].outcome)


async def test_one_that_is_killed_is_replaced_by_another_that_begins_anew() -> None:
    async with printing(1) as (stage, first):
        await stage.send("r1", session="anna", body=b'{"pages": 3}')
        await stage.ended("r1")
        await stage.send("r2", session="anna", body=b'{"pages": 1000}')
        await stage.known("r2", lambda record: record.progress is not None)
        first.process.kill()
        sidecar = stage.sidecars[0]
        sidecar.detach("the handler was killed")
        with running([sys.executable, HANDLER], {"LATER_MS": "0"}) as second:
            sidecar.attach("127.0.0.1", second.port)
            record = await stage.ended("r2")
            assert {"printed": 1000, "reports": 2, "pages": 1003} == result(record)
            assert ["interrupted", "ack"] == [attempt.outcome for attempt in record.attempts]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"pages": 0}', b'{"pages": "3"}', b"\xff"])
async def test_what_is_no_order_is_refused_for_good(body: bytes) -> None:
    async with printing(1) as (stage, _):
        await stage.send("r1", session="anna", body=body)
        assert State.DEAD is (await stage.ended("r1")).state


async def test_without_a_session_it_has_nowhere_to_count() -> None:
    async with printing(1) as (stage, _):
        await stage.send("r1", body=b'{"pages": 1}')
        (letter,) = await stage.dead()
        assert "expected a session" in letter.reason


def test_it_ends_when_it_is_told_to() -> None:
    with running([sys.executable, HANDLER]) as program:
        assert 404 == program.ask(b"", path="/nowhere").status
        assert 0 == program.terminate()
