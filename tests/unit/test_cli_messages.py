"""``messages``, ``sessions`` and ``dead-letters``: lists, details, results, redrive and purge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from contracts.problems import Problem
from tests.unit.test_cli_scene import ID, Reply, Server, message, page, refuses, run, says, serving

RESULT = f"/words/messages/{ID}/result"
LETTER = message(state="dead", reason="it was bad", dead_at="2026-01-02T03:04:06Z", generation=1, result=None)
SESSION = {"session": "me", "replica": "words-1", "message_id": ID, "since": "2026-01-02T03:04:05Z", "waiting": 2}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def queries(server: Server) -> list[dict[str, str]]:
    return [dict(parse_qsl(urlsplit(seen.path).query)) for seen in server.seen]


def test_the_table_of_messages(server: Server) -> None:
    other = message("b" * 32, "dead", session=None, reason="it was\nbad \x1b[31m", result=None)
    server.on("GET", "/words/messages", page(message(), other))
    result = run("messages", "list", "words", url=server.url)
    assert (0, "") == (result.exit_code, result.stderr)
    head, first, second = result.stdout.splitlines()
    assert ["ID", "STATE", "SESSION", "ATTEMPT", "AGE", "TOOK", "REASON"] == head.split()
    assert first.startswith(f"{ID}  succeeded  me ")
    assert "1.5s" in first
    assert second.endswith("it was bad \\x1b[31m")


def test_ids_stay_whole_on_a_narrow_terminal(server: Server) -> None:
    server.on("GET", "/words/messages", page(message(reason="r" * 200)))
    lines = run("messages", "list", "words", url=server.url, COLUMNS="60").stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith(ID)


def test_filters_go_into_the_query_percent_encoded(server: Server) -> None:
    server.on("GET", "/words/messages", page())
    words = ["--state", "dead", "--session", "zoë & co", "--limit", "20", "--after", "c+d"]
    result = run("messages", "list", "words", *words, url=server.url)
    assert [{"state": "dead", "session": "zoë & co", "limit": "20", "after": "c+d"}] == queries(server)
    assert "queue words has no messages that are like that\n" == result.stderr


def test_a_list_that_goes_on_says_so(server: Server) -> None:
    server.on("GET", "/words/messages", page(message(), following="next-page"))
    result = run("messages", "list", "words", "--limit", "1", url=server.url)
    assert "there are more; add --all, or --after next-page\n" == result.stderr


def test_all_follows_every_page(server: Server) -> None:
    server.on(
        "GET",
        "/words/messages",
        page(message("1"), following="a"),
        page(message("2"), following="b"),
        page(message("3")),
    )
    result = run("messages", "list", "words", "--all", "--output", "json", url=server.url)
    shown = json.loads(result.stdout)
    assert (["1", "2", "3"], None) == ([item["id"] for item in shown["items"]], shown["next"])
    limit = {"limit": "1000"}
    assert [limit, limit | {"after": "a"}, limit | {"after": "b"}] == queries(server)


def test_a_limit_beyond_one_page_takes_several(server: Server) -> None:
    full = page(*(message(str(n)) for n in range(1000)), following="a")
    server.on("GET", "/words/messages", full, page(*(message(str(n)) for n in range(500)), following="b"))
    result = run("messages", "list", "words", "--limit", "1500", "--output", "json", url=server.url)
    assert (1500, "b") == (len(json.loads(result.stdout)["items"]), json.loads(result.stdout)["next"])
    assert ["1000", "500"] == [query["limit"] for query in queries(server)]


def test_all_and_limit_exclude_each_other(server: Server) -> None:
    result = run("messages", "list", "words", "--all", "--limit", "5", url=server.url)
    assert 2 == result.exit_code
    assert result.stderr.startswith("kubedaemon: --all and --limit exclude each other.")


def test_one_message_with_its_attempts(server: Server) -> None:
    progress = {"percent": 40, "note": "half way"}
    server.on("GET", f"/words/messages/{ID}", says(message(progress=progress)))
    shown = run("messages", "show", "words", ID, url=server.url).stdout
    for part in (
        ID,
        "words in namespace default",
        "after 1.5s",
        "40 %  half way",
        "meta source",
        "text/plain, 3 bytes",
    ):
        assert part in shown
    assert ["1", "words-1", "ack", "200", "250ms", "A", "B"] == shown.splitlines()[-1].split()
    assert ID == json.loads(run("messages", "show", "words", ID, "--output", "json", url=server.url).stdout)["id"]


@pytest.mark.parametrize(("given", "sent"), [("..", "%2E%2E"), ("a/b?c", "a%2Fb%3Fc"), ("ü", "%C3%BC")])
def test_an_id_stays_one_part_of_the_path(server: Server, given: str, sent: str) -> None:
    run("messages", "show", "words", given, url=server.url)
    assert server.seen[0].path.endswith(f"/queues/words/messages/{sent}")


def test_a_result_is_printed_raw(server: Server) -> None:
    server.on("GET", RESULT, Reply(200, b"\x00\xff", {"Content-Type": "image/png"}))
    result = run("messages", "result", "words", ID, url=server.url)
    assert (0, b"\x00\xff", "") == (result.exit_code, result.stdout_bytes, result.stderr)
    assert [{}] == queries(server)


def test_a_result_that_is_not_there_yet(server: Server) -> None:
    server.on("GET", RESULT, refuses(Problem.NOT_ENDED, "not yet", state="retrying"))
    result = run("messages", "result", "words", ID, url=server.url)
    assert (1, b"") == (result.exit_code, result.stdout_bytes)
    assert f"message {ID} is retrying: there is no result yet. Wait for it with `kubedaemon messages" in result.stderr


def test_a_result_can_be_waited_for(server: Server) -> None:
    server.on("GET", RESULT, refuses(Problem.NOT_ENDED, "not yet"), Reply(200, b"done"))
    assert b"done" == run("messages", "result", "words", ID, "--wait", "--timeout", "1m", url=server.url).stdout_bytes
    assert {"wait": "60"} == queries(server)[0]


@pytest.mark.parametrize(
    ("problem", "part"),
    [
        (Problem.MESSAGE_DEAD, "the message is dead: why"),
        (Problem.RESULT_GONE, "The result is no longer kept (result-gone): why"),
        (Problem.UNKNOWN_MESSAGE, "There is no such message (unknown-message): why"),
    ],
)
def test_why_there_is_no_result(server: Server, problem: Problem, part: str) -> None:
    server.on("GET", RESULT, refuses(problem, "why"))
    result = run("messages", "result", "words", ID, url=server.url)
    assert (1, b"", f"kubedaemon: {part}\n") == (result.exit_code, result.stdout_bytes, result.stderr)


def test_sessions(server: Server) -> None:
    waits = {"session": "[red]you[/]", "replica": None, "message_id": ID, "since": None, "waiting": 1}
    server.on("GET", "/words/sessions", page(SESSION, waits))
    head, first, second = run("sessions", "list", "words", url=server.url).stdout.splitlines()
    assert ["SESSION", "REPLICA", "MESSAGE", "HELD", "WAITING"] == head.split()
    assert ["me", "words-1", ID] == first.split()[:3]
    assert ["[red]you[/]", "-", ID, "-", "1"] == second.split()


def test_one_session_that_nobody_holds(server: Server) -> None:
    server.on("GET", "/words/sessions", page())
    result = run("sessions", "list", "words", "zoë", url=server.url)
    assert (0, "") == (result.exit_code, result.stdout)
    assert "session 'zoë' is not held or waiting in a replica of queue words\n" == result.stderr
    assert "zoë" == queries(server)[0]["session"]


def test_dead_letters(server: Server) -> None:
    server.on("GET", "/words/dead-letters", page(LETTER))
    head, line = run("dead-letters", "list", "words", "--session", "me", url=server.url).stdout.splitlines()
    assert ["ID", "SESSION", "ATTEMPTS", "DEAD", "FOR", "REASON"] == head.split()
    assert line.startswith(f"{ID}  me ")
    assert line.endswith("it was bad")


@pytest.mark.parametrize(
    ("words", "body"),
    [(["--all"], {"all": True}), (["--id", "b", "--id", "a", "--id", "b"], {"filter": {"ids": ["a", "b"]}})],
)
def test_redrive(server: Server, words: list[str], body: object) -> None:
    server.on("POST", "/words/dead-letters/redrive", says({"redriven": 2}))
    result = run("dead-letters", "redrive", "words", *words, url=server.url)
    assert (0, "2 dead letters sent back to queue words\n", "") == (result.exit_code, result.stdout, result.stderr)
    assert body == json.loads(server.seen[0].body)


def test_redrive_of_what_is_no_dead_letter_fails(server: Server) -> None:
    server.on("POST", "/words/dead-letters/redrive", says({"redriven": 1}))
    result = run("dead-letters", "redrive", "words", "--id", "a", "--id", "b", url=server.url)
    assert (1, "1 dead letter sent back to queue words\n") == (result.exit_code, result.stdout)
    assert "1 of 2 ids: no such dead letter in queue words; see `kubedaemon dead-letters list words`." in result.stderr


@pytest.mark.parametrize("words", [["--all"], ["--id", "a", "--id", "b"]])
def test_redrive_of_what_has_no_queue_any_more_fails_and_says_so(server: Server, words: list[str]) -> None:
    problem = Problem.UNKNOWN_QUEUE.body("Queue 'gone' is not there.", id="b")
    server.on("POST", "/words/dead-letters/redrive", says({"redriven": 1, "problems": [problem]}))
    result = run("dead-letters", "redrive", "words", *words, url=server.url)
    assert (1, "1 dead letter sent back to queue words\n") == (result.exit_code, result.stdout)
    assert "kubedaemon: message b: Queue 'gone' is not there.\n" == result.stderr


@pytest.mark.parametrize("words", [[], ["--all", "--id", "a"]])
def test_redrive_wants_to_know_which(words: list[str]) -> None:
    result = run("dead-letters", "redrive", "words", *words)
    assert 2 == result.exit_code
    assert result.stderr.startswith("kubedaemon: say which: --all, or --id ID")


def test_purge_asks(server: Server) -> None:
    server.on("DELETE", "/words/dead-letters", says({"purged": 3}))
    declined = run("dead-letters", "purge", "words", url=server.url, data=b"n\n")
    assert (1, "") == (declined.exit_code, declined.stdout)
    assert declined.stderr.endswith("kubedaemon: nothing was purged\n")
    nobody = run("dead-letters", "purge", "words", url=server.url, data=b"")
    assert 2 == nobody.exit_code
    assert "nobody is there to answer; add --yes" in nobody.stderr
    assert [] == server.seen
    agreed = run("dead-letters", "purge", "words", url=server.url, data=b"y\n")
    assert (0, "3 dead letters of queue words purged\n") == (agreed.exit_code, agreed.stdout)
    assert {"all": "true"} == queries(server)[0]


def test_purge_that_is_not_asked(server: Server) -> None:
    server.on("DELETE", "/words/dead-letters", says({"purged": 1}))
    result = run("dead-letters", "purge", "words", "--yes", "--output", "json", url=server.url)
    assert {"purged": 1} == json.loads(result.stdout)
    assert "" == result.stderr


def test_cancel_release_and_skip(server: Server) -> None:
    server.on("DELETE", f"/words/messages/{ID}", says(message(state="cancelled")))
    server.on("POST", "/words/sessions/release", says(SESSION))
    server.on("POST", "/words/sessions/skip", says(SESSION))
    assert f"message {ID} is cancelled\n" == run("messages", "cancel", "words", ID, url=server.url).stdout
    released = run("sessions", "release", "words", "zoë", url=server.url)
    assert (0, "session 'zoë' is released: its message is tried again\n") == (released.exit_code, released.stdout)
    skipped = run("sessions", "skip", "words", "zoë", "--output", "json", url=server.url)
    assert SESSION == json.loads(skipped.stdout)
    assert [{"session": "zoë"}] * 2 == [json.loads(seen.body) for seen in server.seen[1:]]


def test_what_runs_is_not_cancelled_and_says_why(server: Server) -> None:
    server.on("DELETE", f"/words/messages/{ID}", refuses(Problem.CONFLICT, "The message is running."))
    result = run("messages", "cancel", "words", ID, url=server.url)
    assert (1, "") == (result.exit_code, result.stdout)
    assert "The message is running." in result.stderr
