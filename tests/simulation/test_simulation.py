"""The promises under faults: many seeds, and proof that the checker can fail: mistakes made on purpose, each noticed."""

from __future__ import annotations

import pytest

from tests.simulation.__main__ import play, replay_command
from tests.simulation.mutations import MUTATIONS, Mutation, applied

SEEDS = 1200
BOUND = 1000
"""How many seeds may be needed to notice a mutation, should the one that once did not do so any more."""


@pytest.mark.parametrize("part", range(4))
def test_the_promises_hold(part: int) -> None:
    for seed in range(part * SEEDS // 4, (part + 1) * SEEDS // 4):
        _, trouble = play(seed)
        assert trouble is None, f"seed {seed}: {trouble}; replay: {replay_command(seed)}"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_is_noticed(mutation: Mutation) -> None:
    with applied(mutation):
        seeds = (mutation.seed, *range(BOUND))
        noticed = any(play(seed, mutation.needs)[1] is not None for seed in seeds)
    assert noticed, f"{mutation.why}; nobody noticed"
    assert (mutation.seed, None) == play(mutation.seed, mutation.needs), "the mistake was not taken back"
