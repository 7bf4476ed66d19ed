"""A judge that is told of the past, partition by partition, comes to what it would have come to."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from contracts.config import Seconds
from contracts.policy import Metric, Phase, Policy
from contracts.results import (
    Cell,
    DecisionAction,
    MetricKind,
    Partial,
    RolloutStatus,
    Source,
)
from streams.judge.catching_up import (
    HELD_BACK_MS,
    HELD_BACK_UNJUDGED_MS,
    HELD_FOR_MS,
    PATIENCE_MS,
    WAITED_MS,
)
from tests.support.judge import BASELINE, CANARY, Judge, heartbeat
from tests.support.partials import Traffic

SECONDS, CANARY_SINCE = 110, 20
TRAFFIC = Traffic(error_rate={CANARY: 0.011})


def partials_of(partition: int, seconds: range, *, canary_every: int = 1) -> Iterator[Partial]:
    """One a second of an agent whose machine has both releases, in a partition of its own."""
    traffic = Traffic(seed=partition, start=TRAFFIC.start, error_rate=TRAFFIC.error_rate)
    for number in range(seconds.stop):
        both = number >= CANARY_SINCE and number % canary_every == 0
        found = traffic.second(number, [BASELINE, CANARY] if both else [BASELINE])
        if number in seconds:
            cells = [cell for one in found for cell in one.cells]
            for cell in cells:
                cell.agent = f"agent-{partition}"
            at = found[0].sent_at
            source = Source(topic="coalmine.events", partition=partition, offset=number)
            yield Partial(
                service="checkout",
                source=source,
                sent_at=at,
                arrived_at=at,
                counted_at=at + 100,
                cells=cells,
            )


def in_turn(*partitions: list[Partial]) -> list[Partial]:
    """As they are counted where nobody is away."""
    return sorted((one for some in partitions for one in some), key=lambda one: one.sent_at)


def counted(partials: list[Partial], at: int, every_ms: int = 1) -> list[Partial]:
    """The same, counted one after the other from a moment on."""
    return [
        msgspec.structs.replace(one, counted_at=at + number * every_ms)
        for number, one in enumerate(partials)
    ]


def hear_all(partials: list[Partial]) -> Judge:
    """A judge that heard these, in this order."""
    judge = Judge()
    for partial in partials:
        judge.hear(partial)
    return judge


def assert_same_evidence(late: Judge, undisturbed: Judge) -> None:
    """All that is judged in one case is in the other, though in wider ticks."""
    for found, expected in zip(
        late.verdicts[-1].metrics, undisturbed.verdicts[-1].metrics, strict=True
    ):
        assert (found.exposures, found.bad) == (expected.exposures, expected.bad)
        assert found.outcome == expected.outcome
    assert late.told == undisturbed.told
    assert not late.state.wide


def end_of(seconds: int) -> int:
    """The end of so many seconds of traffic."""
    return TRAFFIC.start + seconds * 1000


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_what_waited_is_evidence_to_the_last_event(order: tuple[int, ...]) -> None:
    """Partitions of which one has the canary seldom, read whole, one after the other."""
    live = [list(partials_of(p, range(30), canary_every=p + 1)) for p in range(3)]
    away = [list(partials_of(p, range(30, SECONDS), canary_every=p + 1)) for p in range(3)]
    undisturbed = hear_all([*in_turn(*live), *in_turn(*away), heartbeat(end_of(SECONDS) + 10_000)])

    back_at = end_of(SECONDS)
    read = [one for p in order for one in away[p]]
    late = hear_all([*in_turn(*live), *counted(read, back_at, every_ms=2)])
    assert late.verdicts[-1].time < end_of(31), "judged before all was told"
    late.hear(heartbeat(back_at + PATIENCE_MS - 1))
    assert late.verdicts[-1].time < end_of(31), "a silence of a moment is none"
    late.hear(heartbeat(back_at + 20_000))
    assert_same_evidence(late, undisturbed)
    assert late.window_totals() == undisturbed.window_totals()


def test_a_service_that_was_never_heard_of_is_held_back_as_well() -> None:
    """The first that a judge hears may be hours old."""
    away = [list(partials_of(p, range(SECONDS))) for p in range(2)]
    undisturbed = hear_all([*in_turn(*away), heartbeat(end_of(SECONDS) + 10_000)])
    read = counted([*away[1], *away[0]], end_of(SECONDS))
    late = hear_all([*read, heartbeat(end_of(SECONDS) + 20_000)])
    assert_same_evidence(late, undisturbed)


@pytest.mark.parametrize("is_spooled", [False, True])
def test_what_is_counted_in_one_stretch_had_waited_as_well(*, is_spooled: bool) -> None:
    """Its newest event is of the present, and its oldest is not; in a spool all of it waited."""
    live = [list(partials_of(p, range(30))) for p in range(2)]
    away = [list(partials_of(p, range(30, SECONDS))) for p in range(2)]
    undisturbed = hear_all([*in_turn(*live), *in_turn(*away), heartbeat(end_of(SECONDS) + 10_000)])
    at = end_of(SECONDS)
    stretches = [
        msgspec.structs.replace(
            some[-1],
            arrived_at=at if is_spooled else some[0].sent_at,
            counted_at=at,
            cells=[cell for one in some for cell in one.cells],
        )
        for some in away
    ]
    late = hear_all([*in_turn(*live), *stretches, heartbeat(at + 20_000)])
    assert_same_evidence(late, undisturbed)


def test_crashes_that_waited_beside_the_requests_are_evidence_as_well() -> None:
    """They stand in a topic of their own, which is read after the other."""
    requests, crashes = [], []
    for number, one in enumerate(partials_of(0, range(SECONDS))):
        source = Source(topic="coalmine.crashes", partition=0, offset=number)
        cells = [
            msgspec.structs.replace(cell, counts={"crash": cell.counts.pop("crash")}, histograms={})
            for cell in one.cells
            if not cell.is_of_all_hosts
        ]
        requests.append(one)
        crashes.append(msgspec.structs.replace(one, source=source, cells=cells))
    undisturbed = hear_all(
        [*in_turn(requests, crashes), heartbeat(end_of(SECONDS) + 10_000)],
    )
    at = end_of(SECONDS)
    read = counted([*requests[30:], *crashes[30:]], at, every_ms=100)
    late = hear_all([*in_turn(requests[:30], crashes[:30]), *read, heartbeat(at + 40_000)])
    assert_same_evidence(late, undisturbed)


def test_what_goes_on_meanwhile_waits_for_what_is_behind() -> None:
    """One agent is at the present; the others empty their spools, in their own order."""
    live = [list(partials_of(p, range(40))) for p in range(3)]
    away = [list(partials_of(p, range(40, SECONDS))) for p in (1, 2)]
    present = list(partials_of(0, range(40, SECONDS + 20)))
    undisturbed = hear_all(
        [*in_turn(*live, *away, present), heartbeat(end_of(SECONDS) + 30_000)],
    )
    drained = []
    for number, one in enumerate(one for some in away for one in some):
        at = end_of(SECONDS) + number * 10
        stamped = {"sent_at": at, "arrived_at": at, "counted_at": at}
        drained.append(msgspec.structs.replace(one, **stamped))
    heard = sorted([*drained, *present[SECONDS - 40 :]], key=lambda one: one.counted_at)
    before = present[: SECONDS - 40]
    silent = counted(before, end_of(SECONDS) - len(before) - 1)
    late = hear_all([*in_turn(*live), *silent, *heard, heartbeat(end_of(SECONDS) + 30_000)])
    assert_same_evidence(late, undisturbed)


def test_what_is_told_as_it_happens_is_not_held_back() -> None:
    """Nothing is remembered, and nothing waits."""
    judge = hear_all(in_turn(*(list(partials_of(p, range(60))) for p in range(2))))
    assert judge.state.catching_up is None
    assert judge.verdicts[-1].time >= end_of(59) - 1000


def test_partitions_that_say_nothing_more_are_waited_for_for_a_moment() -> None:
    """One of two agents is gone for good."""
    live = [list(partials_of(p, range(40))) for p in range(2)]
    judge = hear_all(in_turn(*live))
    away = counted(list(partials_of(0, range(40, 120))), end_of(120))
    for partial in away:
        judge.hear(partial)
    assert judge.verdicts[-1].time <= end_of(40)
    for partial in partials_of(0, range(120, 120 + 8 + PATIENCE_MS // 1000)):
        judge.hear(partial)
    assert judge.state.catching_up is None
    assert judge.verdicts[-1].time > end_of(110)


def test_an_hour_that_is_caught_up_with_in_minutes_is_held_back_to_its_end() -> None:
    """As long as what is told goes on faster than it happened."""
    judge, speed = hear_all(list(partials_of(0, range(30)))), 10
    hour = Traffic(start=TRAFFIC.start)
    for number in range(30, 3600, 30):
        [told] = hour.second(number, [BASELINE])
        told.source = Source(topic="coalmine.events", partition=0, offset=number)
        told.counted_at = TRAFFIC.start + 3_600_000 + (number - 30) * 1000 // speed
        judge.hear(told)
        assert judge.state.present() < judge.state.high_watermark


def test_an_agent_whose_clock_is_slow_holds_nobody_back_for_long() -> None:
    """Its events look as if they had waited, and always will."""
    slow_ms = WAITED_MS + 15_000
    judge = Judge()
    held_s = 0
    for right, slow in zip(partials_of(0, range(200)), partials_of(1, range(200)), strict=True):
        judge.hear(right)
        at = right.sent_at + slow_ms
        judge.hear(msgspec.structs.replace(slow, sent_at=at, arrived_at=at, counted_at=at))
        held_s += judge.state.present() < judge.state.high_watermark
    assert held_s * 1000 <= HELD_FOR_MS + 2_000
    assert judge.verdicts[-1].time >= end_of(199) - 11_000


def test_a_few_events_that_are_told_much_later_hold_nobody_back() -> None:
    """Some devices are seldom on line."""
    judge = Judge()
    for second, partial in enumerate(partials_of(0, range(60))):
        old = [c.tick - 600_000 for c in partial.cells[:1]] if second % 2 else []
        late = [
            Cell(tick=at, release=BASELINE, agent="agent-0", last=at, counts={"request": 4})
            for at in old
        ]
        judge.hear(msgspec.structs.replace(partial, cells=[*late, *partial.cells]))
        assert judge.state.catching_up is None


def test_crashes_that_are_told_much_later_hold_nobody_back() -> None:
    """People's devices tell of a crash when they are next on line."""
    judge, traffic = Judge(), TRAFFIC
    for second, partial in enumerate(partials_of(0, range(60))):
        judge.hear(partial)
        at = partial.sent_at
        cell = Cell(
            tick=traffic.start - 600_000,
            release=CANARY,
            agent="phones",
            last=traffic.start - 600_000,
            counts={"crash": 1},
        )
        source = Source(topic="coalmine.crashes", partition=0, offset=second)
        told = Partial(service="checkout", source=source, sent_at=at, cells=[cell])
        told.arrived_at = told.counted_at = at
        judge.hear(told)
        assert judge.state.catching_up is None


@pytest.mark.parametrize(("known_s", "most_ms"), [(5, HELD_BACK_UNJUDGED_MS), (30, HELD_BACK_MS)])
def test_no_more_than_some_minutes_wait_to_be_judged(known_s: int, most_ms: int) -> None:
    """What is not judged takes memory; where a canary is known, a rollout is open."""
    judge = hear_all(list(partials_of(0, range(known_s))))
    assert (judge.state.open_rollout is not None) == (known_s > CANARY_SINCE)
    hour = Traffic(start=TRAFFIC.start)
    held = []
    for number in range(known_s, 3600, 30):
        for partial in hour.second(number, [BASELINE]):
            told = msgspec.structs.replace(
                partial,
                source=Source(topic="coalmine.events", partition=0, offset=number + 10),
                arrived_at=partial.sent_at,
                counted_at=TRAFFIC.start + 3_600_000 + number,
            )
            judge.hear(told)
        held.append(judge.state.high_watermark - judge.state.present())
        assert len(judge.state.ticks) <= most_ms // 30_000 + 6
    assert max(held) == most_ms


@pytest.mark.parametrize("error_rate", [0.01, 0.3])
def test_a_decision_is_the_one_of_a_judge_that_was_there(error_rate: float) -> None:
    """A bad canary is rolled back, a good one is not."""
    first, second = (Traffic(seed=seed, error_rate={CANARY: error_rate}) for seed in (1, 2))
    live = [one for number in range(30) for one in first.second(number, [BASELINE])]
    away = [
        [one for number in range(30, 90) for one in traffic.second(number)]
        for traffic in (first, second)
    ]
    for partition, some in enumerate(away):
        for number, one in enumerate(some):
            source = Source(topic="coalmine.events", partition=partition, offset=1_000 + number)
            one.source, one.arrived_at, one.counted_at = source, one.sent_at, one.sent_at
    end = heartbeat(end_of(90) + 20_000)
    undisturbed = hear_all([*live, *in_turn(*away), end])
    late = hear_all([*live, *counted([*away[1], *away[0]], end_of(90)), end])
    assert late.told == undisturbed.told
    assert (DecisionAction.ROLLBACK in late.told) == (error_rate > 0.1)


def test_the_next_canary_is_judged_by_all_that_waited_while_a_promoted_one_was_watched() -> None:
    """It comes out of the backlog, and its rollout begins with what waits there."""
    following = "1.6.0"
    policy = Policy(
        service="checkout",
        harm=2.0,
        metrics=[
            Metric(name="errors", bad="request.bad"),
            Metric(
                name="latency",
                kind=MetricKind.DISTRIBUTION,
                value="request.duration_ms",
                critical=False,
            ),
        ],
        phases=[Phase()],
        watch_after=Seconds(600),
        autodetect=True,
    )
    traffic = Traffic(
        requests_per_s={BASELINE: 500, CANARY: 500, following: 50},
        error_rate={BASELINE: 0.02, CANARY: 0.02, following: 0.02},
    )
    present = [one for n in range(10) for one in traffic.second(n, [BASELINE])]
    present += [one for n in range(10, 40) for one in traffic.second(n, [BASELINE, CANARY])]
    waited = [one for n in range(40, 60) for one in traffic.second(n, [CANARY])]
    waited += [one for n in range(60, 80) for one in traffic.second(n, [CANARY, following])]
    for one in waited:
        one.arrived_at = one.counted_at = one.sent_at

    def judged(rest: list[Partial]) -> Judge:
        judge = Judge(policy)
        for partial in present:
            judge.hear(partial)
        assert judge.verdicts[-1].status is RolloutStatus.WATCHING
        for partial in [*rest, heartbeat(end_of(80) + 30_000)]:
            judge.hear(partial)
        return judge

    late, undisturbed = judged(counted(waited, end_of(80))), judged(waited)
    assert (late.verdicts[-1].canary, late.verdicts[-1].baseline) == (following, CANARY)
    assert_same_evidence(late, undisturbed)
    assert late.verdicts[-1].metrics[1].exposures.canary > 0


def test_what_waits_takes_little_room() -> None:
    """Ten seconds are one tick, and of a release that is not compared only counters are kept."""
    other = "1.3.0"
    traffic = Traffic(requests_per_s={BASELINE: 80, CANARY: 20, other: 10})
    live = [one for n in range(30) for one in traffic.second(n, [BASELINE, other])]
    live += [one for n in range(30, 40) for one in traffic.second(n)]
    away = counted([one for n in range(40, 160) for one in traffic.second(n)], end_of(160))
    for partial in away:
        partial.arrived_at = partial.sent_at
    judge = hear_all([*live, *away])
    assert judge.state.open_rollout is not None
    assert len(judge.state.ticks) <= 10 + 120 / 10, "the first ten show that they wait"
    wide = [judge.state.ticks[tick] for tick in sorted(judge.state.wide)]
    assert sum(arms[other].count("request") for arms in wide[1:]) == 10 * 10 * len(wide[1:])
    assert all(not arms[other].hosts and arms[CANARY].hosts for arms in wide[1:])
    judge.hear(heartbeat(end_of(160) + 20_000))
    assert judge.verdicts[-1].metrics[0].exposures.canary == 20 * 130
