"""Mistakes in how partitions are doubled."""

from __future__ import annotations

from tests.simulation.mutations import Mutation

_MEMBERSHIP = "sidecar.core.membership"
_FENCE = "backends.embedded.fence"
_STATE = "backends.embedded.state"
_LANES = "sidecar.core.lanes"
_EMPTYING = "sidecar.core.emptying"

OF_DOUBLING = (
    Mutation(
        "new partition opened early",
        _MEMBERSHIP,
        "        return before is None or partition.within(before) in self._emptied",
        "        return True",
        "a newer set is consumed while an older one has messages of its sessions",
        needs=("doubling", "slow handlers"),
        seed=4,
    ),
    Mutation(
        "what is left overtaken",
        _FENCE,
        "    if state.lingering.get(lane, op.of) < op.of:",
        "    if False:",
        "a session goes on by the newer set while a retry of it waits in the older one",
        needs=("doubling", "failures"),
        seed=4,
    ),
    Mutation(
        "nobody told that a session is free",
        _STATE,
        "        self.lingering = {lane: one.of for one in by_age for lane in self.emptied[one]}\n",
        "",
        "what is left in an older set holds nothing up",
        needs=("doubling", "failures"),
        seed=4,
    ),
    Mutation(
        "a late word counts",
        _STATE,
        "        left = lanes if before is None else lanes & before",
        "        left = lanes",
        "a replica that was cut off takes back that a session has left the older set",
        needs=("doubling", "slow store", "half-open connections"),
        seed=574,
    ),
    Mutation(
        "one lane for all sets",
        _LANES,
        "        lanes = self._sets.get(of)",
        "        lanes = self._sets.get(of := 1)",
        "what comes again by the older set goes behind what came by the newer",
        needs=("doubling", "connections cut", "failures", "slow handlers"),
        seed=4,
    ),
    Mutation(
        "told while it is handed over",
        _EMPTYING,
        "            if not channel.over or channel.close_at is not None or channel.told == channel.outstanding:",
        "            if not channel.over or channel.told == channel.outstanding:",
        "what was given back, to be started elsewhere, counts as gone",
        needs=("doubling", "slow handlers", "replicas drain"),
        seed=100,
    ),
    Mutation(
        "not told again",
        _EMPTYING,
        "            channel.told = None",
        "            pass",
        "nobody tells a store that has lost it that the older set is empty",
        real=True,
        needs=("doubling", "store forgets", "store loses its last second", "slow handlers"),
        seed=148,
    ),
)
