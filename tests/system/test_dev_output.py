"""What handlers print, among what ``kubedaemon dev`` says itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kubedaemon.dev.writing import MOST_BYTES, Writer
from tests.system.dev_scene import HANDLER, PATIENCE_SECONDS, Stage, staged, until

FLOOD = """
import sys
for number in range(20_000):
    print("line", number)
sys.stdout.buffer.write(b"\\xff\\xfe\\n" + b"x" * 1_000_000)
sys.stdout.flush()
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


def test_each_line_is_behind_the_name_of_its_replica(stage: Stage) -> None:
    script = "import os; print('I am', os.getpid(), flush=True); note('called'); wait_for('go')"
    queue = stage.manifest(partitions=2, sessions={"concurrencyPerReplica": 1})
    with stage.dev("-f", queue, "--exec", HANDLER) as dev:
        sent = [dev.send(script, Kubedaemon_Session=f"s{number}") for number in range(8)]
        until(lambda: {entry["pid"] for entry in stage.journal("called")}, lambda found: len(found) == 2)
        stage.touch("go")
        ended = [dev.ended(one) for one in sent]
        replica_of = {entry["pid"]: set[str]() for entry in stage.journal("start")}
        for replica, pid in re.findall(r"^(.*) \| I am (\d+)$", dev.said, re.MULTILINE):
            replica_of[int(pid)].add(replica)
        assert [{"work-1"}, {"work-2"}] == sorted(replica_of.values(), key=sorted)
        assert {"work-1", "work-2"} == {message["attempts"][0]["replica"] for message in ended}


def test_a_flood_of_output_holds_nothing_up_and_nothing_of_it_is_lost(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest(), "--exec", HANDLER) as dev, ThreadPoolExecutor(4) as pool:
        flood = dev.send(FLOOD, Kubedaemon_Session="flood")
        answers = pool.map(lambda number: dev.handle(f"answer = {number}"), range(50))
        assert [str(number) for number in range(50)] == list(answers)
        assert 1 == dev.ended(flood)["attempt"]
        dev.process.terminate()
        assert 0 == dev.wait()
        lines = [line.removeprefix("work-1 | ") for line in dev.said.splitlines() if line.startswith("work-1 | ")]
        assert [f"line {number}" for number in range(20_000)] == [line for line in lines if line.startswith("line")]
        assert ["\ufffd\ufffd"] == [line for line in lines if "\ufffd" in line]
        assert 1_000_000 == sum(len(line) for line in lines if set(line) == {"x"})


def test_output_that_nobody_reads_holds_nothing_up(stage: Stage) -> None:
    read, write = os.pipe()
    with stage.dev("-f", stage.manifest(), "--exec", HANDLER, stdout=write) as dev, os.fdopen(read, "rb") as pipe:
        os.close(write)
        dev.out.write_bytes(pipe.readline())
        size = MOST_BYTES + 1_000_000
        script = f"print(('x' * 99 + chr(10)) * {size // 100}, end='', flush=True); answer = 'done'"
        assert ["done", "still there"] == [dev.handle(script), dev.handle("answer = 'still there'")]
        dev.process.terminate()
        rest = pipe.read().decode()
        assert 0 == dev.wait()
        assert MOST_BYTES > rest.count("x") > MOST_BYTES * 0.8
        lost = re.findall(r"^-- output was left out here that nobody read, (\d+) lines$", rest, re.MULTILINE)
        assert size // 100 == sum(map(int, lost)) + rest.count("x" * 99)
        assert rest.endswith("stopped\n")


def test_a_reader_that_goes_away_is_no_reason_to_stop() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        writer = Writer(stream)
        writer.put("one")
        with os.fdopen(read, "rb") as pipe:
            assert b"one\n" == pipe.readline()
        writer.put("two")
        writer.close(PATIENCE_SECONDS)
        writer.put("three")


def test_a_terminal_that_somebody_made_impatient_is_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb") as pipe:
        writer = Writer(stream)
        for _ in range(3000):
            writer.put("x" * 99)
        assert 300_000 == len(pipe.read(300_000))
        writer.close(PATIENCE_SECONDS)


def test_what_an_encoding_does_not_have_is_escaped(tmp_path: Path) -> None:
    with (tmp_path / "said").open("w", encoding="ascii") as stream:
        writer = Writer(stream)
        writer.put("caf\u00e9 \udcff")
        writer.close(PATIENCE_SECONDS)
    assert "caf\\xe9 \\udcff\n" == (tmp_path / "said").read_text()
