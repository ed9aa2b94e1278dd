"""The queues as the dispatcher knows them: followed, so that no request has to ask the store for a definition."""

from __future__ import annotations

from collections.abc import Callable

from backends.ports import Definitions
from contracts.problems import Problem, ProblemError
from contracts.workqueue import WorkQueue

HOME = "default"
"""The namespace that is there even without a queue."""

_NAMED = 20
"""How many names an error lists at most."""


class Catalogue:
    """Every queue by namespace and name. ``on_gone(namespace, queue)`` hears of those that are deleted.

    ``names_namespaces``: an error may tell every caller which namespaces there are.
    """

    def __init__(self, on_gone: Callable[[str, str], None], *, names_namespaces: bool = True) -> None:
        self._namespaces: dict[str, dict[str, WorkQueue]] = {}
        self._on_gone = on_gone
        self._names_namespaces = names_namespaces
        self._unwatch: Callable[[], None] | None = None

    def follow(self, definitions: Definitions) -> None:
        self._unwatch = definitions.watch(self._changed)

    def close(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _changed(self, namespace: str, queue: str, workqueue: WorkQueue | None) -> None:
        if workqueue is not None:
            self._namespaces.setdefault(namespace, {})[queue] = workqueue
            return
        queues = self._namespaces.get(namespace, {})
        if queues.pop(queue, None) is not None:
            self._on_gone(namespace, queue)
        if not queues:
            self._namespaces.pop(namespace, None)

    def get(self, namespace: str, queue: str) -> WorkQueue | None:
        return self._namespaces.get(namespace, {}).get(queue)

    def find(self, namespace: str, queue: str) -> WorkQueue:
        """The queue. Raises ``ProblemError`` 404 that names those that are there."""
        found = self.get(namespace, queue)
        if found is None:
            there = _names([one.name for one in self.list(namespace)])
            detail = f"There is no queue {queue[:80]!a} in namespace {namespace!r}. There is: {there}."
            raise ProblemError(Problem.UNKNOWN_QUEUE, detail)
        return found

    def list(self, namespace: str) -> list[WorkQueue]:
        """By name. Raises ``ProblemError`` 404 for a namespace without any queue."""
        queues = self._namespaces.get(namespace)
        if queues is None:
            if namespace == HOME:
                return []
            there = f" There is: {_names([HOME, *self._namespaces])}." if self._names_namespaces else ""
            detail = f"There is no namespace {namespace[:80]!a}.{there} PUT its first queue to make it."
            raise ProblemError(Problem.UNKNOWN_NAMESPACE, detail)
        return [queues[name] for name in sorted(queues)]

    def any(self) -> WorkQueue | None:
        """Some queue, to try things on."""
        return next((queue for queues in self._namespaces.values() for queue in queues.values()), None)


def _names(names: list[str]) -> str:
    known = sorted(set(names))
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return (", ".join(known[:_NAMED]) or "none") + more
