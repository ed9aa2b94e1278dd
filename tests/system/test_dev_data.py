"""``kubedaemon dev --data``: what was accepted is there again, in order and once, however the process ended."""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.system.dev_scene import HANDLER, Dev, Stage, staged, until

SESSIONS = 4
EACH = 8

BOOK = """
note("booked", key=headers["Idempotency-Key"], session=headers["Kubedaemon-Session"], number=%d)
answer = %d
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


def _send(dev: Dev, number: int) -> str | None:
    """The id; None where the answer did not come, so that the sender has to send it again."""
    try:
        session = f"s{number % SESSIONS}"
        return dev.send(BOOK % (number, number), Kubedaemon_Session=session, Idempotency_Key=f"k{number}")
    except (OSError, HTTPException):
        return None


def _book(stage: Stage) -> dict[str, list[int]]:
    """The numbers of each session as they took effect: a handler keeps the key with its effect, so repeats have none."""
    seen: dict[str, int] = {}
    sessions: dict[str, list[int]] = {}
    for entry in stage.journal("booked"):
        if seen.setdefault(entry["key"], entry["number"]) == entry["number"]:
            numbers = sessions.setdefault(entry["session"], [])
            if entry["number"] not in numbers:
                numbers.append(entry["number"])
    assert len(seen) == sum(map(len, sessions.values())), "each message has one key, whichever life called"
    return sessions


def test_kill_9_loses_nothing_doubles_nothing_and_keeps_the_order(stage: Stage) -> None:
    words = ("--data", str(stage.directory / "data"), "-f", stage.manifest(partitions=2), "--exec", HANDLER)
    ids: dict[int, str | None] = {}
    for life in range(2):
        with stage.dev(*words) as dev:
            for number in range(EACH * life, EACH * (life + 1)):
                if ids.get(number) is None:
                    ids[number] = _send(dev, number)
            stage.noted("booked", EACH * life + 3)
            dev.signal(signal.SIGKILL)
            assert -signal.SIGKILL == dev.wait()
    with stage.dev(*words) as dev:
        assert ids == {number: _send(dev, number) for number in ids}, "a key that was seen names the same message"
        for number, message_id in ids.items():
            ended = dev.ended(str(message_id))
            assert str(number) == dev.call("GET", f"work/messages/{message_id}/result").body.decode()
            assert 1 == sum(attempt["outcome"] == "ack" for attempt in ended["attempts"])
    expected = {f"s{session}": list(range(session, 2 * EACH, SESSIONS)) for session in range(SESSIONS)}
    assert expected == _book(stage)


def test_what_waits_what_has_ended_and_the_queues_are_there_after_a_kill(stage: Stage) -> None:
    manifest = stage.manifest(delivery={"maxInterruptions": 0})
    words = ("--data", str(stage.directory / "data"), "-f", manifest, "--exec", HANDLER)
    speak = """
from urllib.request import Request, urlopen
place = headers["Kubedaemon-Callback-Url"] + "/session/state"
asked = Request(place, data, method=method, headers={"Authorization": "Bearer " + headers["Kubedaemon-Token"]})
answer = urlopen(asked).read().decode()
"""
    with stage.dev(*words) as dev:
        assert 201 == dev.call("PUT", "mails", json.dumps({"spec": {"partitions": 4}}).encode()).status
        status, said = stage.refused("--data", words[1], "--port", "0")
        assert (2, 1) == (status, said.count("in use by another kubedaemon; stop that one"))
        later = dev.send("note('later')", Kubedaemon_Delay="2s")
        dead = dev.send("1 / 0", Kubedaemon_Session="other")
        done = dev.send("data, method = b'seven', 'PUT'" + speak, Kubedaemon_Session="me")
        dev.ended(done)
        letter = until(lambda: _dead_letters(dev))
        assert [dead] == letter
        dev.signal(signal.SIGKILL)
        assert -signal.SIGKILL == dev.wait()
    with stage.dev(*words) as dev:
        assert f"data: {words[1]}, on disk before it is confirmed" == dev.says("data: ")
        assert ("succeeded", [dead]) == (dev.message(done)["state"], _dead_letters(dev))
        assert 4 == dev.call("GET", "mails").json["spec"]["partitions"]
        assert "seven" == dev.handle("data, method = None, 'GET'" + speak, Kubedaemon_Session="me")
        dev.ended(later)
        assert 1 == len(stage.journal("later"))


def _dead_letters(dev: Dev) -> list[str]:
    return [letter["id"] for letter in dev.call("GET", "work/dead-letters").json["items"]]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process are set on Linux only")
def test_a_disk_that_refuses_ends_dev_with_the_reason_and_nothing_is_accepted_any_more(stage: Stage) -> None:
    with stage.dev("--data", str(stage.directory / "data")) as dev:
        assert dev.url
        resource.prlimit(dev.process.pid, resource.RLIMIT_FSIZE, (400_000, 400_000))
        while dev.process.poll() is None and _accepts(dev):
            pass
        assert 1 == dev.wait()
        assert "kubedaemon.db cannot be written" in dev.err.read_text()


def _accepts(dev: Dev) -> bool:
    try:
        return dev.call("POST", "default/messages", bytes(20_000)).status == 202
    except (OSError, HTTPException):
        return False
