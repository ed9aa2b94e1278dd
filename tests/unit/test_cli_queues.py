"""``queues``, ``apply``, ``delete``, ``pause``, ``resume``, ``top``, and ``dev`` up to its start."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from contracts.problems import Problem
from kubedaemon.dev import runtime
from kubedaemon.dev.options import DevOptions
from tests.unit.test_cli_scene import Server, page, queue, refuses, run, says, serving

MANIFEST = "apiVersion: kubedaemon.io/v1alpha1\nkind: WorkQueue\nmetadata: {name: words}\nspec: {partitions: 4}\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.on("GET", "", page(queue(), queue("thumbnails", paused=True)))
        running.on("GET", "/words", says(queue()))
        yield running


def test_the_table_of_queues(server: Server) -> None:
    result = run("queues", url=server.url)
    assert (0, "") == (result.exit_code, result.stderr)
    expected = [
        "NAME        BACKLOG  IN FLIGHT  SESSIONS  DEAD  REPLICAS  RATE/S  PAUSED  REASON",
        "words         1,212          8        12     3       2/4     296  no      1204 waiting at 20 ms each",
        "thumbnails    1,212          8        12     3       2/4     296  yes     1204 waiting at 20 ms each",
    ]
    assert expected == result.stdout.splitlines()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_on_a_narrow_terminal_it_shows_what_matters_most(server: Server, width: int) -> None:
    lines = run("queues", url=server.url, COLUMNS=str(width)).stdout.splitlines()
    assert 3 == len(lines)
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("NAME")
    assert lines[1].startswith("words")


def test_one_queue_in_full(server: Server) -> None:
    shown = run("queues", "words", url=server.url).stdout
    for part in (
        "1,204 waiting, 8 in flight; the oldest is 4.2s old",
        "2 observed, 4 desired; 0 to 8 allowed",
        "310/s arrive, 296/s settle",
        "5, of 1m each; when dead: continue",
        "kept for 1h",
    ):
        assert part in shown


def test_json_and_yaml_are_what_the_api_says(server: Server) -> None:
    assert queue() == json.loads(run("queues", "words", "--output", "json", url=server.url).stdout)
    everything = yaml.safe_load(run("queues", "--output", "yaml", url=server.url).stdout)
    assert ["words", "thumbnails"] == [item["name"] for item in everything["items"]]


def test_no_queues_is_a_sentence_beside_an_empty_table(server: Server) -> None:
    server.on("GET", "", page())
    result = run("queues", url=server.url)
    assert (0, "") == (result.exit_code, result.stdout)
    assert "namespace default has no queues; make one with `kubedaemon apply -f queue.yaml`\n" == result.stderr


def test_apply_puts_every_manifest_where_it_belongs(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "queues.yaml"
    path.write_text(MANIFEST + "---\n" + MANIFEST.replace("{name: words}", "{name: mails, namespace: shop}"))
    server.on("PUT", "/words", says(queue(), 201))
    server.on("PUT", "/v1/namespaces/shop/queues/mails", says(queue("mails")))
    result = run("apply", "-f", str(path), url=server.url)
    assert (0, "") == (result.exit_code, result.stderr)
    assert "queue words is created\nqueue mails is configured\n" == result.stdout
    assert 4 == json.loads(server.seen[0].body)["spec"]["partitions"]
    assert "application/json" == server.seen[0].headers["Content-Type"]


def test_apply_reads_standard_input_and_the_namespace_of_the_command_line(server: Server) -> None:
    server.on("PUT", "/v1/namespaces/shop/queues/words", says(queue(), 201))
    words = ("apply", "-f", "-", "--namespace", "shop", "--output", "json")
    result = run(*words, url=server.url, data=MANIFEST.encode())
    assert (0, "") == (result.exit_code, result.stderr)
    assert {"items": [queue()], "next": None} == json.loads(result.stdout)


def test_apply_touches_nothing_where_any_manifest_is_wrong(server: Server, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(MANIFEST)
    bad.write_text(MANIFEST.replace("name: words", "name: mails").replace("partitions: 4", "partitions: 5"))
    result = run("apply", "-f", str(good), "-f", str(bad), url=server.url)
    assert 2 == result.exit_code
    assert result.stderr.startswith(f"kubedaemon: {bad}:4: spec.partitions: expected one of 1, 2, 4")
    assert [] == server.seen


def test_apply_refuses_two_namespaces_at_once(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "queue.yaml"
    path.write_text(MANIFEST.replace("{name: words}", "{name: words, namespace: shop}"))
    result = run("apply", "-f", str(path), "--namespace", "other", url=server.url)
    assert 2 == result.exit_code
    assert "is for namespace 'shop', and --namespace says 'other'" in result.stderr
    assert [] == server.seen


def test_delete_and_its_refusal_in_the_words_of_the_command_line(server: Server) -> None:
    server.on("DELETE", "/words", refuses(Problem.CONFLICT, "2 messages wait in the queue. Add ?force=true to …"))
    refused = run("delete", "words", url=server.url)
    assert 1 == refused.exit_code
    assert "Add --force to" in refused.stderr
    server.on("DELETE", "/words", says(None, 204))
    done = run("delete", "words", "--force", url=server.url)
    assert (0, "queue words is deleted\n") == (done.exit_code, done.stdout)
    assert server.seen[-1].path.endswith("/words?force=true")


def test_pause_and_resume(server: Server) -> None:
    server.on("POST", "/words/pause", says(queue(paused=True)))
    server.on("POST", "/words/resume", says(queue()))
    assert "queue words is paused\n" == run("pause", "words", url=server.url).stdout
    assert "queue words is resumed\n" == run("resume", "words", url=server.url).stdout
    assert json.loads(run("pause", "words", "--output", "json", url=server.url).stdout)["status"]["paused"]


def test_top_without_a_terminal_prints_one_snapshot(server: Server) -> None:
    assert run("queues", url=server.url).stdout == run("top", url=server.url).stdout
    assert queue() == json.loads(run("top", "words", "--output", "json", url=server.url).stdout)


def _on_a_terminal(server: Server, key: bytes, *words: str) -> tuple[int, bytes]:
    """Runs the command on a terminal of its own, presses the key once something is shown, and waits for its end."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"KUBEDAEMON_URL": server.url, "TERM": "xterm", "NO_COLOR": "1"}
        os.execv(sys.executable, [sys.executable, "-m", "kubedaemon", *words])
    shown, pressed, end = b"", False, time.monotonic() + 30
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break
        if not pressed and b"words" in shown and len(server.seen) > 4:
            os.write(terminal, key)
            pressed = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


@pytest.mark.parametrize(("key", "status"), [(b"q", 0), (b"\x03", 130)])
@pytest.mark.parametrize("one", [True, False])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_top_is_live_on_a_terminal_and_ends_with_q_or_ctrl_c(
    server: Server, key: bytes, status: int, one: bool
) -> None:
    server.on("GET", "/words/sessions", page())
    ended, shown = _on_a_terminal(server, key, "top", *(["words"] if one else []))
    assert status == ended
    assert b"q quits" in shown
    assert b"Traceback" not in shown
    assert b"\x1b[31m" not in shown
    assert b"\x1b[?1049l" in shown  # the screen is what it was before


class TestDev:
    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[DevOptions]:
        """What dev was started with; it ends at once, with 7."""
        seen: list[DevOptions] = []

        def start(options: DevOptions) -> int:
            seen.append(options)
            return 7

        monkeypatch.setattr(runtime, "run", start)
        return seen

    def test_options_arrive_and_the_exit_status_is_its_own(self, started: list[DevOptions]) -> None:
        words = [
            "-f",
            "a.yaml",
            "-f",
            "b.yaml",
            "--queue",
            "q",
            "--exec",
            "sh -c 'echo $PORT'",
            "--port",
            "9",
            "--data",
            "d",
            "--log-format",
            "json",
        ]
        assert 7 == run("dev", *words).exit_code
        expected = DevOptions(
            files=(Path("a.yaml"), Path("b.yaml")),
            queue="q",
            command=("sh", "-c", "echo $PORT"),
            port=9,
            data=Path("d"),
            log_format="json",
        )
        assert [expected] == started

    def test_nothing_is_needed(self, started: list[DevOptions]) -> None:
        assert 7 == run("--namespace", "default", "dev").exit_code
        assert [DevOptions()] == started

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (
                ["--exec", "a 'b"],
                '--exec: "a \'b" cannot be split into words (no closing quotation); balance its quotes.',
            ),
            (["--exec", " "], "--exec: the command is empty"),
            (["--exec", "a", "--handler", "http://b"], "--exec and --handler exclude each other"),
            (["--date", "d"], "no such option '--date'"),
            (["--port", "70000"], "invalid value for '--port'"),
            (["--url", "http://a"], "--url: dev listens on this machine; choose its port with --port."),
            (["--namespace", "shop"], "--namespace: dev makes its queues in 'default'"),
        ],
    )
    def test_wrong_usage(self, started: list[DevOptions], words: list[str], sentence: str) -> None:
        result = run("dev", *words)
        assert 2 == result.exit_code
        assert result.stderr.startswith(f"kubedaemon: {sentence}")
        assert [] == started
