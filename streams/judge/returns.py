"""Releases that were rolled back: what is remembered of them, and word when one comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from contracts.policy import Policy
from contracts.results import (
    Cell,
    Decision,
    DecisionAction,
    RelativeRisk,
    RolloutStatus,
    decision_id,
)
from streams.judge import phases
from streams.judge.rollout_state import RolloutState, arm_key
from streams.judge.service_state import RolledBack, ServiceState

MOST = 20
"""So many of a service are remembered, the latest."""
QUIET_MS = 600_000
"""After so long without it, a release that is seen again has come back once more."""


def remember(state: ServiceState) -> None:
    """Keep what the rollout has come to, after any step of it, in place."""
    rollout = state.rollout
    if rollout is None:
        return
    key = rollout.keys[0]
    if rollout.status.is_draining or rollout.status is RolloutStatus.ROLLED_BACK:
        known = state.rolled_back.get(key)
        if known is None or known.rollout != rollout.id:
            known = state.rolled_back[key] = _of(rollout)
        if rollout.status is RolloutStatus.ROLLED_BACK and not known.verified_at:
            known.verified_at = known.seen_to = rollout.judged_to
    while len(state.rolled_back) > MOST:
        del state.rolled_back[
            min(state.rolled_back, key=lambda key: state.rolled_back[key].decided_at)
        ]


def _of(rollout: RolloutState) -> RolledBack:
    return RolledBack(
        rollout=rollout.id,
        canary=rollout.canary,
        baseline=rollout.baseline,
        flag=rollout.flag,
        phase=rollout.phase_policy.name,
        label=phases.label_of(rollout),
        decided_at=rollout.decided_at or rollout.judged_to,
        reason=rollout.reason,
        outcome=rollout.decided_outcome,
        policy_hash=rollout.policy.content_hash(),
        notify=rollout.phase_policy.notify,
    )


def noted(
    state: ServiceState, cells: Iterable[Cell], policy: Policy, *, processed_time: int
) -> Iterator[Decision]:
    """Word of the rolled-back releases that these cells show to have exposures again.

    Once for each return; what is older than the verification is what came late.
    """
    if not state.rolled_back:
        return
    of = policy.metrics[0].of
    for cell in cells:
        if not cell.counts.get(of):
            continue
        for key in (cell.release, arm_key(cell.arm)):
            known = state.rolled_back.get(key)
            if known is None or not known.verified_at or cell.tick < known.verified_at:
                continue
            is_new = not known.returns or cell.tick - known.seen_to >= QUIET_MS
            known.seen_to = max(known.seen_to, cell.last)
            if is_new:
                known.returns += 1
                yield _returned(state, known, policy, cell.last, processed_time)


def _returned(
    state: ServiceState, known: RolledBack, policy: Policy, at: int, processed_time: int
) -> Decision:
    label = known.label if known.returns == 1 else f"{known.label}~{known.returns}"
    decided = datetime.fromtimestamp(known.decided_at / 1000, UTC)
    again = f" It came back {known.returns - 1} times before." if known.returns > 1 else ""
    return Decision(
        id=decision_id(known.rollout, label, DecisionAction.RETURNED),
        time=at,
        processed_time=processed_time,
        expires_at=processed_time + round(policy.decision_expires_after * 1000),
        service=state.service,
        rollout=known.rollout,
        canary=known.canary,
        baseline=known.baseline,
        flag=known.flag,
        phase=known.phase,
        action=DecisionAction.RETURNED,
        outcome=known.outcome,
        reason=(
            f"{known.canary} has traffic again, {(at - known.verified_at) / 1000:.0f} s after its "
            f"rollback was verified. It was rolled back at {decided:%Y-%m-%d %H:%M:%S} UTC: "
            f"{known.reason}{again}"
        ),
        relative_risk=RelativeRisk(),
        evidence_log10=0.0,
        policy_hash=known.policy_hash,
        notify=known.notify,
    )
