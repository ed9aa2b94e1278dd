"""What a killed ``kubedaemon dev`` leaves behind is ended by the next one, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubedaemon.dev import kindred as processes
from kubedaemon.dev.guard import start_of
from kubedaemon.dev.kindred import Identity, Kin, Seen, kindred
from kubedaemon.dev.leftovers import Records, end_leftovers, keeping_records
from tests.system.dev_scene import HANDLER, Stage, staged, until

RUNS = "note('called'); wait_for('go'); answer = 'done'"
GUARD, OURS = Identity(10, "100"), Identity(11, "101")
NOBODY = Identity(2**22 + 1, "1")
"""No machine has such a process."""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets the next one find all")
class TestRealProcesses:
    def test_of_guards_that_could_not_do_their_work(self, stage: Stage) -> None:
        with stage.dev("-f", stage.manifest(), "--exec", HANDLER) as dev:
            dev.send("leave_behind(); " + RUNS)
            (called,) = stage.noted("called")
            os.kill(called["parent"], signal.SIGSTOP)
            dev.signal(signal.SIGKILL)
            dev.wait()
            left = stage.alive()
            assert {called["pid"], called["parent"], stage.journal("left behind")[0]["pid"]} == left

        shell = f"sh -c '{HANDLER}; true'"  # the kernel kills the shell with its guard, but not what the shell started
        with stage.dev("-f", stage.manifest(), "--exec", shell) as dev:
            assert f"left behind: processes {', '.join(map(str, sorted(left)))}" in dev.says("ended what an earlier")
            assert set() == dev.handlers()
            dev.send(RUNS)
            called = stage.noted("called", 2)[1]
            (guard,) = dev.handlers() - {called["pid"], called["parent"]}
            dev.signal(signal.SIGSTOP)  # so that it does not see its guard end
            os.kill(guard, signal.SIGKILL)
            dev.signal(signal.SIGKILL)
            dev.wait()
            until(stage.alive, lambda alive: alive == {called["pid"]})

        with stage.dev() as dev:
            assert f"left behind: process {called['pid']}" in dev.says("ended what an earlier")
            assert {dev.process.pid} == stage.alive()
            dev.says("listens on")
            (own,) = stage.records.iterdir()
            assert own.name.startswith(f"dev-{dev.process.pid}-")

    def test_of_one_that_lives_nothing_is_touched(self, stage: Stage) -> None:
        with stage.dev("-f", stage.manifest(), "--exec", HANDLER) as first:
            sent = first.send(RUNS)
            stage.noted("called")
            with stage.dev() as second:
                second.says("listens on")
                assert "earlier" not in second.said
                assert 2 == len(list(stage.records.iterdir()))
            stage.touch("go")
            assert 1 == first.ended(sent)["attempt"]


def running(*processes: tuple[int, str, int, int, int]) -> dict[int, Seen]:
    return {pid: Seen(start, parent, group, session) for pid, start, parent, group, session in processes}


class TestWhoIsKindred:
    def check(self, expected: set[int], *seen: tuple[int, str, int, int, int]) -> None:
        strangers = running((1, "1", 0, 1, 1), (20, "50", 1, 20, 20), (21, "51", 20, 20, 20))
        assert expected == kindred(Kin(GUARD, OURS), strangers | running(*seen))

    def test_both_with_all_that_came_of_them(self) -> None:
        self.check(
            {10, 11, 12, 13, 14},
            (10, "100", 1, 10, 10),
            (11, "101", 10, 11, 10),
            (12, "102", 11, 11, 10),
            (13, "103", 12, 13, 13),
            (14, "104", 10, 14, 14),
        )

    def test_the_group_of_a_handler_that_has_ended(self) -> None:
        self.check({12, 13}, (12, "102", 1, 11, 10), (13, "103", 12, 13, 13))

    def test_nobody_is_left(self) -> None:
        self.check(set())

    def test_other_processes_have_the_numbers_now(self) -> None:
        self.check(set(), (10, "900", 1, 10, 10), (11, "901", 10, 11, 10), (12, "902", 11, 11, 10))

    def test_another_process_has_the_number_of_the_guard(self) -> None:
        self.check(
            {11, 12}, (10, "900", 1, 10, 10), (15, "901", 10, 15, 10), (11, "101", 1, 11, 9), (12, "1", 11, 3, 3)
        )

    def test_another_process_has_the_number_of_the_handler(self) -> None:
        self.check({10}, (10, "100", 1, 10, 10), (11, "900", 1, 11, 11), (12, "901", 11, 11, 11))


class TestRecords:
    def leave(self, home: Path, kin: Kin) -> Path:
        """A record as a dead one's guard left it."""
        with keeping_records(print) as records:
            record = Path(records.another())
            record.write_text("".join(f"{who.pid} {who.start}\n" for who in kin))
        return record

    def said(self, home: Path) -> list[str]:
        said: list[str] = []
        end_leftovers(home / "kubedaemon", said.append)
        return said

    @pytest.fixture
    def home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        return tmp_path

    def test_what_is_left_is_ended(self, home: Path, sleeper: subprocess.Popen[bytes]) -> None:
        left = Identity(sleeper.pid, start_of(sleeper.pid))
        record = self.leave(home, Kin(NOBODY, left))
        assert [f"ended what an earlier `kubedaemon dev` left behind: process {sleeper.pid}"] == self.said(home)
        assert (-signal.SIGTERM, False) == (sleeper.wait(), record.parent.exists())

    def test_a_number_that_was_given_out_again_is_let_be(self, home: Path, sleeper: subprocess.Popen[bytes]) -> None:
        once = Identity(sleeper.pid, "1")
        record = self.leave(home, Kin(once, once))
        assert ([], None, False) == (self.said(home), sleeper.poll(), record.parent.exists())

    def test_a_signal_to_a_number_that_was_given_out_again(self, sleeper: subprocess.Popen[bytes]) -> None:
        processes.send(signal.SIGKILL, [Identity(sleeper.pid, "1"), NOBODY])
        processes.send(signal.SIGTERM, [Identity(sleeper.pid, start_of(sleeper.pid))])
        assert -signal.SIGTERM == sleeper.wait()

    def test_of_another_boot_nothing_runs(self, home: Path, sleeper: subprocess.Popen[bytes]) -> None:
        left = Identity(sleeper.pid, start_of(sleeper.pid))
        directory = self.leave(home, Kin(left, left)).parent
        elsewhere = directory.rename(directory.with_name("dev-1-00000000.x"))
        assert ([], None, False) == (self.said(home), sleeper.poll(), elsewhere.exists())

    def test_while_its_owner_lives_a_directory_is_let_be(self, home: Path, sleeper: subprocess.Popen[bytes]) -> None:
        with keeping_records(print) as records:
            record = Path(records.another())
            record.write_text(f"{sleeper.pid} {start_of(sleeper.pid)}\n" * 2)
            assert ([], None, True) == (self.said(home), sleeper.poll(), record.exists())
            record.unlink()

    @pytest.mark.parametrize("content", ["", "10 100\n", "10 100\n11", "10 100\nx 101\n", "1 1\n2 2\n3 3\n", "\xff"])
    def test_what_is_no_record_is_passed_over(self, home: Path, content: str) -> None:
        with keeping_records(print) as records:
            Path(records.another()).write_text(content, "latin-1")
        assert [] == list((home / "kubedaemon").iterdir())

    def test_this_very_process_is_never_ended(self, home: Path) -> None:
        ourselves = Identity(os.getpid(), start_of(os.getpid()))
        self.leave(home, Kin(ourselves, ourselves))
        assert [] == self.said(home)

    def refusal(self) -> str:
        said: list[str] = []
        with keeping_records(said.append) as records:
            assert "" == records.another() == Records().another()
        (sentence,) = said
        start = "should this be killed, handlers that outlive it would not be found again: "
        assert sentence.startswith(start)
        return sentence.removeprefix(start)

    def test_without_a_place_to_keep_them_there_are_none(self, home: Path) -> None:
        (home / "kubedaemon").write_text("in the way")
        assert f"{home}/kubedaemon: File exists" == self.refusal()

    def test_a_place_that_others_can_write_is_not_trusted(self, home: Path) -> None:
        (home / "kubedaemon").mkdir(mode=0o755)
        assert f"{home}/kubedaemon is open to others; run chmod 700 {home}/kubedaemon" == self.refusal()

    def test_a_place_that_only_seems_to_be_ours_is_not_trusted(self, home: Path) -> None:
        (home / "elsewhere").mkdir(mode=0o700)
        (home / "kubedaemon").symlink_to(home / "elsewhere")
        assert f"{home}/kubedaemon does not belong to this user; remove it" == self.refusal()

    def test_without_a_runtime_directory_it_is_the_users_own_in_the_temporary_one(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(home))
        for nowhere in ("", str(home / "none")):
            monkeypatch.setenv("XDG_RUNTIME_DIR", nowhere)
            with keeping_records(print) as records:
                assert home / f"kubedaemon-{os.geteuid()}" == Path(records.another()).parents[1]


@pytest.mark.toolchains  # a bare Debian has no ps
def test_ps_tells_the_same_where_there_is_no_proc(sleeper: subprocess.Popen[bytes]) -> None:
    told, seen = processes._told_by_ps()[sleeper.pid], processes.look()[sleeper.pid]
    assert (os.getpid(), sleeper.pid, seen.parent, seen.group) == (told.parent, told.group, told.parent, told.group)
    assert 5 == len(told.start.split()), told.start
