"""What is said of a rollout at one look: its verdict, and its decisions."""

from __future__ import annotations

import math

from contracts.policy import Phase
from contracts.results import (
    Action,
    Decision,
    DecisionAction,
    Outcome,
    RelativeRisk,
    RolloutStatus,
    Verdict,
    decision_id,
)
from streams.judge import phases, reasons
from streams.judge.rollout_state import Look, RolloutState

_LN10 = math.log(10)


def verdict(
    rollout: RolloutState,
    found: Look,
    outcome: Outcome,
    action: Action,
    *,
    processed_time: int,
    held_because: str = "",
) -> Verdict:
    """What one look found, with the state of its rollout."""
    return Verdict(
        time=rollout.judged_to or rollout.opened_at,
        processed_time=processed_time,
        service=rollout.service,
        rollout=rollout.id,
        canary=rollout.canary,
        baseline=rollout.baseline,
        flag=rollout.flag,
        phase=rollout.phase_policy.name,
        phase_started_at=rollout.phase_started_at,
        exposure=rollout.phase_policy.exposure,
        phases=phases.progress(rollout),
        opened_at=rollout.opened_at,
        status=rollout.status,
        outcome=outcome,
        action=action,
        reason=reasons.said(rollout, found, outcome),
        held_because=held_because,
        evidence_log10=found.log_evidence / _LN10,
        promotion_log10=found.log_promotion / _LN10,
        rollback_at_log10=-math.log10(rollout.policy.false_rollback_rate),
        promote_at_log10=-math.log10(rollout.policy.false_promotion_rate),
        share=rollout.share,
        sample_ratio_log10=_log10(found.log_sample_ratio),
        guilty_metric=rollout.guilty_metric,
        guilty_group=rollout.guilty_group,
        metrics=found.metrics,
        needed=reasons.needed_of(found, outcome),
        first_bad_event_at=rollout.first_bad_event_at,
        policy_hash=rollout.policy.content_hash(),
        decided_at=rollout.decided_at,
        rollback_verified=rollout.status is RolloutStatus.ROLLED_BACK,
        drained_at=rollout.drained_at,
    )


def decision(
    rollout: RolloutState,
    found: Look,
    action: DecisionAction,
    outcome: Outcome,
    *,
    processed_time: int,
    to: Phase | None = None,
    reason: str = "",
    requested_by: str = "",
) -> Decision:
    """What must be done, or told.

    Args:
        rollout: still in the phase that the decision is about.
        found: the look it rests on.
        action: what is asked for.
        outcome: what was found.
        processed_time: epoch milliseconds.
        to: the phase that the rollout goes to by it, or is sent back to.
        reason: a person's, or a policy's, instead of what the evidence says.
        requested_by: that person.
    """
    guilty = rollout.guilty_metric
    exposure, hosts, users = phases.from_now_on(action, to)
    return Decision(
        id=decision_id(rollout.id, phases.label_of(rollout), action),
        time=rollout.judged_to or rollout.opened_at,
        processed_time=processed_time,
        expires_at=processed_time + round(rollout.policy.decision_expires_after * 1000),
        service=rollout.service,
        rollout=rollout.id,
        canary=rollout.canary,
        baseline=rollout.baseline,
        flag=rollout.flag,
        phase=rollout.phase_policy.name,
        action=action,
        outcome=outcome,
        reason=reason or reasons.said(rollout, found, outcome),
        guilty_metric=guilty,
        guilty_group=rollout.guilty_group,
        relative_risk=next(
            (m.relative_risk for m in found.metrics if m.name == guilty), RelativeRisk()
        ),
        evidence_log10=found.log_evidence / _LN10,
        policy_hash=rollout.policy.content_hash(),
        next_phase=to.name if to is not None and action is DecisionAction.PROMOTE else "",
        exposure=exposure,
        hosts=hosts,
        users=users,
        notify=rollout.phase_policy.notify,
        requested_by=requested_by,
    )


def _log10(value: float | None) -> float | None:
    return None if value is None else value / _LN10
