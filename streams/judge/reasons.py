"""Why a rollout is where it is, in one sentence for people."""

from __future__ import annotations

import math

from contracts.results import (
    Contributor,
    MetricKind,
    MetricVerdict,
    Needed,
    Outcome,
    RelativeRisk,
    RolloutStatus,
)
from streams.judge import shares
from streams.judge.rollout_state import Look, RolloutState

_LN10 = math.log(10)


def said(rollout: RolloutState, found: Look, outcome: Outcome, held_because: str = "") -> str:
    """Why the rollout ended, or where it is at this look; of a hold, what keeps it too."""
    reason = rollout.reason or reason_of(rollout, found, outcome)
    if held_because and not rollout.reason:
        return f"{reason} Held, because {held_because}."
    if rollout.status is RolloutStatus.TRAFFIC_STOPPED:
        return f"{reason} All traffic has stopped: whether {rollout.canary} is gone is not known."
    return reason


def reason_of(rollout: RolloutState, found: Look, outcome: Outcome) -> str:
    """Why this look has this outcome."""
    need = -math.log10(rollout.policy.false_rollback_rate)
    have = found.log_evidence / _LN10
    if outcome is Outcome.NO_DATA:
        silent = rollout.baseline if rollout.canary_exposures else rollout.canary
        return f"No exposures of {silent or 'a baseline'} yet."
    if shares.is_mismatch(rollout.shares):
        return _mismatch(rollout)
    if outcome is Outcome.REGRESSED:
        guilty = next(m for m in found.metrics if m.name == found.guilty_metric)
        enough = f"evidence 10^{have:.1f} of the 10^{need:.1f} needed for a rollback."
        if guilty.kind is MetricKind.GROUPS:
            group = guilty.contributors[0]
            return f"{_of_group(rollout, group, guilty.relative_risk)}; {enough}"
        mostly = f" Most of all: {found.guilty_group.name}." if found.guilty_group else ""
        return (
            f"{guilty.name} of {rollout.canary} is {_times(guilty.relative_risk)} "
            f"that of {rollout.baseline}, more than the {guilty.tolerance or 0:.0%} "
            f"tolerated; {enough}{mostly}"
        )
    if outcome is Outcome.HEALTHY:
        return (
            f"{rollout.canary} is no worse than {rollout.baseline}: a harm of "
            f"{rollout.policy.harm:.0%} is ruled out at a false-promotion rate of "
            f"{rollout.policy.false_promotion_rate:.0%}."
        )
    return (
        f"No decision yet: evidence 10^{have:.1f} of the 10^{need:.1f} needed for a rollback, "
        f"after {rollout.canary_exposures:,} exposures of {rollout.canary}."
        f"{_still_needed(needed_of(found, outcome), found)}{_without_data(rollout, found)}"
    )


def _without_data(rollout: RolloutState, found: Look) -> str:
    """A metric that sees nothing keeps a release from ever being promoted, and must say so."""
    if rollout.canary_exposures < rollout.policy.min_exposures:
        return ""
    names = [
        m.name
        for m in found.metrics
        if m.is_critical and m.is_judged and m.kind is not MetricKind.GROUPS
        if not m.exposures.canary
    ]
    if not names:
        return ""
    return f" Nothing is promoted while {' and '.join(names)} of {rollout.canary} has no data."


def _of_group(rollout: RolloutState, group: Contributor, risk: RelativeRisk) -> str:
    if not group.baseline:
        what = "is new in" if group.is_new else "comes only with"
        return f"{group.name} {what} {rollout.canary}, at {group.canary:.2%} of its exposures"
    return (
        f"{group.name} is {_times(risk)} as frequent in {rollout.canary} as in {rollout.baseline}"
    )


def _mismatch(rollout: RolloutState) -> str:
    phase = rollout.shares.phases.get(rollout.phase) or [*rollout.shares.phases.values()][-1]
    seen = phase.canary / max(phase.canary + phase.baseline, 1.0)
    return (
        f"{rollout.canary} gets {seen:.2%} of the exposures where {phase.share:.2%} are "
        f"configured: exposures are lost or routed otherwise, so nothing is decided."
    )


def _still_needed(needed: Needed | None, found: Look) -> str:
    if needed is None or needed.bad is None:
        return ""
    name = next(m.name for m in found.metrics if m.needed is needed)
    exposures = f" or {needed.exposures:,} exposures" if needed.exposures else ""
    lasting = f"; at today's traffic {_duration(needed.seconds)}" if needed.seconds else ""
    return (
        f" About {needed.bad:,} more bad outcomes{exposures} until {name} would be seen to be "
        f"{1 + needed.harm:.3g} times as high{lasting}."
    )


def _duration(seconds: int) -> str:
    for size, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds} s"


def _times(risk: RelativeRisk) -> str:
    if risk.estimate is None:
        return "above"
    if risk.lower is None:
        return f"{risk.estimate:.2f} times"
    if risk.upper is None:
        return f"{risk.estimate:.2f} times (at least {risk.lower:.2f})"
    return f"{risk.estimate:.2f} times ({risk.lower:.2f} to {risk.upper:.2f})"


def needed_of(found: Look, outcome: Outcome) -> Needed | None:
    """The shortest of the metrics' forecasts."""
    if outcome is not Outcome.INCONCLUSIVE:
        return None
    known = [
        m.needed
        for m in found.metrics
        if m.is_judged and m.needed and m.needed.exposures is not None
    ]
    return min(known, key=lambda needed: needed.exposures or 0) if known else None


def watched(found: Look) -> MetricVerdict | None:
    """A metric of this phase that got worse and may not roll back."""
    regressed = (m for m in found.metrics if m.is_judged and m.outcome is Outcome.REGRESSED)
    return next((m for m in regressed if not m.is_critical), None)
