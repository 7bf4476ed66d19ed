"""The timeline is assembled from results, and judged, without a server."""

from __future__ import annotations

import msgspec
import pytest

from coalmine.demo.timeline import Results, Timeline, assemble, ended_as_it_should
from contracts.results import (
    Action,
    ArmCounts,
    Decision,
    DecisionAction,
    Delivery,
    DeliveryOutcome,
    MetricKind,
    MetricVerdict,
    Outcome,
    RelativeRisk,
    RolloutStatus,
    Verdict,
)

START = 1_795_428_000_000


def verdict(at_s: float, **changes: object) -> Verdict:
    """A look at the rollout of 1.5.0, ``at_s`` seconds after the start."""
    time = START + round(at_s * 1000)
    fields = {
        "time": time,
        "processed_time": time + 400,
        "service": "checkout",
        "rollout": "r1",
        "canary": "1.5.0",
        "baseline": "1.4.2",
        "phase": "canary",
        "phase_started_at": START,
        "opened_at": START,
        "status": RolloutStatus.RUNNING,
        "outcome": Outcome.INCONCLUSIVE,
        "action": Action.CONTINUE,
        "reason": "too early",
        "evidence_log10": 0.5,
        "promotion_log10": 0.0,
        "rollback_at_log10": 2.0,
        "promote_at_log10": 1.3,
    }
    return Verdict(**(fields | changes))  # type: ignore[arg-type]  # fields by name


def decision(action: DecisionAction, at_s: float) -> Decision:
    """A decision about the same rollout."""
    time = START + round(at_s * 1000)
    return Decision(
        id=f"r1/canary/{action.value}",
        time=time,
        processed_time=time + 400,
        expires_at=time + 900_000,
        service="checkout",
        rollout="r1",
        canary="1.5.0",
        baseline="1.4.2",
        phase="canary",
        action=action,
        outcome=Outcome.REGRESSED,
        reason="errors",
        guilty_metric="error_rate",
        relative_risk=RelativeRisk(estimate=18.0, lower=6.0, upper=90.0),
        evidence_log10=2.71828,
    )


def delivery(outcome: DeliveryOutcome, at_s: float, attempt: int = 1) -> Delivery:
    """One attempt to deliver the rollback."""
    return Delivery(
        id=f"r1/canary/rollback/deploy-tool/{attempt}",
        time=START + round(at_s * 1000),
        decision="r1/canary/rollback",
        service="checkout",
        rollout="r1",
        action=DecisionAction.ROLLBACK,
        endpoint="deploy-tool",
        url="http://127.0.0.1/hooks",
        attempt=attempt,
        outcome=outcome,
    )


def rolled_back() -> Results:
    """Everything that a complete rollback leaves on the results topics."""
    results = Results("checkout", since_ms=START)
    for message in (
        verdict(2),
        verdict(4, outcome=Outcome.REGRESSED, first_bad_event_at=START + 1500),
        decision(DecisionAction.ROLLBACK, 4),
        delivery(DeliveryOutcome.RETRYING, 4.6),
        delivery(DeliveryOutcome.DELIVERED, 5.2, attempt=2),
        verdict(
            9,
            status=RolloutStatus.ROLLED_BACK,
            first_bad_event_at=START + 1500,
            rollback_verified=True,
            drained_at=START + 5300,
        ),
    ):
        results.apply(message)
    return results


def timeline_of(results: Results, written: int = 900, counted: int = 900) -> Timeline:
    """The timeline of ``results``."""
    return assemble(
        results,
        canary="1.5.0",
        baseline="1.4.2",
        canary_started_ms=START,
        events_written=written,
        events_counted=counted,
    )


def test_timeline_of_a_rollback_tells_what_the_judge_knew_when_it_decided() -> None:
    """Metric, risk and evidence are those of the decision; each moment is where it happened."""
    timeline = msgspec.to_builtins(timeline_of(rolled_back()))
    assert timeline == {
        "canary": "1.5.0",
        "baseline": "1.4.2",
        "outcome": "regressed",
        "action": "rollback",
        "guilty_metric": "error_rate",
        "relative_risk": {"estimate": 18.0, "lower": 6.0, "upper": 90.0},
        "evidence_log10": 2.718,
        "canary_started_at": "2026-11-23T10:00:00.000Z",
        "first_bad_event_at": "2026-11-23T10:00:01.500Z",
        "verdict_at": "2026-11-23T10:00:04.400Z",
        "webhook_at": "2026-11-23T10:00:05.200Z",
        "drained_at": "2026-11-23T10:00:05.300Z",
        "rollback_verified": True,
        "events_written": 900,
        "events_counted": 900,
    }


def test_results_of_other_services_and_of_earlier_runs_change_nothing() -> None:
    """Servers that already hold results of others give this run's results only."""
    results = Results("checkout", since_ms=START)
    results.apply(msgspec.structs.replace(verdict(3), service="search"))
    results.apply(verdict(-60))
    results.apply(delivery(DeliveryOutcome.DELIVERED, -60))
    assert results == Results("checkout", since_ms=START)


def test_late_older_verdict_does_not_replace_a_newer_one() -> None:
    """Results come from several partitions; the newest look wins whatever the order."""
    results = Results("checkout", since_ms=START)
    results.apply(verdict(5))
    results.apply(verdict(4))
    assert results.verdict == verdict(5)


def test_metric_that_leads_without_a_decision_is_told_with_its_risk() -> None:
    """A run that ends undecided still tells how the last look stood."""
    leading = MetricVerdict(
        name="latency",
        kind=MetricKind.DISTRIBUTION,
        outcome=Outcome.INCONCLUSIVE,
        relative_risk=RelativeRisk(estimate=1.2, lower=0.9, upper=1.6),
        evidence_log10=0.4,
        promotion_log10=0.1,
        exposures=ArmCounts(canary=10, baseline=40),
        bad=ArmCounts(),
    )
    results = Results("checkout", since_ms=START)
    results.apply(verdict(3, guilty_metric="latency", metrics=[leading]))
    timeline = timeline_of(results)
    assert timeline.relative_risk.estimate == 1.2
    assert (timeline.outcome, timeline.action) == ("inconclusive", "continue")


def test_no_result_at_all_is_no_data_and_ends_badly() -> None:
    """Silence is neither a rollback nor health."""
    timeline = timeline_of(Results("checkout", since_ms=START))
    assert timeline.outcome == "no_data"
    assert not ended_as_it_should(timeline, bad_release=True)
    assert not ended_as_it_should(timeline, bad_release=False)


def test_good_release_must_not_be_rolled_back() -> None:
    """A rollback ends the bad run well and the good run badly; none does the opposite."""
    calm = Results("checkout", since_ms=START)
    calm.apply(verdict(30, outcome=Outcome.HEALTHY))
    assert ended_as_it_should(timeline_of(rolled_back()), bad_release=True)
    assert not ended_as_it_should(timeline_of(rolled_back()), bad_release=False)
    assert ended_as_it_should(timeline_of(calm), bad_release=False)
    assert not ended_as_it_should(timeline_of(calm), bad_release=True)


@pytest.mark.parametrize(("written", "counted"), [(900, 899), (900, 901), (0, 0)])
def test_miscounted_run_ends_badly(written: int, counted: int) -> None:
    """One line lost, one counted twice, or none at all: the run did not end as it should."""
    timeline = timeline_of(rolled_back(), written, counted)
    assert not ended_as_it_should(timeline, bad_release=True)
