"""How this replica stands: what its queue and its handler allow, and whether too much has gone wrong in a row."""

from __future__ import annotations

from contracts.handler import NO_OPTIONS, Options
from contracts.workqueue import WorkQueue

DEAD_IN_A_ROW = 20
"""So many dead letters with no ack between them halt the replica: a bad deploy must not empty a queue into them."""


class Standing:
    """What decides whether attempts may start. ``reason`` says in words why not, empty where nothing is wrong."""

    def __init__(self, workqueue: WorkQueue) -> None:
        self.workqueue = workqueue
        self.spec = workqueue.spec
        self.handler_ready = False
        self.options = NO_OPTIONS
        self.halted = False
        self._dead_in_a_row = 0
        self._handler_reason = "the handler has not started yet"
        self._halt_reason = ""

    @property
    def startable(self) -> bool:
        return self.handler_ready and not self.spec.paused and not self.halted

    @property
    def reason(self) -> str:
        return self._halt_reason or self._handler_reason

    def redefine(self, workqueue: WorkQueue) -> None:
        """A new definition; where the queue was resumed since, a halted replica starts again."""
        if workqueue.resumes > self.workqueue.resumes:
            self.halted = False
            self._dead_in_a_row = 0
            self._halt_reason = ""
        self.workqueue, self.spec = workqueue, workqueue.spec

    def handler_is_ready(self, options: Options) -> None:
        self.handler_ready, self.options, self._handler_reason = True, options, ""

    def handler_is_gone(self, reason: str) -> None:
        self.handler_ready, self._handler_reason = False, reason

    def acked(self) -> None:
        self._dead_in_a_row = 0

    def dead(self, reason: str) -> None:
        """The handler's own outcome was a dead letter."""
        self._dead_in_a_row += 1
        if self._dead_in_a_row >= DEAD_IN_A_ROW and not self.halted:
            self.halted = True
            self._halt_reason = (
                f"halted: {DEAD_IN_A_ROW} messages in a row ended dead with none acked between them, the last because"
                f" {reason[:200]}; see to the handler, then resume the queue"
            )
