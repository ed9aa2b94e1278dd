"""The data directory of one installation on one machine: its lock, its secret and its file."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from backends.durable.broker import DurableBroker
from backends.durable.journal import Journal
from backends.durable.store import DurableStore
from contracts.errors import ConfigurationError, PermanentError, TransientError
from contracts.tokens import SECRET_BYTES, Keys, derive_keys

FILE: Final = "kubedaemon.db"
SECRET: Final = "secret"


class DataDirectory:
    """Opened by one process at a time. Raises ``ConfigurationError`` where it cannot be used, saying what to do."""

    def __init__(self, path: Path, key_file: Path | None = None) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"--data {path}: {error.strerror}; choose a directory that you may write"
            ) from error
        try:
            self._open(path, key_file)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, path: Path, key_file: Path | None) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigurationError(
                f"--data {path} is in use by another kubedaemon; stop that one, or choose another directory"
            ) from error
        self.keys: Keys = read_keys(key_file or _own_secret(path / SECRET))
        self.journal = Journal(path / FILE)
        _sync(path)
        _sync(path.absolute().parent)
        try:
            self.broker = DurableBroker(self.journal)
            self.store = DurableStore(self.journal)
        except (TransientError, PermanentError, msgspec.MsgspecError) as error:
            self.journal.abandon()
            raise ConfigurationError(
                f"{path / FILE} is damaged ({error}): put a backup in its place, or choose another --data"
            ) from error

    async def close(self) -> None:
        """Commits what is left and lets go of the directory."""
        self.broker.close()
        await self.journal.close()
        os.close(self._lock)


def _own_secret(path: Path) -> Path:
    """The secret of this directory, made where there is none. It is on disk before anything was signed with it."""
    if not path.exists():
        try:
            made = path.with_suffix(".new")
            file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, secrets.token_hex(SECRET_BYTES).encode() + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
            made.rename(path)
            _sync(path.parent)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written ({error.strerror}); choose another --data") from error
    return path


def _sync(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def read_keys(path: Path) -> Keys:
    """The keys of the secrets in a file: one a line in hexadecimal, the newest first."""
    try:
        lines = path.read_text("ascii").split()
        return derive_keys([bytes.fromhex(line) for line in lines])
    except (OSError, ValueError, ConfigurationError) as error:
        why = error.strerror if isinstance(error, OSError) else "not the secrets of an installation"
        raise ConfigurationError(
            f"{path}: {why}; it holds secrets of at least {SECRET_BYTES} bytes in hexadecimal, one a line, "
            "of which the first signs and the last names messages"
        ) from error
