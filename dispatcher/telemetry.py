"""Every metric of the dispatcher."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Telemetry:
    """The dispatcher's metrics in one registry. ``route`` is the template of the path, never the path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "kubedaemon_dispatcher_requests_total", "Requests answered.", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "kubedaemon_dispatcher_request_seconds", "From request to answer, waits among them.", registry=registry
        )
        self.accepted = Counter(
            "kubedaemon_dispatcher_messages_accepted_total",
            "Messages that the broker confirmed.",
            ("namespace", "queue"),
            registry=registry,
        )
        self.waits = Gauge("kubedaemon_dispatcher_waits_open", "Requests that wait for an end.", registry=registry)
