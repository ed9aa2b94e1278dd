"""What ``kubedaemon dev`` says first, and how it refuses to start."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from contracts.errors import ConfigurationError
from contracts.workqueue import WorkQueue
from kubedaemon.cli.main import main
from kubedaemon.dev import runtime
from kubedaemon.dev.console import Console
from kubedaemon.dev.options import DevOptions
from kubedaemon.dev.processes import find_command
from tests.system.dev_scene import KUBEDAEMON, PATIENCE_SECONDS, ROOT, Stage, staged, until

COUNTS_WORDS = shlex.join([sys.executable, str(ROOT / "examples" / "python" / "handler.py")])


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


def paste(line: str) -> str:
    """What a shell prints for the line; where there is no curl, what curl would have been answered."""
    if shutil.which("curl") and shutil.which("bash"):
        return subprocess.check_output(
            ["bash", "-c", line], text=True, stderr=subprocess.DEVNULL, timeout=PATIENCE_SECONDS
        )
    words = shlex.split(line)
    assert ["curl", "-i"] == words[:2]
    url, options = urlsplit(words[2]), list(zip(words[3::2], words[4::2], strict=True))
    headers = dict(value.split(": ") for name, value in options if name == "-H")
    (body,) = (value for name, value in options if name == "-d")
    with contextlib.closing(HTTPConnection(url.netloc, timeout=PATIENCE_SECONDS)) as connection:
        connection.request("POST", url.path, body.encode(), headers)
        response = connection.getresponse()
        return f"HTTP/1.1 {response.status} \n\n{response.read().decode()}"


def test_what_it_says_first_can_be_pasted(stage: Stage) -> None:
    with stage.dev("-f", stage.manifest("words"), "--queue", "mails", "--exec", COUNTS_WORDS) as dev:
        assert "queues: words, mails" in dev.says("listens on")
        assert f"handler: {COUNTS_WORDS}, started on a $PORT of its own when there is work" == dev.says("handler: ")
        answer = paste(dev.says("curl "))
        assert answer.startswith("HTTP/1.1 200 ")
        assert answer.endswith('{"words": 1, "bytes": 5, "session": "me", "attempt": 1}')
        words = shlex.split(dev.says("kubedaemon send"))
        assert "kubedaemon" == words[0]
        sent = subprocess.run([*KUBEDAEMON, *words[1:]], cwd=ROOT, capture_output=True, timeout=PATIENCE_SECONDS)
        assert (0, True) == (sent.returncode, b'"session": "me"' in sent.stdout), sent


def test_without_a_handler_it_says_that_messages_wait(stage: Stage) -> None:
    with stage.dev() as dev:
        assert "messages are accepted and wait; add --exec 'COMMAND' or --handler URL" in dev.says("no handler")
        assert paste(dev.says("curl ")).startswith("HTTP/1.1 202 ")
        status = until(lambda: dev.status("default"), lambda found: "1 waiting" in found["reason"])
        assert (1, 0) == (status["ready"], status["replicas"]["observed"])
        assert " -> " not in dev.said, "nothing is decided where nothing can be started"
        dev.signal(signal.SIGINT)
        assert (0, "") == (dev.wait(), dev.err.read_text())


def test_a_queue_in_another_namespace_is_named_with_it(tmp_path: Path) -> None:
    with (tmp_path / "said").open("w") as stream, contextlib.closing(Console(stream)) as console:
        console.welcome("http://127.0.0.1:8080", [WorkQueue(name="words", namespace="shop")], DevOptions())
    said = (tmp_path / "said").read_text()
    assert "http://127.0.0.1:8080/v1/namespaces/shop/queues/words/messages" in said
    assert "  kubedaemon send words hello --session me --namespace shop\n" in said


def test_what_path_does_not_lead_to_is_named_by_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["my env/bin/kubedaemon", "dev"])
    monkeypatch.setenv("PATH", str(tmp_path))
    with (tmp_path / "said").open("w") as stream, contextlib.closing(Console(stream)) as console:
        console.welcome("http://127.0.0.1:8080", [WorkQueue(name="words")], DevOptions())
    assert "  'my env/bin/kubedaemon' send words hello --session me\n" in (tmp_path / "said").read_text()


def test_a_port_in_use(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expected = (
            f"kubedaemon: port {port} on 127.0.0.1 is in use by another program;"
            " choose another with --port, or stop that program\n"
        )
        assert (2, expected) == stage.refused("--port", str(port))


def refused(*words: str) -> tuple[int, str]:
    """A start that fails before anything runs: the exit status, and what is said on standard error."""
    ended = CliRunner().invoke(main, ["dev", "--port", "0", *words])
    return ended.exit_code, ended.stderr


@pytest.fixture
def unlogged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logging is this whole process's, and stays as it is."""
    monkeypatch.setattr(runtime, "set_up_logging", lambda form: None)


@pytest.mark.usefixtures("unlogged")
def test_a_command_that_does_not_exist() -> None:
    expected = "kubedaemon: the handler command 'no-such-program' was not found on PATH; check its spelling\n"
    assert (2, expected) == refused("--exec", "no-such-program --fast")


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("./none", "'./none' was not found at that path; check its spelling"),
        ("folder", "'folder' is a directory; name a program in it"),
        ("./plain", "'./plain' is not executable; run chmod +x on it, or put its interpreter before it"),
        ("plain", "'plain' is not executable; run chmod +x on it, or put its interpreter before it"),
        ("program", "'program' is here, but not on PATH; write './program'"),
    ],
)
def test_what_is_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("plain").touch(mode=0o644)
    Path("program").touch(mode=0o755)
    find_command(["./program"])
    with pytest.raises(ConfigurationError) as raised:
        find_command([program, "--fast"])
    assert f"the handler command {expected}" == str(raised.value)


@pytest.mark.usefixtures("unlogged")
def test_a_wrong_manifest_is_named_with_line_and_field(tmp_path: Path) -> None:
    manifest = tmp_path / "words.yaml"
    manifest.write_text(
        "apiVersion: kubedaemon.io/v1alpha1\nkind: WorkQueue\nmetadata: {name: words}\nspec:\n  partitions: 3\n"
    )
    status, said = refused("-f", str(manifest))
    assert (2, 1) == (status, said.count("\n"))
    assert said.startswith(f"kubedaemon: {manifest}:5: spec.partitions: expected one of 1, 2, 4,")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, None),
        ("http://127.0.0.1:3000", ("127.0.0.1", 3000)),
        ("http://localhost/", ("localhost", 80)),
        ("http://[::1]:3000", ("::1", 3000)),
    ],
)
def test_the_address_of_a_handler(url: str | None, expected: tuple[str, int] | None) -> None:
    assert expected == runtime.handler_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:3000",
        "https://a:1",
        "http://:3000",
        "http://[::1:3000",
        "http://a:0",
        "http://a:99999",
        "http://a:x",
        "http://me@a:1",
        "http://a:1/message",
        "http://a:1?x",
        "http://a:1#x",
    ],
)
def test_what_is_no_address_of_a_handler(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        runtime.handler_address(url)
    assert f"--handler {url!r}: write http://HOST:PORT, without a path" == str(raised.value)


def test_two_kinds_of_handler_exclude_each_other() -> None:
    status, said = refused("--exec", "true", "--handler", "http://127.0.0.1:3000")
    assert (2, 1) == (status, said.count("\n"))
    assert said.startswith("kubedaemon: --exec and --handler exclude each other")
