"""How many replicas a queue should have, and why: pure, so that every decision can be replayed and explained."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from contracts.workqueue import Spec

ASSUMED_SECONDS = 1.0
"""How long a message is taken to need before the first has been handled."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a queue at one moment. None: not known, which never scales down.

    ``ready`` counts messages over all partitions; ``working`` the partitions that hold any, ready or unacked.
    ``lanes`` are the sessions in the replicas' windows, known once every replica has reported.
    ``handling_seconds`` is the mean time of a handler call.
    """

    ready: int | None
    unacked: int | None
    running: int | None
    working: int | None
    lanes: int | None
    arrivals_per_second: float
    handling_seconds: float | None


class Decision(msgspec.Struct, frozen=True):
    """So many replicas are desired, for this reason in words."""

    desired: int
    reason: str


class Unknown(msgspec.Struct, frozen=True):
    """It cannot be said; whatever is there stays, for this reason in words."""

    reason: str


class Wish(msgspec.Struct, frozen=True):
    """What was wanted at a time (monotonic), and whether there was any work at all."""

    at: float
    desired: int
    work: bool


def decide(observation: Observation, spec: Spec, history: Sequence[Wish], now: float) -> Decision | Unknown:
    """The number of replicas for now. ``history`` are earlier wishes, oldest first; see ``wish`` and ``remember``."""
    current = wish(observation, spec, now)
    if isinstance(current, Unknown):
        return current
    desired, reason = _wanted(observation, spec)
    least = spec.scaling.min_replicas
    recent = [w for w in history if w.at > now - spec.scaling.idle_seconds]
    highest = min(max((w.desired for w in recent), default=0), spec.scaling.max_replicas)
    if desired >= highest:
        return Decision(max(desired, least), reason)
    if current.work:
        return Decision(max(highest, least), f"{reason}; {highest} were needed within the last {_idle(spec)}")
    return Decision(max(highest, least), f"idle, waiting {_idle(spec)} before scaling down")


def wish(observation: Observation, spec: Spec, now: float) -> Wish | Unknown:
    """What this moment alone asks for."""
    if observation.ready is None or observation.unacked is None:
        return Unknown("the broker does not say what waits; nothing is scaled down")
    desired, _ = _wanted(observation, spec)
    return Wish(now, desired, _backlog(observation) > 0)


def remember(history: Sequence[Wish], latest: Wish, spec: Spec) -> list[Wish]:
    """The history that is still needed after ``latest``: a falling run of maxima, so that it stays short."""
    kept = [w for w in history if w.at > latest.at - spec.scaling.idle_seconds and w.desired > latest.desired]
    return [*kept, latest]


def _idle(spec: Spec) -> str:
    return f"{spec.scaling.idle_seconds:g} s"


def _wanted(observation: Observation, spec: Spec) -> tuple[int, str]:
    least = spec.scaling.min_replicas
    backlog = _backlog(observation)
    if not backlog:
        return least, f"nothing waits; minReplicas is {least}" if least else "nothing waits"
    known = observation.handling_seconds
    seconds = ASSUMED_SECONDS if known is None else known
    aim = spec.scaling.target_delay_seconds
    # Little's law for what arrives, and the backlog worked off within the aim.
    concurrency = observation.arrivals_per_second * seconds + backlog * seconds / aim
    needed = max(1, math.ceil(concurrency / spec.sessions.concurrency_per_replica))
    reason = f"{backlog} waiting or running at {seconds * 1000:.3g} ms each, to be worked off within {aim:g} s"
    if known is None:
        needed = max(needed, observation.working or 1)
        reason = f"{backlog} waiting, no handling time known yet: a replica for each partition with work"
    most, name = _bound(observation, spec)
    if needed > most:
        return max(most, least), f"{reason}; held to {most} by {name}"
    return max(needed, least), reason


def _bound(observation: Observation, spec: Spec) -> tuple[int, str]:
    """More replicas than this would have nothing to do; and which bound it is."""
    per_replica = spec.sessions.concurrency_per_replica
    bounds = [
        (spec.scaling.max_replicas, "maxReplicas"),
        (math.ceil(spec.sessions.max_concurrent / per_replica), "sessions.maxConcurrent"),
    ]
    if observation.working is not None:
        bounds.append((max(1, observation.working), "the partitions that hold work"))
    if observation.lanes is not None:
        bounds.append((max(1, math.ceil(observation.lanes / per_replica)), "the sessions that wait"))
    return min(bounds, key=lambda bound: bound[0])


def _backlog(observation: Observation) -> int:
    return max((observation.ready or 0) + (observation.unacked or 0), observation.running or 0)
