"""The promises under faults: many seeds, and proof that the checker can fail: mistakes made on purpose, each noticed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.__main__ import MUTATIONS, bugs, play, replay_command, shrink
from tests.simulation.checker import Broken
from tests.simulation.mutations import Mutation, applied
from tests.simulation.states import DOCUMENT, drawn, picture, transitions
from tests.simulation.world import World

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


def test_the_picture_of_states_is_that_of_the_cores() -> None:
    assert picture(transitions()) == drawn(DOCUMENT.read_text()), "draw it anew: python -m tests.simulation.states"


def test_what_it_found_is_told() -> None:
    document = (DOCUMENT.parent / "simulation.md").read_text()
    told = document.partition("<!-- bugs -->\n")[2].partition("\n<!-- end of bugs -->")[0]
    assert bugs() == told, "the table is printed by: python -m tests.simulation --bugs"


def test_a_seed_that_fails_is_shrunk() -> None:
    mutation = next(one for one in MUTATIONS if one.name == "no burial")
    with applied(mutation):
        before, small = World(mutation.seed), shrink(mutation.seed, ())
        with pytest.raises(Broken):
            small.play()
    assert len(small.faults) < len(before.faults)
    assert any("Commit" in line.what for line in small.trace or ()), "it tells what happened"


def test_a_seed_is_the_same_life_everywhere() -> None:
    """Neither the hashes of strings nor where objects lie in memory have a say."""
    tell = "from tests.simulation.trace import digest; print(digest(range(60)))"
    told = {
        subprocess.run(
            [sys.executable, "-c", tell], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert 1 == len(told)
