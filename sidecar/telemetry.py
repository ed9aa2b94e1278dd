"""Every metric of the sidecar. Counted by turn, so that the path of a message pays next to nothing."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from contracts.fence import Commit, Fail, Operation

_LABELS = ("namespace", "queue")


class Telemetry:
    """The sidecar's metrics in one registry; shared by all replicas of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.calls = Counter(
            "kubedaemon_sidecar_handler_calls_total", "Handler calls started.", _LABELS, registry=registry
        )
        self.attempts = Counter(
            "kubedaemon_sidecar_attempts_total",
            "Attempts that ended, by outcome: ack, retry, interrupted, dead-letter.",
            (*_LABELS, "outcome"),
            registry=registry,
        )
        self.handler_seconds = Counter(
            "kubedaemon_sidecar_handler_busy_seconds_total",
            "Time that attempts spent between claim and answer.",
            _LABELS,
            registry=registry,
        )
        self.store_failures = Counter(
            "kubedaemon_sidecar_store_failures_total", "Calls to the store that failed.", _LABELS, registry=registry
        )
        self.handler_checks = Counter(
            "kubedaemon_sidecar_handler_checks_total",
            "Times that the handler had to pass /healthz and /init.",
            _LABELS,
            registry=registry,
        )
        self.in_flight = Gauge("kubedaemon_sidecar_running_calls", "Handler calls running.", _LABELS, registry=registry)


class QueueTelemetry:
    """The same metrics, bound to one queue."""

    def __init__(self, telemetry: Telemetry, namespace: str, queue: str) -> None:
        self.calls = telemetry.calls.labels(namespace, queue)
        self.handler_seconds = telemetry.handler_seconds.labels(namespace, queue)
        self.store_failures = telemetry.store_failures.labels(namespace, queue)
        self.handler_checks = telemetry.handler_checks.labels(namespace, queue)
        self.in_flight = telemetry.in_flight.labels(namespace, queue)
        self._attempts = {
            outcome: telemetry.attempts.labels(namespace, queue, outcome)
            for outcome in ("ack", "retry", "interrupted", "dead-letter")
        }

    def asked(self, operations: Sequence[Operation]) -> None:
        """Counts the attempts that end with this turn."""
        tally: dict[str, int] = {}
        seconds = 0.0
        for operation in operations:
            if isinstance(operation, Commit | Fail) and operation.attempt is not None:
                attempt = operation.attempt
                outcome = attempt.outcome or ""
                tally[outcome] = tally.get(outcome, 0) + 1
                seconds += (attempt.ended_at or attempt.started_at) - attempt.started_at
        for outcome, count in tally.items():
            self._attempts[outcome].inc(count)
        if seconds > 0:
            self.handler_seconds.inc(seconds)
