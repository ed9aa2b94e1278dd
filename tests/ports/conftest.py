"""The adapters under test: each suite here runs against every one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from backends.durable.directory import DataDirectory
from backends.embedded.broker import EmbeddedBroker
from backends.embedded.store import EmbeddedStore
from backends.ports import Broker, Store

ADAPTERS = ("embedded", "durable")


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[DataDirectory]:
    async with AsyncExitStack() as stack:
        opened = DataDirectory(tmp_path / "data")
        stack.push_async_callback(opened.close)
        yield opened


@pytest.fixture(params=ADAPTERS)
async def broker(request: pytest.FixtureRequest, data: DataDirectory) -> Broker:
    return EmbeddedBroker() if request.param == "embedded" else data.broker


@pytest.fixture(params=ADAPTERS)
async def store(request: pytest.FixtureRequest, data: DataDirectory) -> Store:
    return EmbeddedStore() if request.param == "embedded" else data.store
