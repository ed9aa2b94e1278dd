"""The sidecar's core: what an attempt emitted is published with its ack, once, and kept where its queue is gone."""

from __future__ import annotations

from contracts.message import Message
from contracts.speech import Emit
from sidecar.core import effects as fx
from sidecar.core import events as ev
from tests.unit.core_scene import CoreScene, message


def emitting(scene: CoreScene, *names: str) -> None:
    call = scene.start(message("m"))
    scene.speak_all(call, *[Emit(Message(namespace="default", queue=name, id=name)) for name in names])
    scene.end(call)


def test_an_emitted_message_whose_queue_is_gone_is_kept_by_its_parents_queue() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    emitting(scene, "there", "gone")
    scene.sent(ev.Fate.HELD, ev.Fate.NO_QUEUE)
    [letter] = scene.taken(fx.Bury)[0].letters
    assert ("gone", "q", "q") == (letter.message.id, letter.queue, letter.kept_by)
    assert "no-queue: m of queue q emitted it to gone, which is not there any more" == letter.reason
    assert [] == scene.acked()
    scene.sent(ev.Fate.HELD)
    assert ([1], True) == (scene.acked(), scene.state.records["m"].marked)


def test_an_orphan_that_nobody_can_keep_holds_nothing_up() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    emitting(scene, "gone")
    scene.sent(ev.Fate.NO_QUEUE)
    scene.sent(ev.Fate.NO_QUEUE)
    assert [1] == scene.acked()


def test_what_is_not_known_to_be_held_is_sent_again_and_only_that() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    emitting(scene, "a", "b")
    scene.sent(ev.Fate.HELD, ev.Fate.UNKNOWN)
    scene.taken(fx.Publish)
    scene.wait(0.3)
    [publish] = scene.taken(fx.Publish)
    assert ["b"] == [one.id for one in publish.messages]
    scene.sent(ev.Fate.HELD)
    assert [1] == scene.acked()


def test_a_redelivery_does_not_publish_what_is_marked() -> None:
    scene = CoreScene()
    emitting(scene, "a")
    assert 1 == len(scene.taken(fx.Publish))
    scene.deliver(message("m"))
    assert ([], [1, 2]) == (scene.taken(fx.Publish), scene.acked())


def test_a_mark_that_was_lost_is_told_again_before_the_ack() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    emitting(scene, "a")
    scene.store_answers = False
    scene.sent(ev.Fate.HELD)
    scene.fail()
    assert [] == scene.acked()
    scene.store_answers = True
    scene.wait(0.3)
    assert ([1], True) == (scene.acked(), scene.state.records["m"].marked)


def test_an_emitted_message_that_is_due_later_waits_outside_its_queue() -> None:
    scene = CoreScene()
    call = scene.start(message("m"))
    later = Message(namespace="default", queue="there", id="later", deliver_at=5e9)
    scene.speak_all(call, Emit(later))
    scene.end(call)
    assert [(later, 5e9)] == scene.taken(fx.Delay)[0].messages
    assert [1] == scene.acked()
