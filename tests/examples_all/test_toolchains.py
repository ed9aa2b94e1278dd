"""The handlers in other languages do what the one in Python does."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples_all.program import EXAMPLES, Program, ask, running, wait_until

pytestmark = pytest.mark.toolchains


def node(_: Path) -> list[str]:
    """The command that starts the handler in Node.js."""
    return [tool("node"), str(EXAMPLES / "node" / "handler.js")]


def go(directory: Path) -> list[str]:
    """The command that starts the handler in Go, built for the occasion."""
    binary = str(directory / "words")
    subprocess.run([tool("go"), "build", "-o", binary, "."], cwd=EXAMPLES / "go", check=True)
    return [binary]


def java(directory: Path) -> list[str]:
    """The command that starts the handler in Java, compiled for the occasion."""
    subprocess.run([tool("javac"), "-d", str(directory), str(EXAMPLES / "java" / "Handler.java")], check=True)
    return [tool("java"), "-cp", str(directory), "Handler"]


def rust(directory: Path) -> list[str]:
    """The command that starts the handler in Rust, built for the occasion."""
    binary = str(directory / "words")
    source = str(EXAMPLES / "rust" / "handler.rs")
    subprocess.run([tool("rustc"), "-O", "--edition", "2021", "-D", "warnings", "-o", binary, source], check=True)
    return [binary]


def tool(name: str) -> str:
    """Where a toolchain is; without it these tests fail, they are never skipped."""
    found = shutil.which(name)
    assert found, f"{name} is not on the PATH, and these tests need it"
    return found


@pytest.fixture(scope="module", params=[node, go, java, rust])
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    built: list[str] = request.param(tmp_path_factory.mktemp("built"))
    return built


@pytest.fixture
def program(command: list[str]) -> Iterator[Program]:
    with running(command) as started:
        yield started


def test_it_counts_words_and_reads_the_headers(program: Program) -> None:
    headers = {"Kubedaemon-Session": "zo%C3%AB%25", "Kubedaemon-Attempt": "3"}
    answer = program.ask("to be, ça va".encode(), headers)
    expected = {"words": 4, "bytes": 13, "session": "zoë%", "attempt": 3}
    assert (200, "application/json", expected) == (answer.status, answer.content_type, json.loads(answer.body))


def test_what_is_not_text_is_refused_for_good(program: Program) -> None:
    assert program.ask(b"\xff\xfe").status == 422


def test_other_paths_are_not_found(program: Program) -> None:
    assert program.ask(b"{}", path="/init").status == 404


def test_a_connection_is_used_again(program: Program) -> None:
    with program.connected() as connection:
        assert [200] * 20 == [ask(connection, b"a b").status for _ in range(20)]


def test_it_stops_at_sigterm_although_connections_are_open(program: Program) -> None:
    with program.connected() as used, program.connected():
        assert ask(used, b"a b").status == 200
        assert program.terminate() == 0


def test_a_call_that_has_begun_is_answered_after_sigterm(program: Program) -> None:
    with program.connected() as connection:
        connection.putrequest("POST", "/message")
        connection.putheader("Content-Length", "3")
        connection.endheaders(b"a ")
        assert program.ask(b"the program has surely read what came before").status == 200
        program.process.terminate()
        wait_until(lambda: not program.accepts(), "it still listens")
        connection.send(b"b")
        assert connection.getresponse().status == 200
    assert program.process.wait(10) == 0
