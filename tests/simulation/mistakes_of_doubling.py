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
        seed=59,
    ),
    Mutation(
        "what is left overtaken",
        _FENCE,
        "    if state.lingering.get(lane, op.of) < op.of:",
        "    if False:",
        "a session goes on by the newer set while a retry of it waits in the older one",
        needs=("doubling", "failures"),
        seed=7,
    ),
    Mutation(
        "nobody told that a session is free",
        _STATE,
        "        self.lingering = {lane: one.of for one in by_age for lane in self.emptied[one]}\n",
        "",
        "what is left in an older set holds nothing up",
        needs=("doubling", "failures"),
        seed=7,
    ),
    Mutation(
        "a late word counts",
        _STATE,
        "        left = lanes if before is None else lanes & before",
        "        left = lanes",
        "a replica that was cut off takes back that a session has left the older set",
        needs=("doubling", "slow store", "half-open connections"),
        seed=319,
    ),
    Mutation(
        "one lane for all sets",
        _LANES,
        "        lanes = self._sets.get(of)",
        "        lanes = self._sets.get(of := 1)",
        "what comes again by the older set goes behind what came by the newer",
        needs=("doubling", "connections cut", "failures", "slow handlers"),
        seed=87,
    ),
    Mutation(
        "told once",
        _EMPTYING,
        "            if not channel.over or channel.close_at is not None or channel.told == channel.outstanding:",
        "            if not channel.over or channel.close_at is not None or channel.told is not None:",
        "sessions that were left when nothing followed are held for ever",
        needs=("doubling", "slow handlers"),
    ),
    Mutation(
        "told while it is handed over",
        _EMPTYING,
        "            if not channel.over or channel.close_at is not None or channel.told == channel.outstanding:",
        "            if not channel.over or channel.told == channel.outstanding:",
        "what was given back, to be started elsewhere, counts as gone",
        needs=("doubling", "slow handlers", "replicas drain"),
        seed=224,
    ),
    Mutation(
        "not told to a store that forgot",
        _EMPTYING,
        "        if reply.life != self._life:",
        "        if False:",
        "nobody tells a store that forgot that the older set is empty",
        needs=("doubling", "store forgets", "slow handlers"),
        seed=586,
    ),
)
