"""Waking from zero: the doorbell is armed, then the queue is looked at, and only then is it safe to sleep.

In that order, because a message that came between the last look and the arming would ring no bell. While awake
there is no bell and it costs nothing.
"""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    AWAKE = auto()
    ARMING = auto()
    LOOKING = auto()
    ASLEEP = auto()


class Happening(Enum):
    ALL_GONE = auto()
    """The last replica is gone and none is wanted."""
    ARMED = auto()
    FOUND_NOTHING = auto()
    FOUND_WORK = auto()
    RANG = auto()
    WANTED = auto()
    """Replicas are wanted for another reason: minReplicas, a change of the definition."""


class Step(Enum):
    ARM = auto()
    LOOK = auto()
    SLEEP = auto()
    WAKE = auto()


_AWAKE = (Phase.AWAKE, Step.WAKE)

_MOVES: dict[tuple[Phase, Happening], tuple[Phase, Step]] = {
    (Phase.AWAKE, Happening.ALL_GONE): (Phase.ARMING, Step.ARM),
    (Phase.ARMING, Happening.ARMED): (Phase.LOOKING, Step.LOOK),
    (Phase.ARMING, Happening.RANG): _AWAKE,
    (Phase.ARMING, Happening.WANTED): _AWAKE,
    (Phase.LOOKING, Happening.FOUND_NOTHING): (Phase.ASLEEP, Step.SLEEP),
    (Phase.LOOKING, Happening.FOUND_WORK): _AWAKE,
    (Phase.LOOKING, Happening.RANG): _AWAKE,
    (Phase.LOOKING, Happening.WANTED): _AWAKE,
    (Phase.ASLEEP, Happening.RANG): _AWAKE,
    (Phase.ASLEEP, Happening.FOUND_WORK): _AWAKE,
    (Phase.ASLEEP, Happening.WANTED): _AWAKE,
}


def move(phase: Phase, happening: Happening) -> tuple[Phase, Step | None]:
    """The next phase and what to do for it; what means nothing in this phase changes nothing."""
    return _MOVES.get((phase, happening), (phase, None))
