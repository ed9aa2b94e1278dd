"""The tables of the file, and opening it: made where it is new, refused where it cannot be used.

Rows of a queue are named by one number: the partition's or queue's in the upper bits, a rising one in the lower. So each
table is a single tree, a partition is one range of it, in order, and nothing needs an index beside it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from contracts.errors import ConfigurationError

FORMAT: Final = 1
"""The version of what the file holds; kept in it as ``user_version``."""

SHIFT: Final = 40
"""Lower bits of a key: a trillion rows of each partition and queue."""

_TABLES: Final = """
CREATE TABLE queues (id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, sets BLOB NOT NULL);
CREATE TABLE messages (key INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE delayed (number INTEGER PRIMARY KEY, queue INTEGER NOT NULL, due_at REAL NOT NULL, body BLOB NOT NULL);
CREATE INDEX delayed_by_time ON delayed (due_at, number);
CREATE TABLE dead (
    queue INTEGER NOT NULL, id TEXT NOT NULL, generation INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (queue, id, generation)
);
CREATE TABLE states (id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, log TEXT NOT NULL);
CREATE TABLE records (key INTEGER PRIMARY KEY, body BLOB NOT NULL, until REAL, settled INTEGER);
CREATE TABLE sessions (
    queue INTEGER NOT NULL, session TEXT NOT NULL, until REAL NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (queue, session)
);
CREATE TABLE events (key INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE definitions (namespace TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (namespace, name));
CREATE TABLE lives (life INTEGER NOT NULL);
INSERT INTO lives VALUES (0);
"""


def key_range(number: int) -> tuple[int, int]:
    """The first and the last key that a partition or queue of this number can have."""
    return number << SHIFT, ((number + 1) << SHIFT) - 1


def open_file(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """The connection that writes and the one that reads. Raises ``ConfigurationError`` where the file is no use."""
    try:
        writer = _connect(path)
        version = int(writer.execute("PRAGMA user_version").fetchone()[0])
        if version == 0:
            _make(writer)
        elif version != FORMAT:
            raise ConfigurationError(
                f"{path} is of format {version}, and this program knows {FORMAT}: "
                "start the version that wrote it, or choose another --data"
            )
        (problem,) = writer.execute("PRAGMA quick_check(1)").fetchone()
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)
        return writer, _connect(path)
    except sqlite3.OperationalError as error:
        raise ConfigurationError(f"{path} cannot be opened ({error}): see that it can be read and written") from error
    except sqlite3.DatabaseError as error:
        raise ConfigurationError(
            f"{path} is damaged ({error}): put a backup in its place, or choose another --data"
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    """In autocommit: transactions are begun and ended in so many words. Used by one thread at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL: the log is synced at each commit, so that not even a power cut takes back what was confirmed.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # of macOS, where a plain one may stop at the disk's cache
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 33554432")
    return connection


def _make(writer: sqlite3.Connection) -> None:
    writer.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
