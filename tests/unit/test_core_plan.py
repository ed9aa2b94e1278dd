"""The sidecar's core among its peers: the lease, the plan, handing over, and standing by."""

from __future__ import annotations

import pytest

from contracts.fence import Propose, Renew
from contracts.records import Plan, Report
from contracts.replies import Replanned
from sidecar.core import events as ev
from sidecar.core.membership import HANDOVER_SECONDS, STEP_IN_SECONDS
from tests.unit.core_scene import FAILED, ME, OTHER, CoreScene, message, operations

THIRD = "third#1"


def stay(scene: CoreScene, seconds: float, *members: str) -> None:
    """Time passes, and these renew all the while."""
    for _ in range(int(seconds / 3)):
        scene.wait(3)
        for member in members or (OTHER,):
            scene.apply(member, Renew(15.0, Report()))
    scene.wait(seconds % 3)


# The lease


def test_nothing_starts_past_the_lease_and_it_goes_on_with_the_next_renewal() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.wait(14)
    scene.deliver(message("m"))
    assert ["Renew"] == operations(scene.asked[0])
    assert 1 == len(scene.asked), "a claim would be refused"
    scene.store_answers = True
    scene.fail()
    scene.wait(0.6)
    assert [("m", 1)] == scene.called()


def test_a_lease_counts_from_when_it_was_asked_for() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.wait(3.1)
    scene.now += 13.9
    scene.answer()
    scene.deliver(message("m"))
    assert [] == [name for asked in scene.asked for name in operations(asked) if name == "Claim"]


def test_a_renewal_that_failed_is_asked_anew_and_not_sent_again() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.wait(3.1)
    scene.fail()
    scene.wait(0.6)
    assert [["Renew"]] == [operations(asked) for asked in scene.asked]


@pytest.mark.parametrize("event", [ev.Pushed(Replanned()), ev.Drain(1e9)], ids=["replanned", "drain"])
def test_what_comes_up_during_a_renewal_asks_for_another_one(event: ev.Event) -> None:
    scene = CoreScene()
    scene.start(message("m"))
    scene.wait(1)
    scene.store_answers = False
    scene.wait(3.1)
    scene.turn(event)
    scene.answer()
    scene.wait(0.6)
    assert "Renew" in [name for asked in scene.asked for name in operations(asked)]


# The plan


def test_partitions_are_shared_with_whoever_joins() -> None:
    scene = CoreScene({"partitions": 4})
    assert [(1, 0), (2, 1), (3, 2), (4, 3)] == [
        (effect.channel, effect.partition.number) for effect in scene.opened_at_start
    ]
    scene.join()
    assert (ME, ME, OTHER, OTHER) == scene.state.plan.owners
    assert [3, 4] == scene.closed()
    scene.wait(0.6)
    assert [(5, 2), (6, 3)] == scene.opened(), "to stand by"


def test_partitions_of_whoever_dies_are_taken_over() -> None:
    scene = CoreScene({"partitions": 2})
    scene.give(ME, OTHER)
    stay(scene, 6)
    scene.closed()
    scene.wait(17)
    assert (ME, ME) == scene.state.plan.owners
    assert [] == scene.closed(), "whoever stands by is in line already"


def test_a_plan_that_was_proposed_too_late_is_not_followed() -> None:
    scene = CoreScene({"partitions": 2})
    scene.store_answers = False
    scene.turn(ev.Pushed(Replanned()))
    scene.apply(OTHER, Renew(15.0, Report()))
    scene.answer()
    assert [Plan(2, (ME, OTHER))] == [op.plan for op in scene.asked[0].operations if isinstance(op, Propose)]
    scene.apply(OTHER, Propose(Plan(2, (OTHER, ME))))
    scene.catch_up()
    scene.wait(0.6)
    assert [1] == scene.closed()


def test_the_plan_is_that_of_the_store_though_it_has_lost_its_last_one() -> None:
    scene = CoreScene({"partitions": 2})
    scene.give(ME, OTHER)
    scene.give(OTHER, ME)
    before = scene.state.plan
    scene.state.plan = Plan(before.version - 1, (ME, OTHER))
    scene.opened()
    stay(scene, 6)
    assert {ME, OTHER} == set(scene.state.plan.owners)
    assert scene.state.plan == scene.core._membership.plan


# Handing over


def test_a_partition_that_moves_waits_for_its_calls_and_for_the_proof_of_their_acks() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"), message("m2"))
    scene.give(OTHER)
    assert [] == scene.closed()
    scene.end(call)
    assert ([1], [], []) == (scene.acked(), scene.called(), scene.closed())
    scene.prove(1)
    assert [1] == scene.closed()


def test_a_call_that_lasts_goes_on_under_its_lease() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"))
    scene.give(OTHER)
    scene.wait(HANDOVER_SECONDS + 0.1)
    assert [1] == scene.closed()
    scene.end(call)
    assert [] == scene.acked(), "the next owner finds it ended"
    assert None is not scene.state.records["m1"].ending


def test_a_partition_that_comes_back_while_it_is_closing_is_opened_anew() -> None:
    scene = CoreScene()
    scene.start(message("m1"))
    scene.give(OTHER)
    scene.give(ME)
    scene.wait(HANDOVER_SECONDS + 0.1)
    assert [1] == scene.closed()
    scene.wait(0.6)
    assert [(2, 0)] == scene.opened()


def test_a_retry_is_left_to_the_next_owner() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"))
    scene.give(OTHER)
    scene.end(call, FAILED)
    assert [1] == scene.closed()
    scene.wait(3)
    assert [] == scene.called()


# Standing by


def standing_by() -> CoreScene:
    scene = CoreScene()
    scene.give(OTHER)
    scene.wait(0.6)
    assert ([1], [(2, 0)]) == (scene.closed(), scene.opened())
    return scene


def test_whoever_stands_by_serves_where_the_owner_is_cut_off_and_steps_back_later() -> None:
    scene = standing_by()
    scene.deliver(message("m1"), channel=2)
    scene.end(scene.call())
    scene.deliver(message("m2"), channel=2)
    scene.end(scene.call())
    scene.prove(1, 2, channel=2)
    stay(scene, STEP_IN_SECONDS - 1)
    assert [] == scene.closed()
    stay(scene, 2)
    assert ([2], [(3, 0)]) == (scene.closed(), scene.opened())


def test_whoever_stood_by_stays_where_the_plan_gives_it_the_partition() -> None:
    scene = standing_by()
    scene.deliver(message("m1"), channel=2)
    scene.end(scene.call())
    scene.prove(1, channel=2)
    scene.give(ME)
    stay(scene, STEP_IN_SECONDS + 3)
    assert [] == scene.closed()


def test_whoever_was_never_served_stands_by_for_good() -> None:
    scene = standing_by()
    stay(scene, 60)
    assert ([], []) == (scene.closed(), scene.opened())


def test_whoever_stands_by_goes_behind_a_new_owner() -> None:
    scene = standing_by()
    scene.give(THIRD, members=(OTHER, THIRD))
    stay(scene, 3, OTHER, THIRD)
    assert [2] == scene.closed(), "else it would be before it"
