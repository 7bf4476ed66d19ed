"""The decision that an override would be, out of the last verdict, before it is asked for."""

from __future__ import annotations

from contracts.results import (
    Decision,
    DecisionAction,
    PhaseProgress,
    RelativeRisk,
    RolloutCommand,
    Verdict,
    decision_id,
)

_EXPIRES_AFTER_MS = 900_000
"""As policies have it by default."""


def decision_of(verdict: Verdict, action: DecisionAction, command: RolloutCommand) -> Decision:
    """What the judge would decide if it were asked now.

    What only the policy knows (hosts, users, who is told) is left out.

    Args:
        verdict: the last one of the rollout.
        action: ``promote`` or ``rollback``.
        command: who asks, why, and when.
    """
    to = next_phase(verdict)
    is_promotion = action is DecisionAction.PROMOTE
    after = to.exposure if to else 1.0
    risks = {metric.name: metric.relative_risk for metric in verdict.metrics}
    return Decision(
        id=decision_id(verdict.rollout, verdict.phase, action),
        time=verdict.time,
        processed_time=command.time,
        expires_at=command.time + _EXPIRES_AFTER_MS,
        service=verdict.service,
        rollout=verdict.rollout,
        canary=verdict.canary,
        baseline=verdict.baseline,
        phase=verdict.phase,
        action=action,
        outcome=verdict.outcome,
        reason=command.reason,
        guilty_metric=verdict.guilty_metric,
        guilty_group=verdict.guilty_group,
        relative_risk=risks.get(verdict.guilty_metric or "", RelativeRisk()),
        evidence_log10=verdict.evidence_log10,
        policy_hash=verdict.policy_hash,
        flag=verdict.flag,
        next_phase=to.name if to and is_promotion else "",
        exposure=after if is_promotion else 0.0,
        users=to.users if to and is_promotion else "",
        requested_by=command.requested_by,
    )


def next_phase(verdict: Verdict) -> PhaseProgress | None:
    """The phase after the one that a rollout is in; ``None`` after the last."""
    names = [phase.name for phase in verdict.phases]
    if verdict.phase not in names:
        return None
    return next(iter(verdict.phases[names.index(verdict.phase) + 1 :]), None)
