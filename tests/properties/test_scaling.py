"""The scaler's decisions and the rates they rest on: bounded, monotone, and never down on what is not known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.records import Replica, Report
from contracts.workqueue import Spec, parse_spec
from scaler.core.decision import Decision, Observation, Unknown, Wish, decide, remember, wish
from scaler.core.rates import Rates

NOW = 1000.0

seconds = st.floats(0.001, 1000)
quarters = st.integers(0, 120).map(lambda number: number / 4)
observations = st.builds(
    Observation,
    ready=st.integers(0, 100_000),
    unacked=st.integers(0, 5000),
    running=st.none() | st.integers(0, 200),
    working=st.none() | st.integers(0, 32),
    lanes=st.none() | st.integers(0, 5000),
    arrivals_per_second=st.floats(0, 10_000),
    handling_seconds=st.none() | st.floats(0, 1000),
)
blind = st.sampled_from([(None, 3), (3, None), (None, None)])


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    most = draw(st.integers(1, 32))
    return parse_spec(
        {
            "partitions": 32,
            "scaling": {
                "minReplicas": draw(st.integers(0, most)),
                "maxReplicas": most,
                "targetDelaySeconds": draw(seconds),
                "idleSeconds": draw(st.sampled_from([0, 10, 60])),
            },
            "sessions": {
                "maxConcurrent": draw(st.integers(1, 200)),
                "concurrencyPerReplica": draw(st.integers(1, 50)),
            },
        }
    )


def histories(most: int = 32) -> st.SearchStrategy[list[Wish]]:
    wishes = st.builds(Wish, st.floats(NOW - 100, NOW), st.integers(0, most), st.booleans())
    return st.lists(wishes, max_size=6).map(lambda found: sorted(found, key=lambda one: one.at))


def desired(observation: Observation, spec: Spec, history: Sequence[Wish] = ()) -> int:
    decision = decide(observation, spec, history, NOW)
    assert isinstance(decision, Decision)
    assert decision.reason
    return decision.desired


def backlog(observation: Observation) -> int:
    return max((observation.ready or 0) + (observation.unacked or 0), observation.running or 0)


@given(observations, specs())
def test_a_decision_keeps_every_bound(observation: Observation, spec: Spec) -> None:
    found, per_replica = desired(observation, spec), spec.sessions.concurrency_per_replica
    least = spec.scaling.min_replicas
    assert least <= found <= spec.scaling.max_replicas
    assert found <= max(least, math.ceil(spec.sessions.max_concurrent / per_replica))
    if observation.lanes is not None:
        assert found <= max(least, 1, math.ceil(observation.lanes / per_replica)), "a session is worked on by one"
    if observation.working is not None:
        assert found <= max(least, 1, observation.working), "a partition is consumed by one"


@given(observations, specs(), histories())
def test_there_is_a_replica_while_there_is_work(observation: Observation, spec: Spec, history: list[Wish]) -> None:
    assert desired(observation, spec, history) >= min(1, backlog(observation))


@given(observations, specs(), st.integers(0, 100_000), st.sampled_from(["ready", "unacked", "running"]))
def test_more_backlog_never_means_fewer(observation: Observation, spec: Spec, more: int, where: str) -> None:
    grown = msgspec.structs.replace(observation, **{where: (getattr(observation, where) or 0) + more})
    assert desired(grown, spec) >= desired(observation, spec)


@given(observations.filter(lambda o: o.handling_seconds is not None), specs(), st.floats(1, 10))
def test_slower_handlers_or_faster_arrivals_never_mean_fewer(
    observation: Observation, spec: Spec, factor: float
) -> None:
    slower = msgspec.structs.replace(observation, handling_seconds=(observation.handling_seconds or 0) * factor)
    faster = msgspec.structs.replace(observation, arrivals_per_second=observation.arrivals_per_second * factor)
    assert min(desired(slower, spec), desired(faster, spec)) >= desired(observation, spec)


@given(observations, specs(), histories())
def test_nothing_is_taken_away_within_the_idle_time(observation: Observation, spec: Spec, history: list[Wish]) -> None:
    recent = [one.desired for one in history if one.at > NOW - spec.scaling.idle_seconds]
    assert desired(observation, spec, history) >= min(max(recent, default=0), spec.scaling.max_replicas)


def test_what_was_wanted_earlier_is_bounded_too() -> None:
    spec = parse_spec({"scaling": {"maxReplicas": 2}})
    busy = Observation(
        ready=900, unacked=0, running=0, working=8, lanes=900, arrivals_per_second=0, handling_seconds=None
    )
    assert 2 == desired(busy, spec, [Wish(NOW - 1, 8, True)])


@given(observations, specs(), histories())
def test_the_past_only_holds_up_what_the_present_lets_go(
    observation: Observation, spec: Spec, history: list[Wish]
) -> None:
    highest = max((one.desired for one in history), default=0)
    assert desired(observation, spec, history) <= max(desired(observation, spec), highest)


@given(observations, specs(), histories(), blind)
def test_what_cannot_be_seen_decides_nothing(
    observation: Observation, spec: Spec, history: list[Wish], seen: tuple[int | None, int | None]
) -> None:
    unseen = msgspec.structs.replace(observation, ready=seen[0], unacked=seen[1])
    decision = decide(unseen, spec, history, NOW)
    assert isinstance(decision, Unknown)
    assert decision.reason
    assert isinstance(wish(unseen, spec, NOW), Unknown)


@given(st.lists(st.tuples(quarters, st.integers(0, 9)), max_size=12), observations, specs())
def test_a_history_that_is_cut_short_decides_the_same(
    given: list[tuple[float, int]], observation: Observation, spec: Spec
) -> None:
    at = NOW - sum(wait for wait, _ in given)
    whole: list[Wish] = []
    short: list[Wish] = []
    for wait, wanted in given:
        at += wait
        latest = Wish(at, wanted, True)
        whole, short = [*whole, latest], remember(short, latest, spec)
        assert short[-1] == latest
        assert sorted(short, key=lambda one: -one.desired) == short
    assert desired(observation, spec, whole) == desired(observation, spec, short)


def test_a_decision_says_why() -> None:
    spec = parse_spec({"partitions": 8, "scaling": {"minReplicas": 1}})
    idle = Observation(ready=0, unacked=0, running=0, working=0, lanes=0, arrivals_per_second=0, handling_seconds=0.1)
    busy = msgspec.structs.replace(idle, ready=1000, working=8, lanes=500)
    history = [Wish(NOW - 1, 5, True)]
    assert {
        "idle": Decision(1, "nothing waits; minReplicas is 1"),
        "idle now": Decision(5, "idle, waiting 60 s before scaling down"),
        "busy": Decision(2, "1000 waiting or running at 100 ms each, to be worked off within 10 s"),
        "busier before": Decision(
            5,
            "1000 waiting or running at 100 ms each, to be worked off within 10 s; 5 were needed within the last 60 s",
        ),
        "one session": Decision(
            1,
            "1000 waiting or running at 100 ms each, to be worked off within 10 s; held to 1 by the sessions that wait",
        ),
        "first": Decision(2, "16 waiting, no handling time known yet: a replica for each partition with work"),
    } == {
        "idle": decide(idle, spec, [], NOW),
        "idle now": decide(idle, spec, history, NOW),
        "busy": decide(busy, spec, [], NOW),
        "busier before": decide(busy, spec, history, NOW),
        "one session": decide(msgspec.structs.replace(busy, lanes=1), spec, [], NOW),
        "first": decide(msgspec.structs.replace(busy, handling_seconds=None, ready=16, working=2), spec, [], NOW),
    }


# Rates

looks = st.lists(
    st.tuples(
        st.just(0.0) | st.floats(0.001, 100),
        st.integers(0, 1000),
        st.lists(st.tuples(st.integers(0, 50), seconds), max_size=4),
    ),
    max_size=12,
)


class Played:
    """Replicas whose counters only ever rise, looked at now and then."""

    def __init__(self) -> None:
        self.rates = Rates()
        self.now = 0.0
        self._counters: list[tuple[int, float]] = [(0, 0.0)] * 4

    def look(self, elapsed: float, waiting: int, work: list[tuple[int, float]], *, turned: bool = False) -> None:
        self.now += elapsed
        for number, (handled, busy) in enumerate(work):
            before = self._counters[number]
            self._counters[number] = before[0] + handled, before[1] + handled * busy
        found = [
            Replica(incarnation=f"r{number}#1", report=Report(handled=handled, busy_seconds=busy))
            for number, (handled, busy) in enumerate(self._counters)
        ]
        self.rates.observe(found[::-1] if turned else found, waiting, self.now)

    @property
    def numbers(self) -> tuple[float, float, float]:
        rates = self.rates
        return rates.arrivals_per_second, rates.settled_per_second, rates.handling_seconds or 0.0


@given(looks)
def test_rates_are_never_negative_and_never_above_what_was_seen(
    given: list[tuple[float, int, list[tuple[int, float]]]],
) -> None:
    played, times = Played(), [0.0]
    for elapsed, waiting, work in given:
        played.look(elapsed, waiting, work)
        times += [busy for _, busy in work]
        assert all(math.isfinite(number) and number >= 0 for number in played.numbers)
        assert played.numbers[2] <= max(times) * 1.001


@given(looks)
def test_the_order_in_which_replicas_are_listed_makes_no_difference(
    given: list[tuple[float, int, list[tuple[int, float]]]],
) -> None:
    one, other = Played(), Played()
    for elapsed, waiting, work in given:
        one.look(elapsed, waiting, work)
        other.look(elapsed, waiting, work, turned=True)
    assert pytest.approx(one.numbers) == other.numbers


@given(st.floats(0.1, 5), st.integers(1, 20), st.floats(0.001, 10))
def test_a_steady_stream_is_measured_as_it_is(interval: float, each: int, busy: float) -> None:
    played = Played()
    for _ in range(int(60 / interval) + 2):
        played.look(interval, 7, [(each, busy)])
    assert pytest.approx((each / interval, each / interval, busy), rel=0.01) == played.numbers


@given(looks, st.floats(0.1, 100))
def test_what_rests_has_no_rate_and_keeps_its_handling_time(
    given: list[tuple[float, int, list[tuple[int, float]]]], later: float
) -> None:
    played = Played()
    for elapsed, waiting, work in given:
        played.look(elapsed, waiting, work)
    before = played.numbers[2]
    played.rates.rest()
    assert (0.0, 0.0, before) == played.numbers
    played.rates.observe([], 5, played.now + later)
    assert (0.0, 0.0, before) == played.numbers, "the first look after it only sets the beginning"


def test_two_looks_at_the_same_moment_divide_by_nothing() -> None:
    played = Played()
    played.look(1.0, 0, [])
    played.look(0.0, 5, [(3, 0.1)])
    assert (0.0, 0.0) == played.numbers[:2]
    assert 0.1 == pytest.approx(played.numbers[2])


def test_a_replica_that_was_out_of_sight_is_not_counted_twice() -> None:
    rates = Rates()
    one = Replica(incarnation="r#1", report=Report(handled=100_000, busy_seconds=1.0))
    for number in range(600):
        rates.observe([one], 0, number * 0.25)
    assert rates.settled_per_second < 1
    rates.observe([], 0, 150.0)
    rates.observe([one], 0, 150.25)
    assert rates.settled_per_second < 1
