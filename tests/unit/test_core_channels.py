"""The sidecar's core: channels that are lost in every phase, and the windows of those that are open."""

from __future__ import annotations

import msgspec
import pytest

from contracts.answers import Answer, NoAnswer
from contracts.replies import Fenced
from contracts.workqueue import parse_spec
from sidecar.core import effects as fx
from sidecar.core import events as ev
from tests.unit.core_scene import FAILED, OK, REFUSED, CoreScene, message

# A channel is lost


def test_a_lost_channel_is_opened_again_a_little_later_under_another_number() -> None:
    scene = CoreScene()
    scene.lose()
    assert [] == scene.opened()
    scene.wait(0.3)
    assert [(2, 0)] == scene.opened()
    scene.lose(1)
    scene.deliver(message("m"), channel=1)
    assert [] == scene.called(), "nothing of it counts any more"


def test_what_was_not_started_is_forgotten_with_its_channel() -> None:
    scene = CoreScene(ready=False)
    scene.deliver(message("a", "a"), message("b", "b"))
    scene.lose()
    scene.turn(ev.HandlerReady())
    scene.wait(1)
    assert [] == scene.called()


def test_a_call_outlives_its_channel_and_the_redelivery_is_acked_for_it() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"), message("m2"))
    scene.lose()
    scene.wait(0.3)
    scene.deliver(message("m1"), message("m2"), channel=2)
    assert [] == scene.called()
    scene.end(call)
    assert [fx.Ack(2, [3])] == scene.taken(fx.Ack)
    assert [("m2", 1)] == scene.called()


def test_a_call_that_ends_between_two_channels_is_known_by_the_redelivery() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"), message("m2"))
    scene.lose()
    scene.end(call)
    assert ([], []) == (scene.acked(), scene.called())
    scene.wait(0.3)
    scene.deliver(message("m1"), message("m2"), channel=2)
    assert ([3], [("m2", 1)]) == (scene.acked(), scene.called())


def test_another_partition_keeps_its_deliveries_of_the_session() -> None:
    """Partitions were doubled: what comes by the new one waits behind what came by the old."""
    scene = CoreScene({"partitions": 2})
    call = scene.start(message("m1"), message("m2"))
    scene.deliver(message("m3"), channel=2)
    scene.lose(1)
    scene.end(call)
    assert [("m3", 1)] == scene.called(), "what was dropped comes back behind it"


def test_a_head_that_waited_is_dropped_and_what_another_channel_brought_leads() -> None:
    scene = CoreScene({"partitions": 2})
    scene.end(scene.start(message("m1")), Answer(503, retry_after="30"))
    scene.deliver(message("m3"), channel=2)
    scene.lose(1)
    assert [("m3", 1)] == scene.called()


@pytest.mark.parametrize("answer", [OK, FAILED, REFUSED, NoAnswer("lost"), NoAnswer("refused")])
def test_however_an_attempt_ends_without_its_channel_the_session_goes_on_with_the_redelivery(
    answer: Answer | NoAnswer,
) -> None:
    scene = CoreScene()
    call = scene.start(message("m1"), message("m2"))
    scene.lose()
    scene.end(call, answer)
    scene.turn(ev.HandlerReady())
    scene.wait(0.3)
    scene.deliver(message("m1"), message("m2"), channel=2)
    scene.wait(5)
    again = scene.called()
    assert [("m2", 1)] == again if answer in (OK, REFUSED) else again[0][0] == "m1"


def test_an_answer_to_a_claim_without_its_channel_is_given_back_or_passed_over() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"))
    scene.lose()
    scene.store_answers = True
    scene.answer()
    assert ([], {}) == (scene.called(), scene.state.locks)


def test_a_claim_that_is_not_granted_is_forgotten_with_its_channel() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"))
    scene.lose()
    scene.store_answers = True
    scene.answer(Fenced())
    scene.wait(0.3)
    scene.deliver(message("m"), channel=2)
    assert [("m", 1)] == scene.called()


def test_a_redelivery_finds_a_claim_on_its_way() -> None:
    scene = CoreScene()
    scene.store_answers = False
    scene.deliver(message("m"))
    scene.lose()
    scene.wait(0.3)
    scene.deliver(message("m"), channel=2)
    scene.store_answers = True
    scene.answer()
    scene.end(scene.call())
    assert [fx.Ack(2, [2])] == scene.taken(fx.Ack)


def test_a_head_whose_channel_goes_while_its_letter_is_confirmed_is_known_by_the_redelivery() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    scene.end(scene.start(message("m")), REFUSED)
    scene.lose()
    scene.sent(ev.Fate.HELD)
    scene.wait(0.3)
    scene.deliver(message("m"), channel=2)
    assert [2] == scene.acked()
    assert 1 == len(scene.taken(fx.Bury))


def test_a_delayed_message_whose_channel_went_is_delivered_twice_and_called_once_a_time() -> None:
    scene = CoreScene()
    scene.broker_confirms = False
    scene.end(scene.start(message("m", None)), Answer(503, retry_after="30"))
    scene.lose()
    scene.sent(ev.Fate.HELD)
    scene.wait(0.3)
    scene.broker_confirms = True
    scene.deliver(message("m", None), channel=2)
    scene.wait(29)
    assert [] == scene.called()
    scene.wait(1)
    scene.deliver(message("m", None), channel=2)
    scene.end(scene.call())
    assert [2, 3] == scene.acked()


# Windows


def test_a_window_that_holds_nothing_to_start_is_widened_and_narrowed_again() -> None:
    scene = CoreScene({"sessions": {"concurrencyPerReplica": 2}})
    call = scene.start(*[message(f"m{number}") for number in range(16)])
    assert [fx.Widen(1, 32)] == scene.taken(fx.Widen)
    scene.deliver(message("m16"), message("m17"))
    scene.end(call)
    assert [] == scene.taken(fx.Widen), "it still holds more than the narrow one would"
    for _ in range(2):
        scene.end(scene.call())
    assert 16 == scene.taken(fx.Widen)[-1].window


def test_a_busy_handler_widens_nothing() -> None:
    scene = CoreScene({"sessions": {"concurrencyPerReplica": 1}})
    scene.start(*[message(f"m{number}") for number in range(16)])
    assert [] == scene.taken(fx.Widen)


def test_a_window_holds_so_much_at_most() -> None:
    scene = CoreScene()
    scene.start(*[message(f"m{number}", body=bytes(5 << 20)) for number in range(16)])
    assert [] == scene.taken(fx.Widen)


def test_a_window_grows_to_an_end() -> None:
    scene = CoreScene({"sessions": {"concurrencyPerReplica": 10_000}})
    scene.start(*[message(f"m{number}") for number in range(20_001)])
    assert [] == scene.taken(fx.Widen)


def test_windows_follow_the_concurrency() -> None:
    scene = CoreScene({"sessions": {"concurrencyPerReplica": 100}})
    assert [200] == [effect.window for effect in scene.opened_at_start]
    spec = parse_spec({"partitions": 1, "sessions": {"concurrencyPerReplica": 4}})
    scene.turn(ev.Redefined(msgspec.structs.replace(scene.workqueue, spec=spec)))
    scene.end(scene.start(message("m")))
    assert [fx.Widen(1, 16)] == scene.taken(fx.Widen)


def test_what_a_closing_channel_brings_is_left_to_the_broker() -> None:
    scene = CoreScene()
    call = scene.start(message("m1"))
    scene.turn(ev.Drain(scene.now + 30))
    scene.deliver(message("m2", "t"))
    scene.end(call)
    assert ([1], []) == (scene.acked(), scene.called())
