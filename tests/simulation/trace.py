"""What happened in one simulated life, as lines to read and as a sequence diagram."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, NamedTuple

from contracts.fence import EPOCHS_PER_LIFE, Commit, Operation, Propose, Renew, Settle
from contracts.records import replica_name
from contracts.replies import Claimed, Reply

_QUIET = (Renew, Propose, Settle)
_NUMBERS = ("nonce", "attempt", "epoch", "generation", "life", "seconds", "marked", "blocks")


class Line(NamedTuple):
    """At this time ``source`` did ``what`` to ``target``; ``about`` is a message's id, where it is about one."""

    at: float
    source: str
    target: str
    what: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.at:9.3f}  {self.source:>8} -> {self.target:8}  {self.what}"


def store_lines(at: float, incarnation: str, operations: list[Operation], replies: list[Reply]) -> list[Line]:
    """What a replica asked of the store, and was answered; renewals and the like are left out."""
    lines = []
    for operation, reply in zip(operations, replies, strict=True):
        if not isinstance(operation, _QUIET):
            message = getattr(operation, "message", None)
            about = message.id if message is not None else getattr(operation, "id", "")
            what = f"{_told(operation)} {about}: {_told(reply)}"
            lines.append(Line(at, replica_name(incarnation), "store", what, about))
    return lines


def _told(value: Any) -> str:
    """The name of an operation or a reply, with the numbers that decide something."""
    shown = []
    for name in _NUMBERS:
        number = getattr(value, name, None)
        if isinstance(number, (int, float)) and number:
            shown.append(f"{name} {int(number) % EPOCHS_PER_LIFE if name == 'epoch' else number:g}")
    if isinstance(value, Commit):
        shown.append(str(value.ending.state))
    elif isinstance(value, Claimed):
        shown = [one for one in shown if not one.startswith("generation 1")]
    return " ".join([type(value).__name__, *(f"({', '.join(shown)})" for _ in shown[:1])])


def diagram(lines: list[Line], about: str = "", most: int = 120) -> str:
    """A Mermaid sequence diagram: of everything, or of what is about one message and of what happens to replicas."""
    chosen = [line for line in lines if not about or line.about in ("", about)][-most:]
    names = sorted({name for line in chosen for name in (line.source, line.target)} - {"store"})
    head = ["sequenceDiagram", *(f"    participant {name}" for name in (*names, "store"))]
    return "\n".join(
        [*head, *(f"    {line.source}->>{line.target}: {line.at:.2f} {line.what.replace(';', ',')}" for line in chosen)]
    )


def digest(seeds: Iterable[int]) -> str:
    """All that happened in the lives of these seeds, as one number: the same wherever and whenever they are played."""
    from tests.simulation.world import World

    whole = blake2b(digest_size=16)
    for seed in seeds:
        world = World(seed, keep_trace=True)
        world.play()
        whole.update("\n".join(map(str, world.trace or [])).encode())
    return whole.hexdigest()
