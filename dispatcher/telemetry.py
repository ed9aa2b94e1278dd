"""Every metric of the dispatcher. Labels are bounded: templates of routes, classes of statuses, queues that exist."""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contracts.problems import Problem

_QUEUE = ("namespace", "queue")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Telemetry:
    """The dispatcher's metrics in one registry; children are kept at hand, since looking them up costs more."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "kubedaemon_dispatcher_requests_total",
            "Requests answered.",
            ("route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "kubedaemon_dispatcher_request_duration_seconds",
            "From the head of a request to its answer, waits among them.",
            ("route", "method"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._accepted = Counter(
            "kubedaemon_dispatcher_messages_accepted_total",
            "Messages that the broker confirmed.",
            _QUEUE,
            registry=registry,
        )
        self._refused = Counter(
            "kubedaemon_dispatcher_messages_refused_total",
            "Messages that were not accepted, by the problem they were answered with.",
            (*_QUEUE, "problem"),
            registry=registry,
        )
        self._redriven = Counter(
            "kubedaemon_dispatcher_messages_redriven_total", "Dead letters sent back.", _QUEUE, registry=registry
        )
        self.listeners = Gauge("kubedaemon_dispatcher_open_streams", "Open streams of events.", registry=registry)
        self.waits_open = Gauge("kubedaemon_dispatcher_open_waits", "Requests that wait for an end.", registry=registry)
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._taken: dict[tuple[str, str], Counter] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        key = (route, method, status // 100)
        children = self._answers.get(key)
        if children is None:
            counter = self._requests.labels(route, method, f"{status // 100}xx")
            children = self._answers[key] = (counter, self._seconds.labels(route, method))
        children[0].inc()
        children[1].observe(seconds)

    def accepted(self, namespace: str, queue: str) -> None:
        child = self._taken.get((namespace, queue))
        if child is None:
            child = self._taken[namespace, queue] = self._accepted.labels(namespace, queue)
        child.inc()

    def refused(self, namespace: str, queue: str, problem: str) -> None:
        self._refused.labels(namespace, queue, problem).inc()

    def redriven(self, namespace: str, queue: str, count: int) -> None:
        self._redriven.labels(namespace, queue).inc(count)

    def forget(self, namespace: str, queue: str) -> None:
        """The queue is gone, and its series with it."""
        self._taken.pop((namespace, queue), None)
        for metric in (self._accepted, self._redriven):
            with suppress(KeyError):
                metric.remove(namespace, queue)
        for problem in Problem:
            with suppress(KeyError):
                self._refused.remove(namespace, queue, problem.slug)
