"""Phases: what they ask for, what their end brings, what keeps them, which metrics they have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from contracts.config import Seconds
from contracts.policy import AtEnd, BusinessHours, Freeze, Metric, Phase, Policy, Weekday
from contracts.results import (
    DecisionAction,
    Outcome,
    Partial,
    RolloutCommandAction,
    RolloutStatus,
)
from streams.judge.audit import audit
from streams.judge.phases import off_hours
from tests.support.judge import BASELINE, CANARY, Judge
from tests.support.partials import Traffic

START, RESUME = RolloutCommandAction.START, RolloutCommandAction.RESUME
ROLLBACK, PROMOTE, HOLD = DecisionAction.ROLLBACK, DecisionAction.PROMOTE, DecisionAction.HOLD
RATES = {BASELINE: 0.2, CANARY: 0.2}
NOON = datetime(2023, 11, 14, 12, tzinfo=UTC)


_ALL_FOR_LONG = Phase(name="all", min_duration=Seconds(20))


def _policy(*phases: Phase, **fields: object) -> Policy:
    metrics = [Metric(name="errors", bad="request.bad")]
    policy = Policy(service="checkout", harm=2.0, metrics=metrics, phases=[*phases])
    return msgspec.structs.replace(policy, **fields)


def _busy() -> Traffic:
    """Enough to show health within seconds."""
    return Traffic(requests_per_s={BASELINE: 500, CANARY: 500}, error_rate=RATES)


def _quiet() -> Traffic:
    """Too little to show anything."""
    return Traffic(requests_per_s={BASELINE: 5, CANARY: 1}, error_rate={})


def _run(policy: Policy, traffic: Traffic, seconds: int) -> Judge:
    judge = Judge(policy)
    judge.run(traffic, range(3), [BASELINE])
    judge.order(START, CANARY)
    judge.run(traffic, range(3, seconds))
    return judge


def test_a_phase_lasts_its_least_time_and_its_least_exposures() -> None:
    """The verdict says what is still asked for, and how far each phase came."""
    few = Phase(name="few", min_duration=Seconds(20))
    judge = _run(_policy(few, Phase(name="all", min_exposures=20_000)), _busy(), 90)
    assert [(d.phase, d.action) for d in judge.decisions] == [("few", PROMOTE), ("all", PROMOTE)]
    first, second = judge.decisions
    opened = judge.verdicts[0].opened_at
    assert first.time - opened >= 20_000
    assert second.time - first.time >= 20_000_000 / 500
    waiting = [v.held_because for v in judge.verdicts if v.outcome is Outcome.HEALTHY]
    assert any("lasts at least 20 s" in why for why in waiting)
    assert any("needs 20,000 exposures" in why for why in waiting)
    last = judge.verdicts[-1].phases
    assert [p.name for p in last] == ["few", "all"]
    assert last[1].exposures >= 20_000
    assert last[0].ended_at == last[1].started_at == first.time
    assert last[1].ended_at == second.time


@pytest.mark.parametrize(
    ("at_end", "told", "status"),
    [
        (AtEnd.HOLD, HOLD, RolloutStatus.HOLDING),
        (AtEnd.PROMOTE, PROMOTE, RolloutStatus.PROMOTED),
        (AtEnd.ROLLBACK, ROLLBACK, RolloutStatus.ROLLING_BACK),
    ],
)
def test_a_phase_without_a_decision_ends_as_its_policy_says(
    at_end: AtEnd, told: DecisionAction, status: RolloutStatus
) -> None:
    """Once, with the reason; the outcome stays inconclusive."""
    phase = Phase(max_duration=Seconds(20), at_end=at_end)
    judge = _run(_policy(phase), _quiet(), 40)
    assert judge.told == [told]
    [decision] = judge.decisions
    assert decision.outcome is Outcome.INCONCLUSIVE
    assert "for 20 s without a decision" in decision.reason
    assert judge.verdicts[-1].status is status


def test_a_phase_that_has_ended_waits_for_a_person_and_lasts_anew_after_a_resume() -> None:
    """Also where health is shown later: people were told that it waits for them."""
    judge = _run(_policy(Phase(max_duration=Seconds(20))), traffic := _quiet(), 40)
    busy = _busy()
    busy.offset = traffic.offset
    judge.run(busy, range(40, 60))
    assert judge.verdicts[-1].outcome is Outcome.HEALTHY
    assert judge.told == [HOLD]
    judge.order(RESUME, name="2")
    assert judge.told == [HOLD, PROMOTE]


def test_a_person_who_holds_a_phase_stops_its_clock() -> None:
    """It is not rolled back under the hands of whoever looks into it; it lasts anew afterwards."""
    phase = Phase(max_duration=Seconds(20), at_end=AtEnd.ROLLBACK)
    judge, traffic = Judge(_policy(phase)), _quiet()
    judge.run(traffic, range(3), [BASELINE])
    judge.order(START, CANARY)
    judge.order(RolloutCommandAction.HOLD, name="2")
    judge.run(traffic, range(3, 40))
    judge.order(RESUME, name="3")
    judge.run(traffic, range(40, 55))
    assert judge.told == []
    judge.run(traffic, range(55, 65))
    assert judge.told == [ROLLBACK]


def test_a_phase_that_is_resumed_before_any_traffic_lasts_its_time() -> None:
    """From then on, not from the beginning of time."""
    judge, traffic = Judge(_policy(Phase(max_duration=Seconds(20)))), _quiet()
    judge.now = traffic.start
    judge.order(START, CANARY, baseline=BASELINE)
    judge.order(RolloutCommandAction.HOLD, name="2")
    judge.order(RESUME, name="3")
    judge.run(traffic, range(15))
    assert judge.told == []


def test_no_data_is_not_promoted_at_the_end_of_a_phase() -> None:
    """Whatever the policy says: nothing was seen of the canary."""
    phase = Phase(max_duration=Seconds(20), at_end=AtEnd.PROMOTE)
    judge = Judge(_policy(phase))
    traffic = _busy()
    judge.run(traffic, range(3), [BASELINE])
    judge.order(START, CANARY)
    judge.run(traffic, range(3, 40), [BASELINE])
    assert judge.told == [HOLD]
    assert judge.verdicts[-1].outcome is Outcome.NO_DATA


def test_health_that_waits_is_not_ended_by_its_phase() -> None:
    """A freeze keeps a healthy release where it is, and does not roll it back."""
    start = datetime.fromtimestamp(_busy().start / 1000, UTC)
    freeze = Freeze(start=start, end=start + timedelta(seconds=60), reason="sale", owner="ops")
    phase = Phase(max_duration=Seconds(40), at_end=AtEnd.ROLLBACK)
    judge = _run(_policy(phase, freezes=[freeze]), _busy(), 55)
    held = judge.verdicts[-1]
    assert (held.outcome, held.status) == (Outcome.HEALTHY, RolloutStatus.HOLDING)
    assert held.held_because.endswith("sale (ops)")
    assert "frozen until 2023-11-14 22:14 UTC" in held.held_because
    assert judge.told == []


def test_a_freeze_and_the_hour_keep_promotions_only_until_they_are_over() -> None:
    """In event time."""
    start = datetime.fromtimestamp(_busy().start / 1000, UTC)
    freeze = Freeze(start=start, end=start + timedelta(seconds=40), reason="sale")
    judge = _run(_policy(Phase(), freezes=[freeze]), _busy(), 50)
    assert judge.told == [PROMOTE]
    assert judge.decisions[0].time == _busy().start + 40_000


def test_a_bad_release_is_rolled_back_at_night_in_a_freeze() -> None:
    """Rollbacks do not wait."""
    start = datetime.fromtimestamp(_busy().start / 1000, UTC)
    freeze = Freeze(start=start, end=start + timedelta(days=1), reason="sale")
    hours = BusinessHours(days=[Weekday.SUNDAY])
    traffic = Traffic(error_rate={BASELINE: 0.01, CANARY: 0.3})
    judge = _run(_policy(Phase(), freezes=[freeze], business_hours=hours), traffic, 30)
    assert judge.told == [ROLLBACK]


@pytest.mark.parametrize(
    ("hours", "at", "is_open"),
    [
        (BusinessHours(), NOON, True),
        (BusinessHours(), NOON.replace(hour=17), False),
        (BusinessHours(), NOON + timedelta(days=4), False),  # a Saturday
        (BusinessHours(zone="America/New_York"), NOON, False),
        (BusinessHours(zone="Asia/Tokyo", start="20:00", end="22:00"), NOON, True),
        (BusinessHours(days=[Weekday.MONDAY], start="22:00", end="13:00"), NOON, True),
        (BusinessHours(days=[Weekday.TUESDAY], start="22:00", end="13:00"), NOON, False),
        # an hour that summer time moved
        (BusinessHours(zone="Europe/Berlin"), NOON.replace(month=7, day=14, hour=7), True),
        (BusinessHours(zone="Europe/Berlin"), NOON.replace(hour=7), False),
    ],
)
def test_business_hours_are_of_a_place(
    hours: BusinessHours, at: datetime, *, is_open: bool
) -> None:
    """Days and summer time of the zone; hours past midnight belong to the day they start on."""
    assert (off_hours(hours, at) == "") is is_open


# --- metrics of single phases --------------------------------------------------------------------

_CLUSTER_ONLY = [
    Metric(name="errors", bad="request.bad"),
    Metric(name="crashes", bad="crash", phases=["cluster"]),
]


def _crashing() -> Traffic:
    return Traffic(
        requests_per_s={BASELINE: 500, CANARY: 500},
        error_rate=RATES,
        crash_rate={BASELINE: 0.01, CANARY: 0.2},
    )


def test_a_metric_is_judged_in_its_phases_only_and_then_rolls_back() -> None:
    """Its crashes of the first phase are no evidence; in the second they stop the rollout."""
    policy = _policy(Phase(name="few"), Phase(name="cluster"), metrics=_CLUSTER_ONLY)
    judge = _run(policy, _crashing(), 60)
    assert [(d.phase, d.action) for d in judge.decisions] == [
        ("few", PROMOTE),
        ("cluster", ROLLBACK),
    ]
    assert judge.decisions[1].guilty_metric == "crashes"
    before = [v for v in judge.verdicts if v.phase == "few"]
    assert all(v.metrics[1].evidence_log10 == 0 and not v.metrics[1].windows for v in before)
    assert [m.is_judged for m in before[-1].metrics] == [True, False]
    assert all(row.agrees for row in audit(policy, judge.verdicts))


def test_a_metric_that_is_not_judged_any_more_keeps_its_evidence_and_does_not_hold() -> None:
    """A promotion needs the metrics of its own phase."""
    metrics = [
        Metric(name="errors", bad="request.bad"),
        Metric(name="crashes", bad="crash", critical=False, phases=["few"]),
    ]
    judge = _run(_policy(Phase(name="few"), Phase(name="all"), metrics=metrics), _crashing(), 40)
    assert judge.told == [HOLD]
    assert judge.verdicts[-1].held_because == "crashes got worse"
    judge.order(RolloutCommandAction.PROMOTE, name="2", reason="known")
    judge.run(_crashing_on(judge), range(40, 60))
    assert judge.told == [HOLD, PROMOTE, PROMOTE]
    assert judge.verdicts[-1].metrics[1].evidence_log10 > 2


def _crashing_on(judge: Judge) -> Traffic:
    traffic = _crashing()
    traffic.offset = max(judge.state.fences.values())
    return traffic


def test_late_reports_count_for_the_phase_of_their_own_time() -> None:
    """A crash of the first phase that is reported in the second is no evidence there."""
    metrics = [
        Metric(name="errors", bad="request.bad"),
        Metric(name="crashes", bad="crash", reports_within=Seconds(5), phases=["few"]),
    ]
    policy = _policy(Phase(name="few", min_duration=Seconds(10)), _ALL_FOR_LONG)
    policy.metrics = metrics
    judge = Judge(policy)
    calm = _busy()
    calm.crash_rate = RATES
    judge.run(calm, range(3), [BASELINE])
    judge.order(START, CANARY)
    judge.run(calm, range(3, 60))
    rollout = judge.state.rollout
    assert rollout is not None
    ratio = rollout.metrics[1].ratio
    assert ratio is not None
    in_few = rollout.visits[0].ended_at
    assert in_few is not None
    seconds = (in_few - calm.start) // 1000 - 2
    assert ratio.canary_exposures == pytest.approx(500 * seconds, abs=500 * 2)


# --- after the decision --------------------------------------------------------------------------


def _watched(seconds: int, **rates: float) -> Judge:
    """A canary that is promoted within seconds, and watched for a minute."""
    policy = _policy(Phase(), watch_after=Seconds(60))
    judge = _run(policy, _busy(), 30)
    assert judge.told == [PROMOTE]
    assert judge.verdicts[-1].status is RolloutStatus.WATCHING
    traffic = _busy()
    traffic.offset = max(judge.state.fences.values())
    traffic.error_rate = RATES | rates
    judge.run(traffic, range(30, 30 + seconds))
    return judge


def test_a_promoted_release_that_turns_bad_while_it_is_watched_is_rolled_back() -> None:
    """The decision is of the last phase; nothing else follows a promotion."""
    judge = _watched(50, **{CANARY: 0.6})
    assert judge.told == [PROMOTE, ROLLBACK]
    assert [d.phase for d in judge.decisions] == ["canary", "canary"]


def test_a_watch_ends_and_the_promotion_stands() -> None:
    """After its time, without a word to the deploy tool."""
    judge = _watched(70)
    assert judge.verdicts[-1].status is RolloutStatus.PROMOTED
    assert "watched for 60 s" in judge.verdicts[-1].reason
    assert judge.told == [PROMOTE]


def test_a_watch_ends_by_silence_too() -> None:
    """A heartbeat brings the end where nothing is heard any more."""
    judge = _watched(3)
    traffic = _busy()
    judge.hear(Partial(service="checkout", sent_at=traffic.start + 200_000))
    assert judge.verdicts[-1].status is RolloutStatus.PROMOTED


def test_a_new_release_ends_the_watch_of_the_one_before() -> None:
    """Autodetection does not wait for it."""
    policy = _policy(Phase(), watch_after=Seconds(600), autodetect=True)
    judge, traffic = Judge(policy), _busy()
    traffic.requests_per_s["1.6.0"] = 500
    traffic.error_rate = RATES | {"1.6.0": 0.2}
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 40), [BASELINE, CANARY])
    judge.run(traffic, range(40, 55), [CANARY])
    judge.run(traffic, range(55, 58), [CANARY, "1.6.0"])
    assert judge.told[0] is PROMOTE
    ended = [v for v in judge.verdicts if v.canary == CANARY][-1]
    assert ended.status is RolloutStatus.PROMOTED
    assert (judge.verdicts[-1].canary, judge.verdicts[-1].baseline) == ("1.6.0", CANARY)


def test_a_rollout_that_nobody_uses_is_closed() -> None:
    """While others have traffic, by their time; it says so to whoever still delivers."""
    policy = _policy(Phase(), close_after=Seconds(30))
    traffic = _busy()
    traffic.requests_per_s["1.4.1"] = 50
    judge = Judge(policy)
    judge.run(traffic, range(5), [BASELINE])
    judge.order(START, CANARY)
    judge.run(traffic, range(5, 60), ["1.4.1"])
    assert judge.told == [DecisionAction.ABORTED]
    assert judge.verdicts[-1].status is RolloutStatus.CLOSED
    assert judge.decisions[0].reason == "Closed: neither arm had exposures for 30 s."


def test_a_rollout_is_closed_in_silence_but_not_by_a_worker_that_was_away() -> None:
    """A silence before the worker began to listen is not the service's."""
    judge = _run(_policy(Phase(), close_after=Seconds(300)), _quiet(), 10)
    end = _quiet().start + 10_000
    away = Partial(service="checkout", sent_at=end + 3_600_000, listening_since=end + 3_599_000)
    judge.hear(away)
    assert judge.told == []
    judge.hear(Partial(service="checkout", sent_at=end + 3_600_000, listening_since=end))
    assert judge.told == [DecisionAction.ABORTED]
    assert judge.verdicts[-1].status is RolloutStatus.CLOSED


def _gone() -> tuple[Judge, Traffic]:
    """A canary that was rolled back, and verified gone, in second 45."""
    policy = Policy(service="checkout", autodetect=True)
    traffic = Traffic(error_rate={BASELINE: 0.01, CANARY: 0.3})
    judge = Judge(policy)
    judge.run(traffic, range(10), [BASELINE])
    judge.run(traffic, range(10, 30))
    judge.run(traffic, range(30, 45), [BASELINE])
    assert judge.told[-1] is DecisionAction.ROLLBACK_VERIFIED
    return judge, traffic


def test_a_release_that_was_rolled_back_and_comes_back_is_told_once_a_return() -> None:
    """At once, with its history; autodetection does not take it again."""
    judge, traffic = _gone()
    judge.run(traffic, range(45, 55))
    assert judge.told[2:] == [DecisionAction.RETURNED]
    returned = judge.decisions[-1]
    assert returned.time == traffic.start + 45_999
    assert "has traffic again" in returned.reason
    assert "error_rate" in returned.reason
    judge.run(traffic, range(55, 60), [BASELINE])
    judge.run(traffic, range(60, 62))
    assert len(judge.decisions) == 3
    judge.run(traffic, range(700, 702))
    assert judge.told[2:] == [DecisionAction.RETURNED] * 2
    assert len({d.id for d in judge.decisions}) == 4
    assert "It came back 1 times before." in judge.decisions[-1].reason


def test_what_comes_late_of_a_release_that_is_gone_is_no_return() -> None:
    """Only what happened after the verification is."""
    judge, traffic = _gone()
    late = Traffic(error_rate={CANARY: 0.3})
    late.offset = traffic.offset
    judge.run(late, range(25, 30), [CANARY])
    assert DecisionAction.RETURNED not in judge.told


def test_after_its_cooldown_autodetection_takes_a_release_again() -> None:
    """Not before, and only where the policy has one."""
    judge, traffic = _gone()
    judge.policy = Policy(service="checkout", autodetect=True, cooldown=Seconds(120))
    judge.run(traffic, range(45, 120))
    assert judge.state.rollout is not None
    assert not judge.state.rollout.status.is_open
    judge.run(traffic, range(120, 155))
    assert judge.told[2:] == [DecisionAction.RETURNED, ROLLBACK]


def test_of_many_rolled_back_releases_the_latest_are_remembered() -> None:
    """The state stays bounded."""
    judge, _ = _gone()
    for number in range(40):
        judge.order(START, f"9.{number}", f"s{number}", baseline=BASELINE)
        judge.order(RolloutCommandAction.ROLLBACK, name=f"r{number}", reason="x")
    assert len(judge.state.rolled_back) == 20
    assert "9.39" in judge.state.rolled_back
