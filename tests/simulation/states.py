"""The states of a lane and what leads from one to the next, as the simulation has seen them: for ``docs/protocol.md``.

``python -m tests.simulation.states`` writes the picture anew; a test holds it against the cores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sidecar.core.lanes import Lane, Phase
from tests.simulation.world import World

SEEDS = 250
DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
_BEGIN, _END = "<!-- states: drawn by tests/simulation/states.py -->\n", "<!-- end of states -->\n"

Transition = tuple[Phase, Phase]


@contextlib.contextmanager
def watched(seen: set[Transition]) -> Iterator[None]:
    """Notes each change of a lane's phase while this lasts."""
    slot: Any = Lane.__dict__["phase"]

    def write(lane: Lane, phase: Phase) -> None:
        before = getattr(lane, "tries", None)
        if before is not None:
            seen.add((slot.__get__(lane), phase))
        slot.__set__(lane, phase)

    name = "phase"  # a class with slots lets nobody say it plainly
    setattr(Lane, name, property(slot.__get__, write))
    try:
        yield
    finally:
        setattr(Lane, name, slot)


def transitions(seeds: int = SEEDS) -> set[Transition]:
    """All changes of phase in so many seeds; a phase that follows itself is none."""
    seen: set[Transition] = set()
    with watched(seen):
        for seed in range(seeds):
            World(seed).play()
    return {(one, other) for one, other in seen if one is not other}


def picture(seen: set[Transition]) -> str:
    """A Mermaid state diagram."""
    lines = [f"    {one.name} --> {other.name}" for one, other in sorted(seen)]
    ends = ["    [*] --> READY", *lines, "    EMPTY --> [*]"]
    return "\n".join(["```mermaid", "stateDiagram-v2", *ends, "```", ""])


def drawn(document: str) -> str:
    """The picture in the document."""
    return document.partition(_BEGIN)[2].partition(_END)[0]


def main() -> None:
    text = DOCUMENT.read_text()
    head, _, rest = text.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    DOCUMENT.write_text(head + _BEGIN + picture(transitions()) + _END + tail)


if __name__ == "__main__":
    main()
