"""The sidecar's core where partitions are doubled: older sets are emptied before what followed them is consumed."""

from __future__ import annotations

import msgspec

from contracts.answers import Answer
from contracts.deliveries import NothingFollows
from contracts.fence import Claim, Emptied, Renew
from contracts.records import Report
from contracts.replies import HeldBy
from contracts.topology import Partition
from sidecar.core import effects as fx
from sidecar.core import events as ev
from sidecar.core.emptying import MOST_LANES
from tests.unit.core_scene import FAILED, ME, OTHER, CoreScene, message, operations

OLD = Partition(1, 0)


def doubled(scene: CoreScene, *older: int, partitions: int = 2) -> None:
    """Its definition says so from now on."""
    spec = msgspec.structs.replace(scene.workqueue.spec, partitions=partitions)
    scene.workqueue = msgspec.structs.replace(scene.workqueue, spec=spec, older=older)
    scene.turn(ev.Redefined(scene.workqueue))


def ended(scene: CoreScene, channel: int = 1) -> None:
    scene.turn(NothingFollows(channel))


def opened(scene: CoreScene) -> list[tuple[int, Partition]]:
    return [(effect.channel, effect.partition) for effect in scene.taken(fx.OpenChannel)]


NEWER = [(2, Partition(2, 0)), (3, Partition(2, 1))]


def test_a_newer_set_waits_for_the_word_that_nothing_follows_in_the_older() -> None:
    scene = CoreScene()
    doubled(scene, 1)
    assert (ME, ME) == scene.state.plan.owners, "it is planned at once"
    assert [] == opened(scene)
    ended(scene)
    scene.wait(0.6)
    assert NEWER == opened(scene)


def test_the_word_may_come_before_the_definition() -> None:
    scene = CoreScene()
    ended(scene)
    assert {OLD: frozenset()} == scene.state.emptied
    doubled(scene, 1)
    scene.wait(0.6)
    assert NEWER == opened(scene)


def test_what_is_left_in_the_older_set_holds_up_its_own_session_only() -> None:
    scene = CoreScene()
    long = scene.start(message("m1", "long"))
    doubled(scene, 1)
    ended(scene)
    scene.wait(0.6)
    assert NEWER == opened(scene)
    scene.deliver(message("m2", "long"), channel=2)
    scene.deliver(message("n", "other"), channel=3)
    assert [("n", 1)] == scene.called()
    scene.end(long)
    assert [("m2", 1)] == scene.called(), "and is told when it may go on"
    assert {OLD: frozenset()} == scene.state.emptied


def test_a_retry_in_the_older_set_goes_before_what_came_by_the_newer() -> None:
    scene = CoreScene()
    scene.end(scene.start(message("m1")), Answer(503, retry_after="5"))
    doubled(scene, 1)
    ended(scene)
    scene.wait(0.6)
    scene.deliver(message("m2"), channel=2)
    scene.wait(3)
    assert [] == scene.called()
    scene.wait(2)
    call = scene.call()
    assert ("m1", 2) == (call.message.id, call.attempt)
    scene.end(call)
    assert [("m2", 1)] == scene.called()


def test_what_comes_again_by_the_older_set_still_goes_first() -> None:
    """Its lane is another one than that of the newer set."""
    scene = CoreScene()
    call = scene.start(message("m1"), message("m1b"))
    doubled(scene, 1)
    ended(scene)
    scene.wait(0.6)
    scene.deliver(message("m2"), channel=2)
    scene.lose(1)
    scene.end(call)
    assert [] == scene.called()
    scene.wait(0.6)
    assert [(4, OLD)] == opened(scene)[-1:]
    scene.deliver(message("m1"), message("m1b"), channel=4)
    again = scene.call()
    assert "m1b" == again.message.id
    scene.end(again)
    ended(scene, 4)
    assert [("m2", 1)] == scene.called()


def test_others_are_held_by_what_is_left_too() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"), message("m1b"))
    doubled(scene, 1)
    ended(scene)
    scene.apply(OTHER, Renew(15.0, Report()))
    claims = [Claim(message(name, session), 1, 64, 0.0, of=2) for name, session in (("m2", "s"), ("n", "other"))]
    held, free = scene.apply(OTHER, *claims)
    assert (HeldBy("r"), "Claimed") == (held, type(free).__name__), "by the call that runs"
    scene.end(call, FAILED)
    [held] = scene.apply(OTHER, msgspec.structs.replace(claims[0], nonce=2))
    assert HeldBy("") == held, "and by what waits for its retry, which holds nothing"


def test_much_is_not_told_before_it_is_few() -> None:
    scene = CoreScene(ready=False)
    scene.deliver(*(message(f"m{number}", f"s{number}") for number in range(MOST_LANES + 1)))
    ended(scene)
    assert {} == scene.state.emptied
    scene.turn(ev.HandlerReady())
    scene.end(scene.calls()[0])
    assert MOST_LANES == len(scene.state.emptied[OLD])


def test_a_store_that_forgot_is_told_again_and_until_then_newer_sets_are_closed() -> None:
    scene = CoreScene()
    doubled(scene, 1)
    scene.start(message("m1"))
    ended(scene)
    scene.wait(0.6)
    assert NEWER == opened(scene)
    scene.reborn(2)
    scene.give(ME, ME)
    scene.store_answers = False
    scene.wait(3.1)
    scene.answer()
    assert [2, 3] == scene.closed()
    assert {"Assert", "Emptied"} <= set(operations(scene.asked[-1]))
    scene.catch_up()
    scene.wait(0.6)
    assert {OLD: frozenset({"s:s"})} == scene.state.emptied
    assert [(4, Partition(2, 0)), (5, Partition(2, 1))] == opened(scene)


def test_a_late_word_takes_nothing_back() -> None:
    scene = CoreScene()
    scene.apply(OTHER, Emptied(OLD, ["s:a", "s:b"]), Emptied(OLD, ["s:b"]), Emptied(OLD, ["s:a", "s:b", "s:c"]))
    assert {OLD: frozenset({"s:b"})} == scene.state.emptied


def test_sets_of_several_doublings_follow_each_other() -> None:
    scene = CoreScene()
    doubled(scene, 1, 2, partitions=8)
    ended(scene)
    scene.wait(0.6)
    assert NEWER == opened(scene)
    ended(scene, 3)
    scene.wait(0.6)
    assert [Partition(8, number) for number in (1, 3, 5, 7)] == [partition for _, partition in opened(scene)]


def test_a_set_that_was_taken_away_is_let_go() -> None:
    scene = CoreScene()
    doubled(scene, 1)
    ended(scene)
    scene.wait(0.6)
    opened(scene)
    doubled(scene)
    assert [1] == scene.closed()
    scene.lose(2)
    scene.wait(0.6)
    assert [(4, Partition(2, 0))] == opened(scene), "and what followed it needs no word any more"


def test_whoever_has_not_heard_of_more_partitions_plans_for_as_many_as_there_are() -> None:
    scene = CoreScene()
    scene.give(OTHER, OTHER)
    scene.wait(0.6)
    assert {ME, OTHER} == set(scene.state.plan.owners)
    assert 2 == len(scene.state.plan.owners)


def test_the_word_on_a_channel_that_is_gone_means_nothing() -> None:
    scene = CoreScene()
    ended(scene, 99)
    assert {} == scene.state.emptied
