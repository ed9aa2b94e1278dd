"""Where ``dev`` keeps what it is told: in memory, or in a directory of which one process at a time makes use."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from backends.durable.directory import DataDirectory, read_keys
from backends.embedded.broker import EmbeddedBroker
from backends.embedded.store import EmbeddedStore
from backends.ports import Broker, Store
from contracts.errors import ConfigurationError, PermanentError
from contracts.tokens import SECRET_BYTES, Keys, derive_keys
from contracts.workqueue import WorkQueue
from dispatcher.adapters.queues import DirectQueues


@dataclass(frozen=True)
class Keeping:
    """A broker, a store, and the keys of the installation whose they are."""

    broker: Broker
    store: Store
    keys: Keys


@asynccontextmanager
async def keeping(data: Path | None, on_failure: Callable[[str], None]) -> AsyncIterator[Keeping]:
    """In the directory, or in memory where there is none.

    ``on_failure`` is told why, should the disk refuse: nothing is accepted from then on. Raises
    ``ConfigurationError`` where the directory cannot be used.
    """
    key_file = Path(given) if (given := os.environ.get("KUBEDAEMON_KEY_FILE")) else None
    if data is None:
        keys = read_keys(key_file) if key_file else derive_keys([secrets.token_bytes(SECRET_BYTES)])
        yield Keeping(EmbeddedBroker(), EmbeddedStore(), keys)
        return
    directory = DataDirectory(data, key_file)
    directory.journal.on_failure = on_failure
    try:
        yield Keeping(directory.broker, directory.store, directory.keys)
    finally:
        await directory.close()


async def define(kept: Keeping, manifests: Sequence[WorkQueue], plain: Sequence[WorkQueue]) -> list[WorkQueue]:
    """Sees to it that all queues are there; those that were asked for come first, then those that were kept.

    A manifest wins over what was kept of its queue, which wins over a queue with all defaults.
    """
    before = {(one.namespace, one.name): one for one in await kept.store.list()}
    wanted: dict[tuple[str, str], WorkQueue] = {}
    for one in manifests:
        old = before.get((one.namespace, one.name), one)
        wanted[one.namespace, one.name] = msgspec.structs.replace(one, resumes=old.resumes)
    for one in plain:
        wanted[one.namespace, one.name] = before.get((one.namespace, one.name), one)
    queues = DirectQueues(kept.broker, kept.store, kept.store)
    for key, one in (wanted | {key: one for key, one in before.items() if key not in wanted}).items():
        try:
            await queues.apply(one)
        except PermanentError as error:
            raise ConfigurationError(f"the queue {'/'.join(key)}: {error}") from error
    return [*wanted.values(), *(one for key, one in before.items() if key not in wanted)]
