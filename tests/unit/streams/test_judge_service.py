"""The judge of one service, fed with partials and nothing else."""

from __future__ import annotations

import pytest

from alerting.standing import Standing
from contracts.config import Seconds
from contracts.policy import Metric, Phase, Policy, StratifyBy
from contracts.results import (
    Action,
    Cell,
    DecisionAction,
    MetricKind,
    Outcome,
    Partial,
    RolloutCommandAction,
    RolloutStatus,
    Source,
)
from streams.judge.audit import audit
from streams.judge.counting import MAX_OVER
from streams.state import encode_state
from tests.support.judge import BASELINE, CANARY, POLICY, Judge, heartbeat
from tests.support.partials import Traffic


def _bad_canary() -> Traffic:
    return Traffic(error_rate={BASELINE: 0.01, CANARY: 0.3}, crash_rate={CANARY: 0.3})


def test_a_bad_canary_is_rolled_back_verified_and_nothing_is_decided_twice() -> None:
    """Autodetected, rolled back on evidence, and verified once its traffic is gone."""
    judge, traffic = Judge(), _bad_canary()
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 30))
    judge.run(traffic, range(30, 45), [BASELINE])
    assert [d.action for d in judge.decisions] == [
        DecisionAction.ROLLBACK,
        DecisionAction.ROLLBACK_VERIFIED,
    ]
    rollback = judge.decisions[0]
    assert (rollback.canary, rollback.baseline) == (CANARY, BASELINE)
    assert rollback.guilty_metric in ("error_rate", "crash_rate")
    assert rollback.relative_risk.lower is not None
    assert rollback.relative_risk.lower > 1.1
    last = judge.verdicts[-1]
    assert (last.status, last.outcome) == (RolloutStatus.ROLLED_BACK, Outcome.REGRESSED)
    assert last.rollback_verified
    assert last.drained_at == traffic.start + 30_000
    assert last.first_bad_event_at is not None
    assert last.first_bad_event_at >= traffic.start + 10_000


def test_what_is_told_of_all_agents_together_is_no_agent() -> None:
    """Nobody would ever move its watermark on: every tick would wait for it."""
    judge, traffic = Judge(), Traffic(hosts=3)
    judge.run(traffic, range(10))
    assert any(not cell.agent for partial in traffic.second(10) for cell in partial.cells)
    assert judge.state.watermarks.keys() == {f"agent-{BASELINE}", f"agent-{CANARY}"}
    agents = {name for release in judge.state.releases.values() for name in release.agents}
    assert agents == judge.state.watermarks.keys()


def _rolled_back(traffic: Traffic) -> Judge:
    """A judge that has just rolled back, in second 30."""
    judge = Judge()
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 30))
    assert [d.action for d in judge.decisions] == [DecisionAction.ROLLBACK]
    return judge


def test_a_rollback_is_not_verified_by_silence() -> None:
    """All traffic stops: the state says so, an undelivered rollback stands, people are called once,
    and then nothing more is said until something is heard again.
    """
    traffic = _bad_canary()
    judge = _rolled_back(traffic)
    for second in range(32, 200):
        if judge.state.is_pending:
            judge.hear(heartbeat(traffic.start + second * 1000))
    words = Standing()
    for decision in judge.decisions:
        words.note(decision)
    last = judge.verdicts[-1]
    stopped = [v for v in judge.verdicts if v.status is RolloutStatus.TRAFFIC_STOPPED]

    assert [d.action for d in judge.decisions] == [DecisionAction.ROLLBACK, DecisionAction.ESCALATE]
    assert words.overruled_by(judge.decisions[0]) is None
    assert (last.status, last.outcome) == (RolloutStatus.TRAFFIC_STOPPED, Outcome.REGRESSED)
    assert not last.rollback_verified
    assert len(stopped) == 2  # when it stopped, and when people were called
    for said in (last, judge.decisions[-1]):
        assert said.reason.endswith(
            f"All traffic has stopped: whether {CANARY} is gone is not known."
        )


def test_traffic_that_comes_back_is_watched_again() -> None:
    """After a silence the canary may return, and is gone once others have traffic without it."""
    traffic = _bad_canary()
    judge = _rolled_back(traffic)
    judge.hear(heartbeat(traffic.start + 40_000))
    judge.run(traffic, range(60, 80))
    assert judge.verdicts[-1].status is RolloutStatus.ROLLING_BACK
    judge.run(traffic, range(80, 95), [BASELINE])
    assert judge.verdicts[-1].rollback_verified
    assert judge.verdicts[-1].drained_at == traffic.start + 80_000


def test_one_request_after_a_silence_verifies_nothing() -> None:
    """The first that speaks again is not proof that the other will not."""
    traffic = _bad_canary()
    judge = _rolled_back(traffic)
    judge.hear(heartbeat(traffic.start + 40_000))
    judge.run(traffic, range(60, 61), [BASELINE])
    judge.hear(heartbeat(traffic.start + 62_000))
    assert DecisionAction.ROLLBACK_VERIFIED not in [d.action for d in judge.decisions]


def test_a_rollback_to_a_third_release_is_verified() -> None:
    """Whoever has the traffic: the canary is gone when others have it for a while."""
    traffic = _bad_canary()
    traffic.requests_per_s["1.4.1"] = 80
    judge = Judge()
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 30), [BASELINE, CANARY])
    judge.run(traffic, range(30, 45), ["1.4.1"])
    assert [d.action for d in judge.decisions] == [
        DecisionAction.ROLLBACK,
        DecisionAction.ROLLBACK_VERIFIED,
    ]


def test_a_good_canary_is_not_rolled_back() -> None:
    """Five minutes of equal arms, a look every second: no rollback."""
    judge, traffic = Judge(), Traffic()
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 300))
    assert DecisionAction.ROLLBACK not in [d.action for d in judge.decisions]
    assert judge.verdicts[-1].outcome in (Outcome.INCONCLUSIVE, Outcome.HEALTHY)


def test_a_slow_canary_is_rolled_back_for_latency() -> None:
    """Three times the latency and equal errors: latency is guilty."""
    judge, traffic = Judge(), Traffic(latency_ms={BASELINE: 50, CANARY: 150})
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 60))
    assert judge.decisions[0].action is DecisionAction.ROLLBACK
    assert judge.decisions[0].guilty_metric == "latency"


def test_partials_sent_twice_count_once() -> None:
    """The same source again changes neither counts nor evidence."""
    once, twice = Judge(), Judge()
    traffic = _bad_canary()
    partials = [p for n in range(20) for p in traffic.second(n)]
    for partial in partials:
        once.hear(partial)
        twice.hear(partial)
        twice.hear(partial)
    assert twice.outputs == once.outputs


def test_every_request_is_in_exactly_one_window_part() -> None:
    """Windows add up to the traffic, late and out-of-order partials included."""
    judge, traffic = Judge(), Traffic(error_rate={CANARY: 0.01})
    seconds = [n for n in range(60) if n % 7] + [n for n in range(60) if not n % 7]
    for number in seconds:
        for partial in traffic.second(number):
            judge.hear(partial)
    judge.hear(heartbeat(traffic.start + 600_000))
    totals = judge.window_totals()
    assert totals[f"{BASELINE} request"] == 60 * 80
    assert totals[f"{CANARY} request"] == 60 * 20


def test_an_unfinished_tick_is_not_judged() -> None:
    """While one arm has not reported a second, that second gives no evidence."""
    judge, traffic = Judge(), Traffic()
    judge.run(traffic, range(10))
    judge.order(RolloutCommandAction.START, CANARY)
    judge.run(traffic, range(10, 12))
    before = len(judge.verdicts)
    judge.run(traffic, range(12, 15), [CANARY])
    assert len(judge.verdicts) == before
    judge.run(traffic, range(12, 15), [BASELINE])
    assert len(judge.verdicts) == before + 3  # the last second may still be out of order


def test_a_tick_waits_for_each_release_although_one_agent_ships_both() -> None:
    """The log of one release is read before the other's: that does not end the other's tick."""
    judge = Judge()
    judge.order(RolloutCommandAction.START, CANARY)
    assert judge.state.rollout is not None
    judge.state.rollout.baseline = BASELINE
    start = 1_795_428_000_000
    judge.hear(_requests(0, BASELINE, start, start + 900))
    judge.hear(_requests(1, CANARY, start, start + 900))
    before = len(judge.verdicts)
    judge.hear(_requests(2, BASELINE, start + 1_000, start + 1_600))
    assert len(judge.verdicts) == before
    judge.hear(_requests(3, CANARY, start + 1_000, start + 1_300))
    assert [v.time for v in judge.verdicts[before:]] == [start + 1_000]


def test_a_release_with_little_traffic_counts_as_silent_a_second_behind_its_agent() -> None:
    """A canary that has nothing to tell does not hold its tick for the whole lateness."""
    judge = Judge()
    judge.order(RolloutCommandAction.START, CANARY)
    assert judge.state.rollout is not None
    judge.state.rollout.baseline = BASELINE
    start = 1_795_428_000_000
    judge.hear(_requests(0, CANARY, start, start + 300))
    judge.hear(_requests(1, BASELINE, start, start + 900))
    before = len(judge.verdicts)
    judge.hear(_requests(2, BASELINE, start + 1_000, start + 1_900))
    assert len(judge.verdicts) == before
    judge.hear(_requests(3, BASELINE, start + 2_000, start + 2_000))
    assert [v.time for v in judge.verdicts[before:]] == [start + 1_000]


def _requests(offset: int, release: str, tick: int, last: int) -> Partial:
    """What an agent of both releases tells of one of them."""
    cell = Cell(tick=tick, release=release, agent="both", last=last, counts={"request": 10})
    source = Source(topic="coalmine.events", partition=0, offset=offset)
    return Partial(service="checkout", source=source, sent_at=last, cells=[cell])


def test_a_silent_arm_is_waited_for_no_longer_than_the_lateness() -> None:
    """A canary that stops reporting does not stop the judge."""
    judge, traffic = Judge(), Traffic()
    judge.run(traffic, range(10))
    judge.order(RolloutCommandAction.START, CANARY)
    judge.run(traffic, range(10, 40), [BASELINE])
    assert judge.verdicts[-1].time >= traffic.start + 33_000


def test_a_heartbeat_judges_and_writes_what_is_pending() -> None:
    """When traffic stops, the last seconds are judged and written all the same."""
    judge, traffic = Judge(), Traffic()
    judge.run(traffic, range(3), [BASELINE])
    assert judge.state.is_pending
    judge.hear(heartbeat(traffic.start + 10_000))
    assert not judge.state.is_pending
    assert judge.window_totals()[f"{BASELINE} request"] == 3 * 80


def test_a_heartbeat_that_something_has_overtaken_ends_nothing() -> None:
    """Where the judge is behind, one waits behind messages that prove it wrong."""
    judge, traffic = Judge(), Traffic()
    judge.run(traffic, range(3), [BASELINE])
    judge.order(RolloutCommandAction.START, CANARY)
    judge.run(traffic, range(3, 6))
    before = encode_state(judge.state)
    assert judge.hear(heartbeat(judge.state.heard_at - 1)) == []
    assert judge.state.ticks
    assert judge.state.is_pending
    judge.state.version -= 1
    assert encode_state(judge.state) == before
    assert judge.hear(heartbeat(judge.state.heard_at + 2_000))
    assert not judge.state.ticks


def test_no_data_is_neither_health_nor_regression() -> None:
    """A rollout whose canary never gets traffic stays at no_data and decides nothing."""
    judge, traffic = Judge(), Traffic()
    judge.run(traffic, range(5), [BASELINE])
    judge.order(RolloutCommandAction.START, CANARY)
    judge.run(traffic, range(5, 60), [BASELINE])
    assert {v.outcome for v in judge.verdicts} == {Outcome.NO_DATA}
    assert judge.decisions == []


def test_traffic_that_does_not_leave_calls_people_once() -> None:
    """A rollback that the deploy tool does not carry out escalates, once."""
    policy = Policy(service="checkout", autodetect=True, escalate_after=Seconds(10))
    judge, traffic = Judge(policy), _bad_canary()
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 80))
    assert [d.action for d in judge.decisions] == [
        DecisionAction.ROLLBACK,
        DecisionAction.ESCALATE,
    ]


def test_a_healthy_canary_is_promoted_phase_by_phase() -> None:
    """Health shown and minima met: the next phase, and after the last one the end."""
    phases = [Phase(name="few", min_duration=Seconds(20)), Phase(name="all", min_exposures=500)]
    policy = Policy(service="checkout", autodetect=True, harm=2.0, phases=phases)
    rates = {BASELINE: 0.2, CANARY: 0.2}
    traffic = Traffic(
        requests_per_s={BASELINE: 500, CANARY: 500}, error_rate=rates, crash_rate=rates
    )
    judge = Judge(policy)
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 90))
    assert [(d.phase, d.action) for d in judge.decisions] == [
        ("few", DecisionAction.PROMOTE),
        ("all", DecisionAction.PROMOTE),
    ]
    assert judge.verdicts[-1].status is RolloutStatus.PROMOTED
    assert [v.action for v in judge.verdicts].count(Action.PROMOTE) == 2


@pytest.mark.parametrize(
    ("negligible_rate", "outcome"), [(0.001, Outcome.HEALTHY), (0, Outcome.INCONCLUSIVE)]
)
def test_a_service_that_never_fails_is_promoted_where_rates_can_be_negligible(
    negligible_rate: float, outcome: Outcome
) -> None:
    """Without one failure there is nothing to compare, yet exposures show that the rate is low."""
    policy = Policy(service="checkout", autodetect=True, negligible_rate=negligible_rate)
    policy.metrics = policy.metrics[:2]
    none = {BASELINE: 0.0, CANARY: 0.0}
    traffic = Traffic(requests_per_s={BASELINE: 500, CANARY: 500}, error_rate=none, crash_rate=none)
    judge = Judge(policy)
    judge.run(traffic, range(5), [BASELINE])
    judge.run(traffic, range(5, 30))
    assert judge.verdicts[-1].outcome is outcome


def test_a_metric_without_data_is_named_as_what_keeps_a_release_from_promotion() -> None:
    """Where a service logs no duration its latency shows neither harm nor health, for ever."""
    size = Metric(name="size", kind=MetricKind.DISTRIBUTION, value="request.size")
    metrics = [*Policy().metrics[:1], size]
    judge = Judge(Policy(service="checkout", autodetect=True, metrics=metrics))
    traffic = Traffic(requests_per_s={BASELINE: 80, CANARY: 80})
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 20))
    assert judge.verdicts[-1].outcome is Outcome.INCONCLUSIVE
    assert judge.verdicts[-1].reason.endswith(
        "Nothing is promoted while size of 1.5.0 has no data."
    )


def test_an_abort_ends_a_rollout_and_the_same_command_twice_is_one() -> None:
    """Commands are idempotent by their id."""
    judge, traffic = Judge(Policy()), Traffic()
    judge.run(traffic, range(5))
    judge.order(RolloutCommandAction.START, CANARY, name="a")
    judge.order(RolloutCommandAction.ABORT, name="b")
    judge.order(RolloutCommandAction.START, CANARY, name="a")
    assert judge.verdicts[-1].status is RolloutStatus.ABORTED
    assert judge.state.rollout is not None
    assert not judge.state.rollout.status.is_open
    assert [d.action for d in judge.decisions] == [DecisionAction.ABORTED]


def test_a_rollout_that_is_replaced_says_so_after_its_rollback() -> None:
    """An alerter that still tries to deliver the rollback hears that its rollout has ended."""
    judge, traffic = Judge(), _bad_canary()
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 30))
    judge.order(RolloutCommandAction.START, "1.5.1")
    rollback, aborted = judge.decisions
    assert (rollback.action, aborted.action) == (DecisionAction.ROLLBACK, DecisionAction.ABORTED)
    assert rollback.rollout == aborted.rollout
    assert aborted.reason == "Replaced by 1.5.1."


def test_without_autodetect_a_new_release_opens_nothing() -> None:
    """Only a policy that says so, or a command, opens a rollout."""
    judge, traffic = Judge(Policy()), _bad_canary()
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 30))
    assert judge.verdicts == []


def test_ticks_without_exposures_of_an_arm_are_pooled_not_lost() -> None:
    """A canary with a request every third second has the same exposures judged as counted."""
    judge, traffic = Judge(), Traffic(requests_per_s={BASELINE: 90, CANARY: 3})
    judge.run(traffic, range(5))
    judge.order(RolloutCommandAction.START, CANARY)
    for second in range(5, 65):
        judge.run(traffic, range(second, second + 1), None if second % 3 == 0 else [BASELINE])
    judge.hear(heartbeat(traffic.start + 70_000))
    error_rate = judge.verdicts[-1].metrics[0]
    opened, last_pooled = 4, 63  # the canary's last second; what came after waits for its next
    assert error_rate.exposures.canary == 3 * (1 + 20)
    assert error_rate.exposures.baseline == 90 * (last_pooled - opened + 1)


def test_the_stored_windows_give_the_same_evidence_again() -> None:
    """From the verdicts alone, in order, every metric's evidence comes out to the last digit."""
    judge, traffic = Judge(), Traffic(error_rate={BASELINE: 0.02, CANARY: 0.04})
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 60))
    by_time = {v.time: v for v in judge.verdicts}
    rows = audit(POLICY, [by_time[time] for time in sorted(by_time)])
    assert [row.name for row in rows] == [*(metric.name for metric in POLICY.metrics), "(rollout)"]
    assert all(row.windows > 20 for row in rows)
    assert [row.stored for row in rows] == [row.recomputed for row in rows]


def test_a_router_that_loses_the_canary_freezes_the_verdict() -> None:
    """Half of the canary's exposures missing: held once, with the reason, never rolled back."""
    phases = [Phase(name="half", exposure=0.4)]
    policy = Policy(
        service="checkout", autodetect=True, phases=phases, shares_settle_after=Seconds(5)
    )
    judge, traffic = Judge(policy), _bad_canary()  # 20 of 100 requests a second, not 40
    judge.run(traffic, range(10), [BASELINE])
    rates = traffic.error_rate, traffic.crash_rate
    traffic.error_rate, traffic.crash_rate = {}, {}
    judge.run(traffic, range(10, 40))
    traffic.error_rate, traffic.crash_rate = rates
    judge.run(traffic, range(40, 80))
    assert [d.action for d in judge.decisions] == [DecisionAction.HOLD]
    last = judge.verdicts[-1]
    assert (last.outcome, last.action) == (Outcome.INCONCLUSIVE, Action.HOLD)
    assert last.status is RolloutStatus.HOLDING
    assert "20.00% of the exposures where 40.00%" in last.reason
    assert last.sample_ratio_log10 is not None
    assert last.sample_ratio_log10 > 3


def test_a_metric_that_is_not_critical_holds_the_promotion_and_rolls_nothing_back() -> None:
    """Slower than tolerated, but only watched: held instead of promoted."""
    metrics = [
        Metric(name="error_rate", bad="request.bad"),
        Metric(
            name="latency",
            kind=MetricKind.DISTRIBUTION,
            value="request.duration_ms",
            critical=False,
        ),
    ]
    policy = Policy(
        service="checkout",
        autodetect=True,
        harm=2.0,
        metrics=metrics,
        phases=[Phase(min_duration=Seconds(20))],
    )
    traffic = Traffic(
        requests_per_s={BASELINE: 500, CANARY: 500},
        error_rate={BASELINE: 0.2, CANARY: 0.2},
        latency_ms={BASELINE: 50, CANARY: 100},
    )
    judge = Judge(policy)
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 60))
    assert [d.action for d in judge.decisions] == [DecisionAction.HOLD]
    assert judge.verdicts[-1].metrics[1].outcome is Outcome.REGRESSED
    assert judge.verdicts[-1].held_because == "latency got worse"
    assert judge.decisions[-1].reason.endswith("Held, because latency got worse.")


def test_another_mix_of_routes_is_no_regression_when_routes_are_compared_apart() -> None:
    """A canary that gets the routes which fail more is blamed for it only without strata."""
    mixes = {BASELINE: {"/buy": 0.1, "/see": 0.9}, CANARY: {"/buy": 0.9, "/see": 0.1}}

    def judged(by: StratifyBy) -> Judge:
        policy = Policy(service="checkout", autodetect=True, stratify_by=by)
        traffic = Traffic(requests_per_s={BASELINE: 400, CANARY: 100}, routes=mixes)
        judge = Judge(policy)
        judge.run(traffic, range(10), [BASELINE])
        judge.run(traffic, range(10, 60))
        return judge

    together, apart = judged(StratifyBy.NONE), judged(StratifyBy.ROUTE)
    assert together.decisions[0].guilty_metric == "error_rate"
    assert apart.decisions == []
    names = [c.name for c in apart.verdicts[-1].metrics[0].contributors]
    assert set(names) <= {"/buy", "/see"}


def test_hosts_that_differ_raise_the_tolerance_and_it_is_shown() -> None:
    """Ten baseline hosts scatter by half: the verdict says so and accepts as much."""
    judge, traffic = (
        Judge(),
        Traffic(
            requests_per_s={BASELINE: 2000, CANARY: 2000},
            error_rate={BASELINE: 0.05, CANARY: 0.05},
            hosts=10,
            host_sd=0.5,
        ),
    )
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 40))
    found = judge.verdicts[-1].metrics[0]
    assert found.placebo is not None
    assert found.placebo.hosts == 10
    assert 0.25 < found.placebo.sd < 1.0
    assert found.tolerance == found.placebo.tolerance > 0.5
    assert DecisionAction.ROLLBACK not in [d.action for d in judge.decisions]


def _late_crashes(rate: float) -> list[Partial]:
    """Crash reports of a minute ago, a batch a second, at ``rate`` times the baseline's."""
    none = {BASELINE: 0.0, CANARY: 0.0}
    traffic = Traffic(requests_per_s={BASELINE: 200, CANARY: 200}, crash_rate=none)
    partials, offset = [], 0
    for second in range(300):
        partials += traffic.second(second, None if second >= 10 else [BASELINE])
        for release, factor in ((BASELINE, 1.0), (CANARY, rate)):
            at = second - 60
            if at < 10:
                continue
            offset += 1
            tick = traffic.start + at * 1000
            count = int(traffic.random.binomial(200, 0.02 * factor))
            cell = Cell(
                tick=tick,
                release=release,
                agent=f"phones-{release}",
                last=tick,
                counts={"crash": count},
            )
            partials.append(
                Partial(
                    service="checkout",
                    source=Source(topic="coalmine.crashes", partition=0, offset=offset),
                    sent_at=traffic.start + second * 1000,
                    cells=[cell],
                )
            )
    return partials


def _of_late_reports(rate: float) -> Judge:
    metric = Metric(name="crash_rate", bad="crash", reports_within=Seconds(90))
    phases = [Phase(min_duration=Seconds(3600))]
    policy = Policy(service="checkout", autodetect=True, metrics=[metric], phases=phases)
    judge = Judge(policy)
    for partial in _late_crashes(rate):
        judge.hear(partial)
    return judge


def test_late_reports_are_compared_at_the_same_age() -> None:
    """Crashes that are reported a minute later count where the policy waits for them."""
    bad, good = _of_late_reports(2.0), _of_late_reports(1.0)
    assert [d.action for d in bad.decisions][:1] == [DecisionAction.ROLLBACK]
    assert DecisionAction.ROLLBACK not in [d.action for d in good.decisions]
    found = good.verdicts[-1].metrics[0]
    assert found.exposures.canary == pytest.approx(198 * 200, rel=0.02)  # 90 s are still waiting
    assert found.bad.canary == pytest.approx(0.02 * found.exposures.canary, rel=0.2)


def test_what_comes_an_hour_late_does_not_wait_for_a_tick_to_end() -> None:
    """One partition is read to its end before another: nothing that comes then ends a tick."""
    judge, traffic = Judge(), Traffic()
    ahead = [partial for second in (3600, 3630) for partial in traffic.second(second, [BASELINE])]
    late = [partial for second in range(0, 3600, 10) for partial in traffic.second(second)]
    most = 0
    for partial in [*ahead, *late]:
        judge.hear(partial)
        most = max(most, len(judge.state.windows))
    assert most <= MAX_OVER + 2
    judge.hear(heartbeat(traffic.start + 3_700_000))
    assert judge.window_totals()[f"{BASELINE} request"] == 80 * 362
    assert judge.window_totals()[f"{CANARY} request"] == 20 * 360


def test_the_state_is_small_whatever_was_counted() -> None:
    """A thousand times the traffic does not make the state larger than ten kilobytes a metric."""
    sizes = []
    for factor in (1, 1000):
        judge, traffic = (
            Judge(),
            Traffic(requests_per_s={BASELINE: 80 * factor, CANARY: 20 * factor}),
        )
        judge.run(traffic, range(10), [BASELINE])
        judge.run(traffic, range(10, 30))
        judge.hear(heartbeat(traffic.start + 600_000))
        sizes.append(len(encode_state(judge.state)))
    assert max(sizes) < 30_000
