"""Every metric of the scaler."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LABELS = ("namespace", "queue")


class Telemetry:
    """The scaler's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.desired = Gauge("kubedaemon_scaler_desired_replicas", "Replicas wanted.", _LABELS, registry=registry)
        self.observed = Gauge("kubedaemon_scaler_observed_replicas", "Replicas there.", _LABELS, registry=registry)
        self.backlog = Gauge(
            "kubedaemon_scaler_backlog_messages", "Messages ready or unacked.", _LABELS, registry=registry
        )
        self.decisions = Counter(
            "kubedaemon_scaler_decisions_total", "Changes of the wanted number.", _LABELS, registry=registry
        )
        self.wakes = Counter("kubedaemon_scaler_wakes_total", "Wakes from zero.", _LABELS, registry=registry)
        self.wake_seconds = Histogram(
            "kubedaemon_scaler_wake_decision_seconds",
            "From the ring of the doorbell to the decision.",
            _LABELS,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1),
            registry=registry,
        )
