"""One rollout under judgement: what both arms did goes in, what all metrics say comes out.

Pure. Everything here is part of the service's state, so that evidence and offsets change together.
What is decided: ``streams.judge.deciding``.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from contracts.policy import Policy
from contracts.results import (
    Contributor,
    MetricKind,
    MetricVerdict,
    Outcome,
    RolloutStatus,
)
from streams.judge import combine, shares
from streams.judge.explain import Title, look_at
from streams.judge.metric import MetricState
from streams.judge.rollout_state import Look, PhaseVisit, RolloutState
from streams.windows.tally import Arm

_LN10 = math.log(10)
GUILTY_AT_LOG10 = 1.0
"""Evidence of a group by itself from which it is named."""


def open_rollout(
    policy: Policy,
    *,
    name: str,
    service: str,
    canary: str,
    baseline: str,
    opened_at: int,
    flag: str = "",
    phase: int = 0,
    known: Collection[str] = (),
) -> RolloutState:
    """A new rollout, with no evidence yet.

    Args:
        policy: that it is judged by, to its end.
        name: its id.
        service: whose releases these are.
        canary: release under test, or variant of ``flag``.
        baseline: release beside it, or variant.
        opened_at: epoch milliseconds of event time.
        flag: the feature flag that separates the arms, where releases do not.
        phase: index of the phase it begins in.
        known: the crash groups and log templates that the service had before.
    """
    return RolloutState(
        id=name,
        service=service,
        canary=canary,
        baseline=baseline,
        policy=policy,
        opened_at=opened_at,
        flag=flag,
        visits=[PhaseVisit(phase, 1, opened_at)],
        lasts_from=opened_at,
        matched_to=opened_at,
        metrics=[MetricState.new(metric, policy, known) for metric in policy.metrics],
    )


def exposures_of(policy: Policy, arm: Arm) -> int:
    """Exposures of one arm: the counter that the policy's first metric is about."""
    return arm.count(policy.metrics[0].of)


def add_tick(
    rollout: RolloutState, *, end: int, canary: Arm, baseline: Arm, elsewhere: int = 0
) -> None:
    """Add one finished tick: both arms of the same stretch of time, ``end`` its last moment.

    Args:
        rollout: changed in place.
        end: epoch milliseconds.
        canary: what it did in this tick.
        baseline: the same of the release that it is compared with.
        elsewhere: exposures of all further releases.
    """
    policy = rollout.policy
    exposures = exposures_of(policy, canary), exposures_of(policy, baseline)
    total = sum(exposures)
    rollout.judged_to = end
    rollout.share = exposures[0] / total if total else None
    if exposures[0]:
        rollout.last_exposure_end = end
        rollout.without_canary = (0, 0)
    elif total + elsewhere:
        rollout.without_canary = (rollout.without_canary[0] or end, end)
    if exposures[1]:
        rollout.last_baseline_end = end
    if rollout.status.is_draining:
        if total + elsewhere:
            rollout.status = RolloutStatus.ROLLING_BACK
        keep_evidence(rollout)
        return
    rollout.canary_exposures += exposures[0]
    rollout.baseline_exposures += exposures[1]
    if rollout.status is not RolloutStatus.WATCHING:
        rollout.visits[-1].exposures += exposures[0]
    _match(rollout, exposures, end)
    for metric, state in zip(policy.metrics, rollout.metrics, strict=True):
        if metric.reports_within or rollout.judges(metric):
            state.add_tick(metric, policy, canary, baseline, end=end)
        else:
            state.added = []
    is_settled = end - rollout.phase_started_at > policy.shares_settle_after * 1000
    if is_settled and rollout.status is not RolloutStatus.WATCHING:
        shares.add_tick(rollout.shares, policy, rollout.phase, canary, baseline)


def add_cohort(rollout: RolloutState, tick: int, canary: Arm, baseline: Arm) -> None:
    """Tell the metrics with late reports what just came of the time ``tick``, however late."""
    phase = rollout.phase_at(tick)
    for metric, state in zip(rollout.policy.metrics, rollout.metrics, strict=True):
        if metric.reports_within and rollout.judges(metric, phase):
            state.add_cohort(metric, rollout.policy, tick, canary, baseline)


def _match(rollout: RolloutState, exposures: tuple[int, int], end: int) -> None:
    canary, baseline = rollout.unmatched
    rollout.unmatched = (canary or exposures[0] > 0, baseline or exposures[1] > 0)
    if all(rollout.unmatched):
        rollout.matched_to = end
        rollout.unmatched = (False, False)


def keep_evidence(rollout: RolloutState) -> None:
    """Nothing was added by this look: what the last tick added has been told."""
    for state in rollout.metrics:
        state.added = []


def look(rollout: RolloutState, title: Title = str) -> Look:
    """The evidence of all metrics as it stands.

    Only critical metrics are evidence for a rollback, with the same weights in every phase; those
    of this phase are needed for a promotion. Groups show no health, which the metrics that count
    them all together do.
    """
    policy = rollout.policy
    lasted_s = max(1.0, (rollout.judged_to - rollout.opened_at) / 1000)
    found = [
        look_at(metric, state, policy, lasted_s=lasted_s, title=title)
        for metric, state in zip(policy.metrics, rollout.metrics, strict=True)
    ]
    for metric, one in zip(policy.metrics, found, strict=True):
        one.is_judged = rollout.judges(metric)
    critical = [f for f in found if f.is_critical]
    needed = [f for f in critical if f.is_judged and f.kind is not MetricKind.GROUPS]
    weights = [metric.weight for metric in policy.metrics if metric.critical]
    evidence = [f.evidence_log10 * _LN10 for f in critical]
    guilty = combine.guilty(evidence, weights)
    return Look(
        metrics=found,
        log_evidence=combine.log_average(evidence, weights),
        log_promotion=combine.log_minimum([f.promotion_log10 * _LN10 for f in needed] or [0.0]),
        guilty_metric=critical[guilty].name if guilty is not None else None,
        guilty_group=_guilty_group(policy, critical, guilty),
        log_sample_ratio=shares.log_evidence(rollout.shares),
    )


def _guilty_group(
    policy: Policy, critical: list[MetricVerdict], guilty: int | None
) -> Contributor | None:
    """The group with most evidence, if that is enough or the guilty metric counts it as well."""
    counts = {metric.name: metric.bad for metric in policy.metrics}
    guilty_of = counts[critical[guilty].name] if guilty is not None else None
    firsts = [
        m.contributors[0]
        for m in critical
        if m.kind is MetricKind.GROUPS and m.contributors
        if counts[m.name] == guilty_of or m.contributors[0].evidence_log10 >= GUILTY_AT_LOG10
    ]
    return max(firsts, key=lambda group: group.evidence_log10, default=None)


def outcome_of(rollout: RolloutState, found: Look) -> Outcome:
    """What is found; after a rollback, what was found when it was decided."""
    if rollout.status.is_draining or rollout.status is RolloutStatus.ROLLED_BACK:
        return rollout.decided_outcome
    if not rollout.canary_exposures or not rollout.baseline_exposures:
        return Outcome.NO_DATA
    if shares.is_mismatch(rollout.shares):
        return Outcome.INCONCLUSIVE
    if found.log_evidence >= math.log(1 / rollout.policy.false_rollback_rate):
        return Outcome.REGRESSED
    is_shown = found.log_promotion >= math.log(1 / rollout.policy.false_promotion_rate)
    if is_shown and rollout.canary_exposures >= rollout.policy.min_exposures:
        return Outcome.HEALTHY
    return Outcome.INCONCLUSIVE
