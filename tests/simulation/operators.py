"""Operators: people who cancel, release, skip and redrive, at any moment, and look after blocked sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from contracts.records import Record, State
from tests.simulation.checker import run

if TYPE_CHECKING:
    from tests.simulation.world import World

QUEUE = ("default", "q")
UNBLOCK_EVERY = 3.0


class Operators:
    """Acts through the same doors of the store and the broker as the dispatcher does."""

    def __init__(self, world: World) -> None:
        self._world = world

    def act(self) -> None:
        acts: list[tuple[str, Callable[[], None]]] = [
            ("cancels", self._cancel),
            ("releases", self._release),
            ("skips", self._skip),
            ("redrives", self._redrive),
        ]
        chosen = [(name, act) for name, act in acts if self._world.has(name)]
        if chosen:
            name, act = self._world.clock.random.choice(chosen)
            self._world.say("operator", "store", name)
            act()

    def _cancel(self) -> None:
        world = self._world
        if not world.checker.accepted:
            return
        message_id = world.clock.random.choice(sorted(world.checker.accepted))
        before = run(world.store.message(*QUEUE, message_id))
        open_before = before is not None and before.ending is None
        record = run(world.store.cancel(*QUEUE, message_id))
        if open_before and record is not None and record.state is State.CANCELLED:
            world.checker.ordered(message_id, "cancelled")

    def _sessions(self) -> list[str]:
        return sorted({m.session for m in self._world.checker.accepted.values() if m.session is not None})

    def _release(self) -> None:
        world = self._world
        sessions = self._sessions()
        if sessions:
            session = world.clock.random.choice(sessions)
            record = run(world.store.release(*QUEUE, session, 1.0))
            self._excuse(record)

    def _excuse(self, record: Record | None) -> None:
        """Its running call is not waited for any more."""
        if record is not None:
            for call in self._world.checker.calls:
                if call.message.id == record.id:
                    call.excused = True

    def _skip(self) -> None:
        sessions = self._sessions()
        if sessions:
            self._skip_head(self._world.clock.random.choice(sessions))

    def _skip_head(self, session: str) -> None:
        record = run(self._world.store.skip(*QUEUE, session, "skipped"))
        self._excuse(record)
        if record is not None:
            self._world.checker.ordered(record.id, "dead")

    def _redrive(self) -> None:
        """As the dispatcher does it: in its place, or published again; then the letter is taken away.

        Not after the store has lost its last moments: that a session was skipped may be among them, and then there is
        nothing in its place any more. ``docs/guarantees.md`` names this exception.
        """
        world = self._world
        if world.checker.rolled_back:
            return
        for letter in run(world.broker.browse(*QUEUE)):
            record = run(world.store.message(*QUEUE, letter.message.id))
            stale = record is not None and record.generation > letter.message.generation
            if letter.kept_by or stale or world.clock.random.random() < 0.5:
                continue
            message = letter.message.of_generation(letter.message.generation + 1)
            if run(world.store.redrive_in_place(message)):
                world.checker.redriven_in_place(message)
            else:
                world.checker.redriven(message)
                world.publish([message])
                run(world.store.redriven(message))
            run(world.broker.remove(*QUEUE, [(letter.message.id, letter.message.generation)]))

    def keep_unblocking(self) -> None:
        """Once the faults are over, somebody skips whatever still blocks a session."""
        for record in list(self._world.state().records.values()):
            if record.blocks and record.session is not None:
                self._skip_head(record.session)
        self._world.clock.after(UNBLOCK_EVERY, self.keep_unblocking)
