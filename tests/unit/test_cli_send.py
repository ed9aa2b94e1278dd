"""``send``: what goes over the wire, what comes out, and every way in which a message may end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from contracts.problems import Problem
from tests.unit.test_cli_scene import ID, Reply, Server, page, queue, refuses, run, says, serving

ACCEPTED = {"id": ID, "namespace": "default", "queue": "words", "session": None, "state": "queued"}
ENDS = [(Problem.MESSAGE_DEAD, "dead"), (Problem.MESSAGE_EXPIRED, "expired"), (Problem.MESSAGE_CANCELLED, "cancelled")]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        running.on("POST", "/words/messages", says(ACCEPTED, 202))
        yield running


def test_it_prints_the_id_and_nothing_else(server: Server) -> None:
    result = run("send", "words", "hello", url=server.url)
    assert (0, f"{ID}\n", "") == (result.exit_code, result.stdout, result.stderr)
    assert b"hello" == server.seen[0].body


def test_json_and_yaml_print_the_answer(server: Server) -> None:
    assert json.loads(run("send", "words", "x", "--output", "json", url=server.url).stdout) == ACCEPTED
    assert yaml.safe_load(run("send", "words", "x", "--output", "yaml", url=server.url).stdout) == ACCEPTED


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"hello", "text/plain; charset=utf-8"),
        (b'{"a": 1}', "application/json"),
        (b" [1, 2]\n", "application/json"),
        (b"17", "text/plain; charset=utf-8"),
        (b'"quoted"', "text/plain; charset=utf-8"),
        (b"{not json}", "text/plain; charset=utf-8"),
        (b"[NaN]", "text/plain; charset=utf-8"),
        (b"[" * 100_000, "text/plain; charset=utf-8"),
        (b"\xff\xd8\xff", "application/octet-stream"),
        (b"", "text/plain; charset=utf-8"),
    ],
)
def test_the_content_type_is_guessed_from_the_data(server: Server, body: bytes, expected: str) -> None:
    assert 0 == run("send", "words", "-", url=server.url, data=body).exit_code
    assert (expected, body) == (server.seen[0].headers["Content-Type"], server.seen[0].body)


def test_standard_input_is_read_where_no_data_is_named(server: Server) -> None:
    run("send", "words", "--content-type", "image/jpeg", url=server.url, data=b"\x00\x01")
    assert ("image/jpeg", b"\x00\x01") == (server.seen[0].headers["Content-Type"], server.seen[0].body)


def test_session_key_and_meta_go_as_headers_that_carry_any_text(server: Server) -> None:
    words = ["--session", "zoë 1%\r\nX: y", "--key", "order-17", "--meta", "Source=shöp", "--meta", "empty="]
    assert 0 == run("send", "words", "x", *words, url=server.url).exit_code
    headers = server.seen[0].headers
    assert "zo%C3%AB 1%25%0D%0AX: y" == headers["Kubedaemon-Session"]
    assert "order-17" == headers["Idempotency-Key"]
    assert "sh%C3%B6p" == headers["Kubedaemon-Meta-source"]
    assert "" == headers["Kubedaemon-Meta-empty"]
    assert "X" not in headers
    assert "Prefer" not in headers


@pytest.mark.parametrize(
    ("words", "headers"),
    [
        (["--delay", "1.5h"], {"Kubedaemon-Delay": "1.5h"}),
        (["--deliver-at", "2030-01-02T03:04:05Z"], {"Kubedaemon-Deliver-At": "2030-01-02T03:04:05Z"}),
        (["--ttl", " 90s\n", "--delay", "0s"], {"Kubedaemon-Delay": "0s", "Kubedaemon-Ttl": "90s"}),
    ],
)
def test_when_it_is_to_be_handled_goes_as_headers(server: Server, words: list[str], headers: dict[str, str]) -> None:
    assert 0 == run("send", "words", "x", *words, url=server.url).exit_code
    times = ("Kubedaemon-Delay", "Kubedaemon-Deliver-At", "Kubedaemon-Ttl")
    assert headers == {name: server.seen[0].headers[name] for name in times if name in server.seen[0].headers}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--meta", "nosign"], "--meta: 'nosign': write NAME=VALUE"),
        (["--meta", "a b=c"], "--meta: 'a b=c': write NAME=VALUE"),
        (["--meta", "a=b", "--meta", "A=c"], "--meta: 'a' is given twice."),
        (["--session", ""], "--session: is empty"),
        (["--session", "x" * 256], "--session: has 256 bytes of UTF-8"),
        (["--key", "a b"], "--key: write 1 to 255 visible ASCII characters"),
        (["--content-type", "a\r\nb"], "--content-type: 'a\\r\\nb' is none"),
        (["--timeout", "soon"], "--timeout: 'soon' is not a duration: write a number and ms, s, m, h or d"),
        (["--delay", "-5s"], "--delay: '-5s' is not a duration: write a number and ms, s, m, h or d"),
        (["--ttl", "90"], "--ttl: '90' is not a duration: write a number and ms, s, m, h or d"),
        (["--deliver-at", "tomorrow"], "--deliver-at: 'tomorrow' is not a time: write RFC 3339 with an offset"),
        (["--delay", "5s", "--deliver-at", "2030-01-02T03:04:05Z"], "--delay and --deliver-at exclude each other."),
    ],
)
def test_what_cannot_be_sent_is_wrong_usage_before_anything_is_sent(
    server: Server, words: list[str], sentence: str
) -> None:
    result = run("send", "words", "x", *words, url=server.url)
    assert 2 == result.exit_code
    assert result.stderr.startswith(f"kubedaemon: {sentence}")
    assert [] == server.seen


def test_wait_prints_the_raw_bytes_of_the_result(server: Server) -> None:
    raw = b"\x00\xff result without a line end"
    server.on("POST", "/words/messages", Reply(200, raw, {"Kubedaemon-Status": "succeeded"}))
    result = run("send", "words", "x", "--wait", "--output", "json", url=server.url)
    assert (0, raw, "") == (result.exit_code, result.stdout_bytes, result.stderr)
    assert "wait=30" == server.seen[0].headers["Prefer"]


@pytest.mark.parametrize(("problem", "state"), ENDS)
@pytest.mark.parametrize("named", [True, False])
def test_a_bad_end_is_1_with_the_reason(server: Server, problem: Problem, state: str, named: bool) -> None:
    headers = {"Kubedaemon-Status": state} if named else None
    server.on("POST", "/words/messages", refuses(problem, "the handler answered 400", headers, id=ID))
    result = run("send", "words", "x", "--wait", url=server.url)
    assert (1, b"") == (result.exit_code, result.stdout_bytes)
    assert f"kubedaemon: message {ID} is {state}: the handler answered 400\n" == result.stderr


def test_a_dead_message_tells_how_often_it_was_tried_and_what_the_handler_said(server: Server) -> None:
    extra: dict[str, Any] = {"id": ID, "attempt": 5, "handler_status": 500, "handler_body": "no such\ncustomer"}
    server.on("POST", "/words/messages", refuses(Problem.MESSAGE_DEAD, "the handler answered 500", **extra))
    result = run("send", "words", "x", "--wait", url=server.url)
    sentence = f"message {ID} is dead after 5 attempts: the handler answered 500; it said: no such customer"
    assert f"kubedaemon: {sentence}\n" == result.stderr


def test_a_wait_longer_than_one_call_goes_on_until_the_result_is_there(server: Server) -> None:
    server.on("GET", f"/words/messages/{ID}/result", refuses(Problem.NOT_ENDED, "not yet"), Reply(200, b"done"))
    result = run("send", "words", "x", "--wait", "--timeout", "10m", url=server.url)
    assert (0, b"done", "") == (result.exit_code, result.stdout_bytes, result.stderr)
    assert "wait=300" == server.seen[0].headers["Prefer"]
    assert all(seen.path.endswith("/result?wait=300") for seen in server.seen[1:])


def test_a_wait_that_ends_badly_later_is_told_the_same_way(server: Server) -> None:
    server.on("GET", f"/words/messages/{ID}/result", refuses(Problem.MESSAGE_EXPIRED, "its TTL passed", id=ID))
    result = run("send", "words", "x", "--wait", url=server.url)
    assert (1, f"kubedaemon: message {ID} is expired: its TTL passed\n") == (result.exit_code, result.stderr)


@pytest.mark.parametrize("timeout", ["200ms", "0", "0.1s"])
def test_when_the_time_has_passed_it_says_how_to_look_later(server: Server, timeout: str) -> None:
    server.on("GET", f"/words/messages/{ID}/result", refuses(Problem.NOT_ENDED, "not yet"))
    result = run("send", "words", "x", "--wait", "--timeout", timeout, "--url", server.url)
    assert (1, b"") == (result.exit_code, result.stdout_bytes)
    again = f"`kubedaemon messages result words {ID} --wait --url={server.url}`"
    assert f"Look later with {again}.\n" in result.stderr


def test_a_problem_that_is_no_end_is_told_as_a_problem(server: Server) -> None:
    server.on("POST", "/nope/messages", refuses(Problem.UNKNOWN_QUEUE, "not there"))
    server.on("GET", "", page(queue()))
    result = run("send", "nope", "x", "--wait", url=server.url)
    assert (1, b"") == (result.exit_code, result.stdout_bytes)
    assert "there are: words." in result.stderr
