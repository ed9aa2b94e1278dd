"""The names and labels of all metrics, and that all of them are shown in one place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

import dispatcher.telemetry
import scaler.telemetry
import sidecar.telemetry
from backends.embedded.broker import EmbeddedBroker
from backends.embedded.store import EmbeddedStore
from contracts.tokens import derive_keys
from dispatcher.runtime import Dispatcher

COMPONENTS: dict[str, Callable[[CollectorRegistry], Any]] = {
    "dispatcher": dispatcher.telemetry.Telemetry,
    "scaler": scaler.telemetry.Telemetry,
    "sidecar": sidecar.telemetry.Telemetry,
}

UNITS = {"bytes", "calls", "messages", "replicas", "seconds", "streams", "waits"}

BOUNDED = {
    "namespace": "of queues that exist",
    "queue": "of queues that exist",
    "outcome": "of the answer table",
    "problem": "of the list of problems",
    "route": "templates, not paths",
    "method": "those that a route serves",
    "status": "classes",
}
"""The labels that there may be, and what keeps the number of their values small."""


def families(registry: CollectorRegistry) -> dict[str, str]:
    """The kind of each metric by its name as it is shown."""
    return {f"{m.name}_total" if m.type == "counter" else m.name: m.type for m in registry.collect()}


@pytest.fixture
def registry(component: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    COMPONENTS[component](registry)
    return registry


@pytest.mark.parametrize("component", COMPONENTS)
class TestMetrics:
    def test_a_name_says_the_component_the_thing_and_the_unit(
        self, component: str, registry: CollectorRegistry
    ) -> None:
        form = re.compile(rf"kubedaemon_{component}(_[a-z]+)+_({'|'.join(UNITS)})")
        names = [name.removesuffix("_total") for name, kind in families(registry).items() if kind != "counter"]
        assert [] == [name for name in names if form.fullmatch(name) is None]

    def test_a_counter_says_the_component_and_the_thing_and_ends_in_total(
        self, component: str, registry: CollectorRegistry
    ) -> None:
        form = re.compile(rf"kubedaemon_{component}(_[a-z]+)+_total")
        named = families(registry)
        counters = {name for name, kind in named.items() if kind == "counter"}
        assert counters, "there is something to count"
        assert counters == {name for name in named if form.fullmatch(name)}

    def test_it_says_in_a_sentence_what_it_is(self, component: str, registry: CollectorRegistry) -> None:
        silent = [metric.name for metric in registry.collect() if not re.fullmatch("[A-Z].+[.]", metric.documentation)]
        assert [] == silent

    def test_labels_are_bounded(self, component: str) -> None:
        telemetry = COMPONENTS[component](CollectorRegistry())
        metrics = [metric for metric in vars(telemetry).values() if isinstance(metric, MetricWrapperBase)]
        assert len(metrics) > 3
        assert set() == {label for metric in metrics for label in metric._labelnames} - BOUNDED.keys()


async def test_the_dispatcher_shows_the_metrics_of_all_that_share_its_registry() -> None:
    registry, broker, store = CollectorRegistry(), EmbeddedBroker(), EmbeddedStore()
    scaler.telemetry.Telemetry(registry)
    sidecar.telemetry.Telemetry(registry)
    serving = Dispatcher(broker=broker, store=store, keys=derive_keys([b"s" * 32]), registry=registry)
    port = await serving.start("127.0.0.1", 0)
    url = f"http://127.0.0.1:{port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
    await serving.stop()
    shown = dict(re.findall(r"^# TYPE (kubedaemon_\S+) (\S+)$", text, re.MULTILINE))
    expected = families(registry)
    assert {f"kubedaemon_{component}" for component in COMPONENTS} == {"_".join(n.split("_")[:2]) for n in expected}
    assert expected == {name: kind for name, kind in shown.items() if not name.endswith("_created")}
