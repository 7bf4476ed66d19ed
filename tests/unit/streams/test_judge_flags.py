"""A flag is a second way to split: the same release, arms by variant."""

from __future__ import annotations

from contracts.config import Seconds
from contracts.policy import Metric, Policy
from contracts.results import (
    Cell,
    DecisionAction,
    Outcome,
    Partial,
    RolloutCommandAction,
    RolloutStatus,
    Source,
)
from streams.judge.audit import audit
from streams.windows.labels import LIMITS
from tests.support.judge import Judge
from tests.support.partials import Traffic

START = RolloutCommandAction.START
POLICY = Policy(service="checkout", autodetect=True)
OFF, ON = "off", "on"


def _traffic(on_fails: float = 0.01) -> Traffic:
    return Traffic(
        flag="new-cart", requests_per_s={OFF: 80, ON: 20}, error_rate={OFF: 0.01, ON: on_fails}
    )


def _judge(policy: Policy = POLICY, *, on_fails: float = 0.3) -> tuple[Judge, Traffic]:
    """A service whose flag is on for some, under a rollout of it."""
    judge, traffic = Judge(policy), _traffic(on_fails)
    judge.run(traffic, range(10), [OFF])
    answer = judge.order(START, ON, flag="new-cart")
    assert (answer.flag, answer.canary, answer.baseline) == ("new-cart", ON, OFF)
    return judge, traffic


def test_a_bad_variant_is_rolled_back_and_verified_gone_while_the_release_stays() -> None:
    """The evidence, the first bad event and the draining are those of the variant."""
    judge, traffic = _judge()
    judge.run(traffic, range(10, 30))
    judge.run(traffic, range(30, 45), [OFF])
    assert judge.told == [DecisionAction.ROLLBACK, DecisionAction.ROLLBACK_VERIFIED]
    assert {d.flag for d in judge.decisions} == {"new-cart"}
    last = judge.verdicts[-1]
    assert (last.status, last.flag, last.canary) == (RolloutStatus.ROLLED_BACK, "new-cart", ON)
    assert last.drained_at == traffic.start + 30_000
    assert last.first_bad_event_at is not None
    assert last.first_bad_event_at >= traffic.start + 10_000
    rollout = [v for v in judge.verdicts if v.rollout == last.rollout]
    assert all(row.agrees for row in audit(POLICY, rollout))


def test_a_good_variant_is_not_rolled_back_and_its_share_is_of_the_variants() -> None:
    """Two minutes of equal arms."""
    judge, traffic = _judge(on_fails=0.01)
    judge.run(traffic, range(10, 130))
    assert DecisionAction.ROLLBACK not in judge.told
    assert judge.verdicts[-1].share == 0.2
    assert judge.verdicts[-1].outcome in (Outcome.INCONCLUSIVE, Outcome.HEALTHY)


def test_an_event_counts_for_its_release_and_its_variant_and_in_one_window() -> None:
    """Storage windows stay what they were: by release and arm, every event once."""
    judge, traffic = _judge()
    judge.run(traffic, range(10, 20))
    judge.hear(Partial(service="checkout", sent_at=traffic.start + 600_000))
    assert sum(n for name, n in judge.window_totals().items() if name.endswith(" request")) == (
        80 * 20 + 20 * 10
    )
    assert judge.state.releases["2.0.0"].exposures == 80 * 20 + 20 * 10
    assert sorted(arm.exposures for arm in judge.state.arms.values()) == [200, 1_600]


def test_variants_are_never_taken_for_releases() -> None:
    """Autodetection opens nothing for a variant that appears."""
    judge, traffic = Judge(POLICY), _traffic(0.3)
    judge.run(traffic, range(10), [OFF])
    judge.run(traffic, range(10, 30))
    assert judge.verdicts == []
    assert list(judge.state.releases) == ["2.0.0"]


def test_a_release_and_a_variant_of_one_name_are_two_canaries() -> None:
    """One replaces the other."""
    judge, _ = _judge()
    answer = judge.order(START, ON, "2")
    assert (answer.code, answer.flag) == ("replaced", "")


def test_a_variant_under_judgement_keeps_its_name_among_many_flags() -> None:
    """The limit of labels is for the others."""
    judge, traffic = _judge()
    for number in range(2 * LIMITS["arm"]):
        tick = traffic.start + 9_000
        cell = Cell(tick=tick, release="2.0.0", arm=f"flag-{number}:on", last=tick)
        source = Source(topic="coalmine.events", partition=1, offset=number)
        judge.hear(Partial(service="checkout", source=source, sent_at=tick, cells=[cell]))
    judge.run(traffic, range(10, 30))
    assert judge.told == [DecisionAction.ROLLBACK]


def test_a_killed_variant_that_comes_back_is_told() -> None:
    """By its flag and its name."""
    judge, traffic = _judge()
    judge.run(traffic, range(10, 30))
    judge.run(traffic, range(30, 45), [OFF])
    judge.run(traffic, range(45, 50))
    assert judge.told[2:] == [DecisionAction.RETURNED]
    assert judge.decisions[-1].flag == "new-cart"


def test_late_reports_of_a_variant_are_judged() -> None:
    """Metrics that wait for reports sort them by variant too."""
    metric = Metric(name="errors", bad="request.bad", reports_within=Seconds(3))
    judge, traffic = _judge(Policy(service="checkout", metrics=[metric]))
    judge.run(traffic, range(10, 40))
    assert judge.told == [DecisionAction.ROLLBACK]
