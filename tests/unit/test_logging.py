"""The log as people and programs read it, written by a process of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest

PROGRAM = """
import asyncio, logging, sys
import structlog
from backends.process.logging import set_up_logging

set_up_logging(sys.argv[1])
log = structlog.get_logger("sidecar").bind(queue="orders")


def fail(password):
    raise ValueError("no such account")


async def forget():
    async def task():
        fail("hunter2")
    asyncio.create_task(task())
    await asyncio.sleep(0)


log.debug("of no interest")
log.info("a replica joined", replica="orders-1", attempt=3)
log.warning("two\\nlines", thing={1})
try:
    fail("hunter2")
except ValueError:
    log.exception("it broke")
    logging.getLogger("aiohttp.server").exception("Error handling %s", "a request")
logging.getLogger("library").warning("as old as %d", 7)
logging.getLogger("library").info("of no interest")
asyncio.run(forget())
"""

Lines = dict[str, dict[str, Any]]


@cache
def written(form: str) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True)
    assert "" == done.stdout
    return done.stderr


def written_to_terminal(**environment: str) -> str:
    """What people get, where standard error is a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **environment}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, "console"], stderr=theirs, env=environment) as process:
        os.close(theirs)
        text = b""
        try:
            while chunk := os.read(ours, 1 << 16):
                text += chunk
        except OSError:
            pass  # this is how a terminal says that nobody holds its other side any more
        os.close(ours)
    assert 0 == process.returncode
    return text.decode()


class TestJson:
    @pytest.fixture
    def lines(self) -> Lines:
        """The lines by their event."""
        found = [json.loads(line) for line in written("json").splitlines() if line.startswith("{")]
        return {line["event"].partition("\nfuture:")[0]: line for line in found}

    def test_every_line_is_an_object(self) -> None:
        assert [] == [line for line in written("json").splitlines() if not line.startswith("{")]

    def test_every_line_says_when_how_bad_who_and_what(self, lines: Lines) -> None:
        expected = {
            "a replica joined": ("info", "sidecar"),
            "two\nlines": ("warning", "sidecar"),
            "it broke": ("error", "sidecar"),
            "Error handling a request": ("error", "aiohttp.server"),
            "as old as 7": ("warning", "library"),
            "Task exception was never retrieved": ("error", "asyncio"),
        }
        assert expected == {event: (line["level"], line.get("logger")) for event, line in lines.items()}

    def test_times_are_in_utc(self, lines: Lines) -> None:
        for line in lines.values():
            assert timedelta(0) == datetime.fromisoformat(line["timestamp"]).utcoffset()

    def test_what_is_bound_and_what_is_given_are_values_of_their_own(self, lines: Lines) -> None:
        line = lines["a replica joined"]
        assert ("orders", "orders-1", 3) == (line["queue"], line["replica"], line["attempt"])

    def test_what_json_does_not_have_is_shown_all_the_same(self, lines: Lines) -> None:
        assert "{1}" == lines["two\nlines"]["thing"]

    def test_an_exception_is_part_of_its_line_whoever_logs_it(self, lines: Lines) -> None:
        for event in ("it broke", "Error handling a request"):
            assert lines[event]["exception"].startswith("Traceback (most recent call last):\n")
            assert lines[event]["exception"].endswith("ValueError: no such account")


class TestConsole:
    @pytest.fixture
    def text(self) -> str:
        return written("console")

    def test_an_event_is_a_line_with_time_level_and_values(self, text: str) -> None:
        line = r"^\d\d:\d\d:\d\d \[info *\] a replica joined .*queue=orders replica=orders-1 attempt=3$"
        assert re.search(line, text, re.MULTILINE)
        assert "of no interest" not in text

    def test_it_says_which_component_speaks(self, text: str) -> None:
        assert re.search(r"it broke +\[sidecar\]", text)

    def test_what_libraries_log_looks_the_same(self, text: str) -> None:
        assert re.search(r"^\d\d:\d\d:\d\d \[warning *\] as old as 7\b", text, re.MULTILINE)
        assert re.search(r"^\d\d:\d\d:\d\d \[error *\] Task exception was never retrieved", text, re.MULTILINE)

    def test_an_exception_is_told_without_the_values_of_variables(self, text: str) -> None:
        """They would be payloads, and whatever else is nobody's business."""
        assert 3 == text.count("\nValueError: no such account\n")
        assert "hunter2" not in re.sub(r'fail\("hunter2"\)', "", text)

    def test_it_has_no_colour_where_nobody_looks(self, text: str) -> None:
        assert "\x1b" not in text

    def test_it_has_colour_on_a_terminal(self) -> None:
        assert "\x1b[" in written_to_terminal()

    def test_it_has_no_colour_where_that_is_asked_for(self) -> None:
        assert "\x1b" not in written_to_terminal(NO_COLOR="1")
