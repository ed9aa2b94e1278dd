"""The adapters under test: each suite here runs against every one of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backends.embedded.broker import EmbeddedBroker
from backends.embedded.store import EmbeddedStore
from backends.ports import Broker, Store

BROKERS: dict[str, Callable[[], Broker]] = {"embedded": EmbeddedBroker}
STORES: dict[str, Callable[[], Store]] = {"embedded": EmbeddedStore}


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Broker:
    return BROKERS[request.param]()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    return STORES[request.param]()
