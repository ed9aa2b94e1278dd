"""The data directory: refused with a sentence where it cannot be used, one process at a time, and its secret."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from backends.durable.directory import FILE, DataDirectory, read_keys
from contracts.errors import ConfigurationError, TransientError
from contracts.tokens import derive_keys
from tests.ports.listening import message, queue


def test_a_directory_that_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path) -> None:
    damaged, newer, secret = tmp_path / "damaged", tmp_path / "newer", tmp_path / "secret"
    for place in (damaged, newer, secret):
        place.mkdir()
    (damaged / FILE).write_bytes(b"not a database, whatever its name says" * 100)
    with contextlib.closing(sqlite3.connect(newer / FILE)) as file:
        file.execute("PRAGMA user_version = 99")
    (secret / "secret").write_text("short\n")
    (tmp_path / "file").touch()
    for place, said in (
        (damaged, "damaged .*backup"),
        (newer, "format 99.*start the version"),
        (secret, "secrets of at least 32 bytes"),
        (tmp_path / "file", "choose a directory"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            DataDirectory(place)


async def test_a_directory_is_used_by_one_at_a_time_and_its_secret_is_its_owners_alone(data: DataDirectory) -> None:
    with pytest.raises(ConfigurationError, match="in use by another"):
        DataDirectory(data.path)
    assert 0o600 == (data.path / "secret").stat().st_mode & 0o777


async def test_the_first_secret_signs_all_verify_and_the_last_names_messages(tmp_path: Path) -> None:
    old, new = "11" * 32, "22" * 32
    (tmp_path / "secret").write_text(f"{new}\n{old}\n")
    expected = derive_keys([bytes.fromhex(new), bytes.fromhex(old)])
    assert (expected.tokens, expected.ids) == ((found := read_keys(tmp_path / "secret")).tokens, found.ids)


async def test_a_disk_that_refuses_confirms_nothing_and_says_so(data: DataDirectory) -> None:
    await data.broker.declare(queue())
    said: list[str] = []
    data.journal.on_failure = said.append
    data.journal.write("INSERT INTO nowhere VALUES (?)", (1,))
    with pytest.raises(TransientError):
        await data.broker.publish([message(1)])
    with pytest.raises(TransientError):
        await data.store.confirm([message(1)])
    assert 1 == len(said)
