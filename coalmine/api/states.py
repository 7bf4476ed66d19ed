"""Where a rollout stands, in one flat object that other tools read with a path."""

from __future__ import annotations

import msgspec

from coalmine.api.board import Board, Heading
from coalmine.api.conclusion import Result, conclude
from contracts.results import Action, Outcome, RelativeRisk, RolloutStatus, Verdict


class State(msgspec.Struct, kw_only=True):
    """The last verdict of one rollout in short. Times are epoch milliseconds."""

    service: str
    release: str
    """The canary; with a ``flag``, its variant."""
    result: Result
    """What to build upon; ``outcome`` and ``action`` are those of the last look."""
    is_final: bool
    """Nothing that comes will change the result."""
    reason: str
    rollout: str = ""
    baseline: str = ""
    flag: str = ""
    status: RolloutStatus | None = None
    outcome: Outcome = Outcome.NO_DATA
    action: Action = Action.CONTINUE
    phase: str = ""
    exposure: float | None = None
    """The canary's share that the phase configures."""
    share: float | None = None
    """The one that it had in the last look."""
    held_because: str = ""
    evidence_log10: float = 0.0
    rollback_at_log10: float = 0.0
    promotion_log10: float = 0.0
    promote_at_log10: float = 0.0
    guilty_metric: str = ""
    guilty_group: str = ""
    relative_risk: RelativeRisk | None = None
    """Of the guilty metric."""
    policy_hash: str = ""
    opened_at: int | None = None
    judged_to: int | None = None
    """End of the last tick of event time that was judged."""
    rollback_verified: bool = False


def state_of(verdict: Verdict, phase: str = "") -> State:
    """The state that a verdict describes; ``phase`` as in ``conclude``."""
    conclusion = conclude(verdict, phase)
    guilty = next((m for m in verdict.metrics if m.name == verdict.guilty_metric), None)
    return State(
        service=verdict.service,
        release=verdict.canary,
        result=conclusion.result,
        is_final=conclusion.is_final,
        reason=conclusion.reason,
        rollout=verdict.rollout,
        baseline=verdict.baseline,
        flag=verdict.flag,
        status=verdict.status,
        outcome=verdict.outcome,
        action=verdict.action,
        phase=verdict.phase,
        exposure=verdict.exposure,
        share=verdict.share,
        held_because=verdict.held_because,
        evidence_log10=verdict.evidence_log10,
        rollback_at_log10=verdict.rollback_at_log10,
        promotion_log10=verdict.promotion_log10,
        promote_at_log10=verdict.promote_at_log10,
        guilty_metric=verdict.guilty_metric or "",
        guilty_group=verdict.guilty_group.name if verdict.guilty_group else "",
        relative_risk=guilty.relative_risk if guilty else None,
        policy_hash=verdict.policy_hash,
        opened_at=verdict.opened_at,
        judged_to=verdict.time,
        rollback_verified=verdict.rollback_verified,
    )


def unknown_state(service: str, release: str, flag: str = "") -> State:
    """The state of a release of which no rollout is known."""
    nothing = conclude(None)
    return State(
        service=service,
        release=release,
        flag=flag,
        result=nothing.result,
        is_final=nothing.is_final,
        reason=nothing.reason,
    )


def state_at(board: Board, heading: Heading | None, phase: str = "") -> State | None:
    """The state of a rollout that the board knows."""
    verdict = board.verdict(heading.rollout) if heading else None
    return state_of(verdict, phase) if verdict else None
