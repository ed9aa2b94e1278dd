"""Waking from zero, walked through completely: every sequence of happenings up to a length."""

from __future__ import annotations

from itertools import product

import pytest

from scaler.core.waking import Happening, Phase, Step, move

LONGEST = 8
OPEN_EYES = {Happening.RANG, Happening.WANTED}

State = tuple[Phase, tuple[Step, ...], bool]


def walked() -> dict[State, tuple[Happening, ...]]:
    """Every state that some sequence of at most ``LONGEST`` happenings leads to, with the shortest such sequence.

    A state is the phase, the steps since the queue was last awake, and whether anything opened its eyes since the
    bell was armed. Sequences that lead to one state go on alike, so that following each state once is all of them.
    """
    start: State = (Phase.AWAKE, (), False)
    found: dict[State, tuple[Happening, ...]] = {start: ()}
    fresh = [start]
    for _ in range(LONGEST):
        fresh, before = [], fresh
        for state, happening in product(before, Happening):
            after = follow(state, happening)
            if after not in found:
                found[after] = (*found[state], happening)
                fresh.append(after)
    return found


def follow(state: State, happening: Happening) -> State:
    phase, steps, stirred = state
    after, step = move(phase, happening)
    if after is Phase.AWAKE:
        return Phase.AWAKE, (), False
    taken = steps if step is None else (*steps, step)
    return after, taken, stirred or (happening in OPEN_EYES and phase is not Phase.AWAKE)


STATES = walked()


def test_every_phase_is_reached_and_the_walk_ends() -> None:
    assert set(Phase) == {phase for phase, _, _ in STATES}
    assert max(len(sequence) for sequence in STATES.values()) < LONGEST, "longer sequences lead nowhere new"


def test_none_sleeps_without_a_look_after_the_bell_was_armed() -> None:
    asleep = [steps for phase, steps, _ in STATES if phase is Phase.ASLEEP]
    assert {(Step.ARM, Step.LOOK, Step.SLEEP)} == set(asleep)


def test_none_sleeps_through_what_opened_its_eyes() -> None:
    assert [] == [sequence for (phase, _, stirred), sequence in STATES.items() if phase is Phase.ASLEEP and stirred]


@pytest.mark.parametrize("phase", [Phase.ARMING, Phase.LOOKING, Phase.ASLEEP])
@pytest.mark.parametrize("happening", [Happening.RANG, Happening.WANTED])
def test_a_ring_or_a_wish_wakes_from_anywhere(phase: Phase, happening: Happening) -> None:
    assert (Phase.AWAKE, Step.WAKE) == move(phase, happening)


@pytest.mark.parametrize(("phase", "happening"), list(product(Phase, Happening)))
def test_what_changes_the_phase_asks_for_a_step_and_nothing_else_does(phase: Phase, happening: Happening) -> None:
    after, step = move(phase, happening)
    assert (after is phase) == (step is None)


def test_all_sequences_one_by_one_agree_with_the_walk() -> None:
    """The same without the shortcut, as far as that is quick."""
    for sequence in product(Happening, repeat=6):
        state: State = (Phase.AWAKE, (), False)
        for happening in sequence:
            state = follow(state, happening)
        assert state in STATES
