"""The sidecar's core when it is to stop: nothing is started, what runs is finished, the rest is given back."""

from __future__ import annotations

from contracts.fence import Leave, Renew
from contracts.handler import Batch, Options
from contracts.records import Report
from contracts.speech import HEARD, Complete
from sidecar.core import effects as fx
from sidecar.core import events as ev
from sidecar.core.membership import HANDOVER_SECONDS
from tests.unit.core_scene import ME, OTHER, CoreScene, message


def drained(scene: CoreScene, seconds: float = 30) -> None:
    scene.turn(ev.Drain(scene.now + seconds))


def left(scene: CoreScene) -> bool:
    return bool(scene.taken(fx.Left))


def test_an_idle_replica_leaves_at_once() -> None:
    scene = CoreScene()
    drained(scene)
    assert ([1], True) == (scene.closed(), left(scene))
    assert {} == scene.state.members
    scene.wait(60)
    assert ([], {}) == (scene.effects, scene.state.members), "and stays away"


def test_what_runs_is_finished_and_nothing_is_started() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"), message("m2"))
    drained(scene)
    scene.wait(10)
    assert (False, []) == (left(scene), scene.closed())
    scene.end(call)
    assert [1] == scene.acked()
    scene.prove(1)
    assert ([1], True, []) == (scene.closed(), left(scene), scene.called())


def test_what_runs_past_the_deadline_is_left_to_others() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"))
    drained(scene, 5)
    scene.wait(5.1)
    assert ([1], True, {}) == (scene.closed(), left(scene), scene.state.locks)
    scene.end(call)
    scene.wait(30)
    assert ([], []) == (scene.acked(), scene.called())


def test_a_second_order_to_drain_may_be_the_shorter_one_and_not_the_longer() -> None:
    scene = CoreScene()
    scene.start(message("m1"))
    drained(scene, 60)
    drained(scene, 5)
    drained(scene, 600)
    scene.wait(5.6)
    assert left(scene)


def test_a_partition_that_was_moving_away_already_is_not_waited_for_longer() -> None:
    scene = CoreScene()
    scene.start(message("m1"))
    scene.give(OTHER)
    drained(scene, 60)
    scene.wait(HANDOVER_SECONDS + 0.1)
    assert ([1], False) == (scene.closed(), left(scene)), "the call goes on without its channel"
    scene.wait(60)
    assert left(scene)


def test_accepted_work_may_still_end() -> None:
    scene = CoreScene()
    call = scene.accept(message("m1"))
    drained(scene)
    scene.wait(20)
    assert HEARD == scene.speak(call, Complete())
    scene.prove(1)
    assert left(scene)


def test_what_is_gathered_is_given_back() -> None:
    scene = CoreScene(options=Options(batch=Batch(max_messages=9, max_wait_ms=1000)))
    scene.deliver(message("m1"))
    drained(scene)
    scene.wait(1.1)
    assert ([], {}, True) == (scene.taken(fx.CallBatch), scene.state.locks, left(scene))
    assert 0 == scene.state.records["m1"].attempt


def test_a_permission_that_comes_while_it_drains_is_given_back() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m1"))
    drained(scene)
    scene.catch_up()
    assert ([], {}, True) == (scene.called(), scene.state.locks, left(scene))


def test_the_others_plan_without_it() -> None:
    scene = CoreScene()
    scene.start(message("m1"))
    scene.join()
    drained(scene)
    scene.wait(0.6)
    [renewed] = scene.apply(OTHER, Renew(15.0, Report()))
    assert (OTHER,) == getattr(renewed, "members", None)


def test_it_leaves_though_the_store_does_not_answer_at_first() -> None:
    scene = CoreScene()
    scene.store_answers = False
    drained(scene)
    [leave] = [asked for asked in scene.asked if Leave() in asked.operations]
    scene.asked.remove(leave)
    scene.turn(ev.StoreFailed(leave.ref))
    assert not left(scene)
    scene.store_answers = True
    scene.wait(0.3)
    assert left(scene)


def test_it_leaves_though_it_never_had_a_lease() -> None:
    scene = CoreScene()
    del scene.state.members[ME]
    scene.core._membership.lapse()
    scene.store_answers = False
    drained(scene)
    scene.catch_up()
    assert left(scene)
