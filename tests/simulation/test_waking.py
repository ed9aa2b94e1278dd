"""A queue at zero wakes for everything that comes, without ever looking of its own accord."""

from __future__ import annotations

import pytest

from tests.simulation.mistakes_of_waking import OF_WAKING
from tests.simulation.mutations import Mutation, applied
from tests.simulation.waking import play

SEEDS = 150
BOUND = 300


def test_every_message_is_handled() -> None:
    for seed in range(SEEDS):
        assert (seed, None) == play(seed)


@pytest.mark.parametrize("mutation", OF_WAKING, ids=lambda mutation: mutation.name)
def test_a_mistake_is_noticed(mutation: Mutation) -> None:
    with applied(mutation):
        assert any(play(seed)[1] is not None for seed in range(BOUND)), f"{mutation.why}; nobody noticed"
