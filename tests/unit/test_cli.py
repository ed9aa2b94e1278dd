"""The command line as a whole: help, options of every verb, exit statuses, and errors as sentences."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from contracts.problems import Problem
from kubedaemon.cli.main import VERBS, main
from kubedaemon.cli.verb import Verb
from tests.unit.test_cli_scene import Reply, Server, nobody, page, queue, refuses, run, says, serving

HEAVY = ("aiohttp", "rich", "yaml", "msgspec", "asyncio", "uvloop", "importlib.metadata")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def every_verb() -> list[tuple[str, ...]]:
    """The words of every verb that does something."""
    root = click.Context(main)
    found: list[tuple[str, ...]] = []
    for name in VERBS:
        command = main.get_command(root, name)
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.list_commands(click.Context(command))]
        else:
            found.append((name,))
    return found


def verb_of(words: tuple[str, ...]) -> Verb:
    command: click.Command | None = main
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert isinstance(command, Verb)
    return command


def test_help_lists_every_verb_with_its_purpose_in_the_order_in_which_one_meets_them() -> None:
    result = run("--help")
    assert 0 == result.exit_code
    places = [result.stdout.index(f"\n  {name} ") for name in VERBS]
    assert sorted(places) == places


@pytest.mark.parametrize("name", VERBS)
def test_the_purpose_in_the_list_is_the_verbs_own(name: str) -> None:
    assert VERBS[name][1] == verb_of((name,)).get_short_help_str(100)


@pytest.mark.parametrize(
    "words", [(), *((name,) for name in VERBS), *(words for words in every_verb() if len(words) > 1)]
)
def test_every_help_teaches(words: tuple[str, ...]) -> None:
    command = verb_of(words)
    result = run(*words, "--help")
    assert 0 == result.exit_code
    assert 2 <= len(command.examples) <= 3
    for example in command.examples:
        assert f"  {example}\n" in result.stdout
    assert "" == result.stderr
    assert max(len(line) for line in result.stdout.splitlines()) <= 80


@pytest.mark.parametrize("example", [example for words in [(), *every_verb()] for example in verb_of(words).examples])
def test_every_example_is_understood(example: str) -> None:
    words = shlex.split(example.rpartition("|")[2].partition("<")[0].partition(">")[0], comments=True)
    assert "kubedaemon" == words[0]
    command: click.Command = main
    context, rest = None, words[1:]
    while isinstance(command, click.Group):
        context = command.make_context(command.name, rest, parent=context)
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None, name
        command = found
    command.make_context(command.name, rest, parent=context)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom kubedaemon.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stderr


def test_the_version_and_python_m() -> None:
    done = subprocess.run([sys.executable, "-m", "kubedaemon", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("kubedaemon, version ")


def test_without_a_verb_it_shows_help_and_is_wrong_usage() -> None:
    result = run()
    assert 2 == result.exit_code
    assert "Verbs:" in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("snd",), "there is no verb 'snd'; did you mean 'send'? See `kubedaemon --help`."),
        (("messages", "shwo"), "there is no verb 'shwo'; did you mean 'show'? See `kubedaemon messages --help`."),
        (("send",), "missing argument 'QUEUE'. See `kubedaemon send --help`."),
        (("send", "words", "x", "y"), "got unexpected extra argument (y). See `kubedaemon send --help`."),
        (("queues", "--url", "foo"), "--url: 'foo' is not an address; write http://HOST:PORT."),
        (("--url", "http://a:99999", "queues"), "--url: 'http://a:99999' is not an address; write http://HOST:PORT."),
        (
            ("queues", "--namespace", "A B"),
            "--namespace: 'A B': use lower-case letters, digits and inner '-', at most 63.",
        ),
        (("queues", "--token", "a b"), "the token holds blanks or what is not ASCII; give the token alone"),
        (("queues", "../x"), "QUEUE: '../x' cannot be a queue's name: lower-case letters, digits and inner '-'"),
    ],
)
def test_wrong_usage_is_2_and_one_line_that_says_what_to_do(words: tuple[str, ...], sentence: str) -> None:
    result = run(*words)
    assert 2 == result.exit_code
    assert result.stderr.startswith(f"kubedaemon: {sentence}")
    assert 1 == result.stderr.count("\n")
    assert "" == result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--namespace", "shop", "--token", "t", "--output", "json", "queues"),
        ("queues", "--namespace", "shop", "--token", "t", "--output", "json"),
        ("--namespace", "other", "--output", "json", "queues", "--namespace", "shop", "--token", "t"),
    ],
)
def test_options_of_every_verb_stand_before_or_after_it(server: Server, words: tuple[str, ...]) -> None:
    server.on("GET", "/v1/namespaces/shop/queues", page(queue()))
    result = run(*words, url=server.url)
    assert (0, "") == (result.exit_code, result.stderr)
    assert result.stdout.startswith("{\n")
    assert "Bearer t" == server.seen[0].headers["Authorization"]


def test_they_stand_between_a_family_and_its_verb_too(server: Server) -> None:
    server.on("GET", "/v1/namespaces/shop/queues/words/messages", page())
    assert 0 == run("messages", "--namespace", "shop", "list", "words", url=server.url).exit_code


def test_the_token_comes_from_a_file_that_the_environment_names(server: Server, tmp_path: Path) -> None:
    server.on("GET", "", page())
    (tmp_path / "token").write_text("from-a-file\n")
    run("queues", url=server.url, KUBEDAEMON_TOKEN_FILE=str(tmp_path / "token"))
    run("queues", url=server.url, KUBEDAEMON_TOKEN_FILE=str(tmp_path / "token"), KUBEDAEMON_TOKEN="nearer")
    assert ["Bearer from-a-file", "Bearer nearer"] == [seen.headers["Authorization"] for seen in server.seen]


def test_a_token_file_that_is_not_there_is_named(server: Server) -> None:
    result = run("queues", url=server.url, KUBEDAEMON_TOKEN_FILE="/nowhere/token")
    assert 2 == result.exit_code
    assert "KUBEDAEMON_TOKEN_FILE: /nowhere/token cannot be read: No such file or directory." in result.stderr


def test_nothing_answers() -> None:
    url = nobody()
    result = run("queues", url=url)
    assert 1 == result.exit_code
    assert (
        f"kubedaemon: nothing answers at {url}; is `kubedaemon dev` running?"
        " Another address is named with --url or KUBEDAEMON_URL.\n"
    ) == result.stderr


def test_a_problem_is_told_with_title_slug_and_detail(server: Server) -> None:
    server.on("POST", "/words/messages", refuses(Problem.QUEUE_FULL, "It holds 10 messages; send later."))
    result = run("send", "words", "x", url=server.url)
    assert (1, "") == (result.exit_code, result.stdout)
    assert "kubedaemon: The queue is full (queue-full): It holds 10 messages; send later.\n" == result.stderr


def test_a_refusal_without_a_token_says_how_to_give_one(server: Server) -> None:
    server.on("GET", "", says({"type": "about:blank", "title": "No token", "status": 401}, status=401))
    assert "Give a token with --token, KUBEDAEMON_TOKEN" in run("queues", url=server.url).stderr


@pytest.mark.parametrize(
    ("names", "asked", "sentence"),
    [
        (["words", "mails"], "nope", "'nope' is not in namespace 'default'; there are: mails, words."),
        (["words", "mails"], "wrds", "did you mean 'words'? There are: mails, words."),
        ([], "words", "which has none yet; make one with `kubedaemon apply -f queue.yaml`."),
    ],
)
def test_an_unknown_queue_lists_those_there_are(server: Server, names: list[str], asked: str, sentence: str) -> None:
    server.on("GET", f"/{asked}", refuses(Problem.UNKNOWN_QUEUE, "not there"))
    server.on("GET", "", page(*(queue(name) for name in names)))
    result = run("queues", asked, url=server.url)
    assert 1 == result.exit_code
    assert result.stderr.startswith("kubedaemon: There is no such queue (unknown-queue): ")
    assert result.stderr.endswith(f"{sentence}\n")


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(404, b"<h1>nginx</h1>"), "The server answered 404, and not as Kubedaemon does: Is it Kubedaemon"),
        (Reply(200, b"<h1>nginx</h1>"), "The server answered 200, and not as Kubedaemon does: Is it Kubedaemon"),
        (
            Reply(302, b"", {"Location": "http://else.where/"}),
            "The server sends us on: to http://else.where/; name that",
        ),
    ],
)
def test_somebody_elses_server_is_told_from_ours(server: Server, reply: Reply, sentence: str) -> None:
    server.on("GET", "", reply)
    result = run("queues", url=server.url)
    assert 1 == result.exit_code
    assert result.stderr.startswith(f"kubedaemon: {sentence}")


def test_what_a_server_says_cannot_act_on_the_terminal(server: Server) -> None:
    server.on("GET", "/words", refuses(Problem.UNAVAILABLE, "evil \x1b]0;title\x07 and\nmore"))
    assert "evil \\x1b]0;title\\x07 and more\n" in run("queues", "words", url=server.url).stderr


def test_a_fault_of_ours_is_a_sentence_too(server: Server) -> None:
    server.on("GET", "", says({"no": "items"}))
    result = run("queues", url=server.url)
    assert 1 == result.exit_code
    assert result.stderr.startswith("kubedaemon: this should not happen, and is a fault of ours: KeyError: 'items'.")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("shell", "cursor"), [("bash", "2"), ("zsh", "2"), ("fish", "")])
def test_a_shell_is_given_what_completes_its_lines(shell: str, cursor: str) -> None:
    command = [sys.executable, "-c", "from kubedaemon.cli.main import main; main()"]
    environment = {**os.environ, "_KUBEDAEMON_COMPLETE": f"{shell}_source"}
    script = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30).stdout
    assert f"_KUBEDAEMON_COMPLETE={shell}_complete" in script
    environment |= {
        "_KUBEDAEMON_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "kubedaemon messages ",
        "COMP_CWORD": cursor,
    }
    offered = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30).stdout
    assert {"list", "show", "result", "cancel"} <= set(re.findall(r"\w+", offered))


def test_ctrl_c_ends_quietly_with_130() -> None:
    with serving() as server:
        environment = {**os.environ, "KUBEDAEMON_URL": server.url}
        waiting = [sys.executable, "-m", "kubedaemon", "messages", "result", "words", "x", "--wait", "--timeout", "60s"]
        server.on("GET", "/words/messages/x/result", refuses(Problem.NOT_ENDED, "not yet", state="running"))
        process = subprocess.Popen(waiting, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(200):
            if server.seen:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (130, b"", b"") == (process.returncode, out, err.strip())


def test_a_reader_that_goes_away_is_no_traceback(server: Server) -> None:
    server.on("GET", "", page(*(queue(f"queue-{n}") for n in range(3000))))
    environment = {**os.environ, "KUBEDAEMON_URL": server.url}
    command = f"{shlex.quote(sys.executable)} -m kubedaemon queues | head -1"
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("NAME ")
    assert "" == done.stderr
