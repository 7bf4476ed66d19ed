"""Results as the judge and the alerter say them, for tests of what stands on them."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.results import (
    Action,
    Answer,
    AnswerCode,
    ArmCounts,
    Contributor,
    Decision,
    DecisionAction,
    Delivery,
    DeliveryOutcome,
    MetricKind,
    MetricVerdict,
    MetricWindow,
    Outcome,
    PhaseProgress,
    RelativeRisk,
    RolloutCommandAction,
    RolloutStatus,
    Verdict,
    decision_id,
)

ROLLOUT = "checkout-1.5.0-20261123T101500.250"
OPENED_AT = 1_795_428_900_250


def verdict(**changes: Any) -> Verdict:
    """A look at a canary that nothing is known of yet, in the first of two phases."""
    found = Verdict(
        time=OPENED_AT + 5_000,
        processed_time=OPENED_AT + 5_100,
        service="checkout",
        rollout=ROLLOUT,
        canary="1.5.0",
        baseline="1.4.2",
        phase="employees",
        phase_started_at=OPENED_AT,
        opened_at=OPENED_AT,
        status=RolloutStatus.RUNNING,
        outcome=Outcome.INCONCLUSIVE,
        action=Action.CONTINUE,
        reason="Nothing speaks against it so far.",
        evidence_log10=0.25,
        promotion_log10=0.5,
        rollback_at_log10=2.0,
        promote_at_log10=1.3,
        policy_hash="0123456789ab",
        phases=[PhaseProgress(name="employees", started_at=OPENED_AT), PhaseProgress(name="all")],
        metrics=[metric()],
    )
    return msgspec.structs.replace(found, **changes)


def metric(**changes: Any) -> MetricVerdict:
    """The error rate of both arms."""
    found = MetricVerdict(
        name="error_rate",
        kind=MetricKind.RATIO,
        outcome=Outcome.INCONCLUSIVE,
        relative_risk=RelativeRisk(estimate=1.2, lower=0.4, upper=3.1),
        evidence_log10=0.25,
        promotion_log10=0.5,
        exposures=ArmCounts(canary=400, baseline=4000),
        bad=ArmCounts(canary=6, baseline=50),
        tolerance=0.1,
        windows=[MetricWindow(canary_exposures=400, baseline_exposures=4000)],
    )
    return msgspec.structs.replace(found, **changes)


def regressed(**changes: Any) -> Verdict:
    """The look that fired a rollback, for a crash that is new."""
    return verdict(
        **{
            "time": OPENED_AT + 9_000,
            "status": RolloutStatus.ROLLING_BACK,
            "outcome": Outcome.REGRESSED,
            "action": Action.ROLLBACK,
            "reason": "error_rate is 9.4 times the baseline's.",
            "evidence_log10": 3.5,
            "guilty_metric": "error_rate",
            "guilty_group": guilty_group(),
            "version": 9,
            **changes,
        }
    )


def promoted(**changes: Any) -> Verdict:
    """The last look at a canary that was promoted."""
    return verdict(
        **{
            "time": OPENED_AT + 90_000,
            "status": RolloutStatus.PROMOTED,
            "outcome": Outcome.HEALTHY,
            "action": Action.PROMOTE,
            "reason": "No worse than 1.4.2.",
            "phase": "all",
            "version": 90,
            **changes,
        }
    )


def guilty_group() -> Contributor:
    """A crash that nobody saw before."""
    return Contributor(
        name="ZeroDivisionError in discount",
        canary=0.05,
        baseline=0.0,
        group="crash/5f0c",
        evidence_log10=3.1,
        is_new=True,
    )


def decision(**changes: Any) -> Decision:
    """The decision of that rollback."""
    found = Decision(
        id=decision_id(ROLLOUT, "employees", DecisionAction.ROLLBACK),
        time=OPENED_AT + 9_000,
        processed_time=OPENED_AT + 9_100,
        expires_at=OPENED_AT + 909_000,
        service="checkout",
        rollout=ROLLOUT,
        canary="1.5.0",
        baseline="1.4.2",
        phase="employees",
        action=DecisionAction.ROLLBACK,
        outcome=Outcome.REGRESSED,
        reason="error_rate is 9.4 times the baseline's.",
        guilty_metric="error_rate",
        guilty_group=guilty_group(),
        relative_risk=RelativeRisk(estimate=9.4, lower=2.2, upper=31.0),
        evidence_log10=3.5,
        policy_hash="0123456789ab",
        exposure=0.0,
    )
    return msgspec.structs.replace(found, **changes)


def delivery(attempt: int = 1, **changes: Any) -> Delivery:
    """One attempt to tell the deploy tool of it."""
    told = decision()
    found = Delivery(
        id=f"{told.id}/deploy-tool/{attempt}",
        time=told.processed_time + attempt * 100,
        decision=told.id,
        service=told.service,
        rollout=told.rollout,
        action=told.action,
        endpoint="deploy-tool",
        url="https://deploy.example.com/hook",
        attempt=attempt,
        outcome=DeliveryOutcome.DELIVERED,
        status=204,
        duration_ms=12.5,
    )
    return msgspec.structs.replace(found, **changes)


def answer(code: AnswerCode = AnswerCode.ACCEPTED, **changes: Any) -> Answer:
    """What the judge made of a command to open that rollout."""
    found = Answer(
        id="ci/checkout/build-7",
        time=OPENED_AT,
        service="checkout",
        action=RolloutCommandAction.START,
        code=code,
        message="Opened.",
        rollout=ROLLOUT,
        canary="1.5.0",
        baseline="1.4.2",
        requested_by="ci",
    )
    return msgspec.structs.replace(found, **changes)
