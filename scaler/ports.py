"""What the scaler's shell needs from the outside, beside the broker and the store of ``backends.ports``."""

from __future__ import annotations

from typing import Protocol

from contracts.workqueue import WorkQueue


class Workloads(Protocol):
    """Runs replicas of a queue's handler: local processes, or pods."""

    def observed(self, namespace: str, queue: str) -> int:
        """How many replicas there are, starting and stopping ones among them."""

    async def scale(self, workqueue: WorkQueue, desired: int) -> None:
        """Makes it be so many, idle ones going first. Returns before they are ready or gone; harmless to repeat."""
