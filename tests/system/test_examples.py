"""The examples in Python run as they are: real processes, asked over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from examples.ledger.check import check
from examples.ledger.serial import Transfer, read
from examples.ledger.show.books import Books
from examples.ledger.show.sending import shard
from tests.examples_all.program import EXAMPLES, Answer, Program, ask, running, wait_until

STDIO = str(EXAMPLES / "shell" / "stdio.py")
LEDGER = str(EXAMPLES / "ledger" / "handler.py")


@pytest.fixture
def words() -> Iterator[Program]:
    with running([sys.executable, str(EXAMPLES / "python" / "handler.py")]) as started:
        yield started


@pytest.fixture(scope="module")
def shell() -> Iterator[Program]:
    """The adapter over a shell, so that each message says what its program does."""
    with running([sys.executable, STDIO, "--type", "text/plain", "--", "sh", "-s"]) as started:
        yield started


class TestPythonHandler:
    def test_it_counts_words_and_reads_the_headers(self, words: Program) -> None:
        headers = {"Kubedaemon-Session": "zo%C3%AB%25", "Kubedaemon-Attempt": "3"}
        answer = words.ask("to be, ça va".encode(), headers)
        expected = {"words": 4, "bytes": 13, "session": "zoë%", "attempt": 3}
        assert (200, "application/json", expected) == (answer.status, answer.content_type, json.loads(answer.body))

    def test_what_is_not_text_is_refused_for_good(self, words: Program) -> None:
        assert words.ask(b"\xff\xfe").status == 422

    def test_a_connection_is_used_again_also_after_a_refusal(self, words: Program) -> None:
        with words.connected() as connection:
            answers = [ask(connection, b"a b", path=path).status for path in ("/message", "/init", "/message")]
        assert [200, 404, 200] == answers

    def test_no_answer_waits_for_a_delayed_acknowledgement(self, words: Program) -> None:
        with words.connected() as connection:
            began = time.monotonic()
            for _ in range(50):
                ask(connection, b"a b")
        assert time.monotonic() - began < 1.5, "50 answers that each wait 40 ms take 2 s"

    def test_many_connections_at_once_are_served(self, words: Program) -> None:
        with ExitStack() as stack:
            connections = [stack.enter_context(words.connected()) for _ in range(100)]
            assert {200} == {ask(connection, b"a b").status for connection in connections}

    def test_half_a_message_is_not_answered_as_a_whole_one(self, words: Program) -> None:
        with words.connected() as connection:
            connection.putrequest("POST", "/message")
            connection.putheader("Content-Length", "100")
            connection.endheaders(b"to be or")
            assert words.terminate() == 0
            with pytest.raises(ConnectionError):
                connection.getresponse()

    def test_it_stops_at_sigterm_although_connections_are_open(self, words: Program) -> None:
        with words.connected() as used, words.connected():
            assert ask(used, b"a b").status == 200
            assert words.terminate() == 0


class TestStdio:
    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            ("printf done", Answer(200, "text/plain", b"done")),
            ("echo not yet >&2; exit 75", Answer(503, "text/plain", b"not yet\n")),
            ("echo never >&2; exit 1", Answer(422, "text/plain", b"never\n")),
            ("exit 7", Answer(422, "text/plain", b"sh exited with 7 and said nothing\n")),
            ("kill -9 $$", Answer(500, "text/plain", b"sh was killed by SIGKILL\n")),
        ],
    )
    def test_the_exit_code_decides(self, shell: Program, script: str, expected: Answer) -> None:
        assert expected == shell.ask(script.encode())

    def test_a_connection_is_used_again(self, shell: Program) -> None:
        with shell.connected() as connection:
            assert [200, 422, 200] == [ask(connection, b"exit %d" % code).status for code in (0, 1, 0)]

    def test_the_message_is_described_in_the_environment(self, shell: Program) -> None:
        headers = {
            "Kubedaemon-Message-Id": "m1",
            "Kubedaemon-Session": "zo%C3%AB%0Aa",
            "Kubedaemon-Attempt": "2",
            "Kubedaemon-Meta-Trace-Of": "100%25",
            "Content-Type": "text/x-shellscript",
        }
        names = ("ID", "SESSION", "ATTEMPT", "META_TRACE_OF", "CONTENT_TYPE")
        script = "printf '%s|' " + " ".join(f'"$MESSAGE_{name}"' for name in names)
        expected = "m1|zoë\na|2|100%|text/x-shellscript|"
        assert expected == shell.ask(script.encode(), headers).body.decode()

    def test_a_value_that_no_variable_can_hold_stays_encoded(self, shell: Program) -> None:
        assert shell.ask(b'printf "$MESSAGE_SESSION"', {"Kubedaemon-Session": "a%%00b"}).body == b"a%00b"

    def test_more_output_than_a_pipe_holds(self, shell: Program) -> None:
        assert 8_000_000 == len(shell.ask(b"head -c 8000000 /dev/zero; head -c 1000000 /dev/zero >&2").body)

    def test_only_the_end_of_a_long_complaint_is_kept(self, shell: Program) -> None:
        said = shell.ask(b"head -c 1000000 /dev/zero >&2; echo why >&2; exit 1").body
        assert (2000, b"why\n") == (len(said), said[-4:])

    def test_programs_run_at_the_same_time(self, shell: Program, tmp_path: Path) -> None:
        script = f"cd {tmp_path}; touch $MESSAGE_ID; while [ $(ls | wc -l) -lt 4 ]; do sleep 0.01; done"
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(shell.ask, script.encode(), {"Kubedaemon-Message-Id": str(n)}) for n in range(4)]
            assert [200] * 4 == [call.result().status for call in calls]

    def test_a_pipeline(self) -> None:
        with running([sys.executable, STDIO, "--", "sh", "-c", "tr a-z A-Z | rev"]) as program:
            assert Answer(200, "application/octet-stream", b"OLLEH") == program.ask(b"hello")

    def test_a_program_that_does_not_read_its_input(self) -> None:
        with running([sys.executable, STDIO, "--", "true"]) as program:
            assert program.ask(b"x" * 4_000_000).status == 200

    def test_a_command_that_does_not_exist_ends_the_start_with_a_sentence(self) -> None:
        ended = subprocess.run([sys.executable, STDIO, "--", "no-such-program"], capture_output=True, check=False)
        assert ended.returncode == 1
        assert b"there is no program 'no-such-program' on the PATH" in ended.stderr

    def test_a_running_program_finishes_after_sigterm(self, tmp_path: Path) -> None:
        began, goon = tmp_path / "began", tmp_path / "goon"
        os.mkfifo(goon)
        script = f"touch {began}; cat {goon}"
        with running([sys.executable, STDIO, "--", "sh", "-s"]) as program, ThreadPoolExecutor(1) as pool:
            call = pool.submit(program.ask, script.encode())
            wait_until(began.exists, "the program began")
            program.process.terminate()
            wait_until(lambda: not program.accepts(), "it still listens")
            goon.write_bytes(b"finished")
            assert Answer(200, "application/octet-stream", b"finished") == call.result()
            assert program.process.wait(10) == 0


class TestLedger:
    def transfer(self, program: Program, one: Transfer, key: str | None = None) -> Answer:
        body = {"id": one.id, "account": one.account, "to": one.to, "cents": one.cents, "memo": one.memo}
        return program.ask(json.dumps(body).encode(), {"Idempotency-Key": key or f"k-{one.id}"})

    def test_several_processes_keep_one_ledger(self, tmp_path: Path) -> None:
        env = {"LEDGER_DB": str(tmp_path / "ledger.db"), "LEDGER_MS": "1"}
        transfers = read(limit=400)
        with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
            programs = [stack.enter_context(running([sys.executable, LEDGER], env)) for _ in range(3)]

            def do(number: int, share: list[Transfer]) -> set[int]:
                return {self.transfer(programs[number % 3], one).status for one in share}

            assert {200} == set[int]().union(*pool.map(do, range(8), shard(transfers, 8)))
            assert [0, 0, 0] == [program.terminate() for program in programs]
        findings = check(tmp_path / "ledger.db", transfers)
        assert ([], 400, 0) == (findings.problems, findings.calls, findings.called_again)

    def test_killed_with_the_money_moved_and_nobody_told(self, tmp_path: Path) -> None:
        database = tmp_path / "ledger.db"
        (one,) = read(limit=1)
        books = Books(database)
        with (
            ThreadPoolExecutor(1) as pool,
            running([sys.executable, LEDGER], {"LEDGER_DB": str(database), "LEDGER_MS": "2000"}) as program,
        ):
            call = pool.submit(self.transfer, program, one)
            wait_until(lambda: books.handled() == 1, "the transfer is in the books")
            program.process.kill()
            with pytest.raises(ConnectionError):
                call.result()
        with running([sys.executable, LEDGER], {"LEDGER_DB": str(database)}) as program:
            answer = self.transfer(program, one)
        assert {"id": one.id, "account": one.account, "n": 1, "balance": -one.cents} == json.loads(answer.body)
        findings = check(database, [one])
        assert ([], 2, 1) == (findings.problems, findings.calls, findings.called_again)

    @pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"id": "t-1", "account": "a", "to": "b", "cents": "9"}'])
    def test_what_is_no_transfer_is_refused_for_good(self, tmp_path: Path, body: bytes) -> None:
        with running([sys.executable, LEDGER], {"LEDGER_DB": str(tmp_path / "ledger.db")}) as program:
            assert program.ask(body, {"Idempotency-Key": "k"}).status == 422
            assert program.ask(body).status == 400
