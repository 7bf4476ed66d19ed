"""What one metric says now, in the words of a verdict: a ratio's or a distribution's alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from contracts import histogram
from contracts.policy import Direction, Metric, Policy
from contracts.results import (
    ArmCounts,
    Contributor,
    MetricKind,
    MetricVerdict,
    Needed,
    Outcome,
    Placebo,
    RelativeRisk,
    SparseHistogram,
)
from streams.judge import distribution, groups, negligible, placebo, ratio
from streams.judge.distribution import DistributionState
from streams.judge.forecast import Traffic, until_seen
from streams.judge.groups import GroupsLook, GroupsState
from streams.judge.metric import MetricState
from streams.judge.ratio import RatioState

INTERVAL_ALPHA = 0.05
"""Intervals are shown at 95 %, as people expect; they decide nothing."""
MAX_CONTRIBUTORS = 5
Title = Callable[[str], str]
"""What people call a group, by its name."""

_LN10 = math.log(10)


class _Found(NamedTuple):
    log_evidence: float
    log_promotion: float
    exposures: ArmCounts
    bad: ArmCounts
    risk: RelativeRisk


def look_at(
    metric: Metric,
    state: MetricState,
    policy: Policy,
    *,
    lasted_s: float,
    title: Title = str,
) -> MetricVerdict:
    """What one metric says after ``lasted_s`` seconds of the rollout.

    Args:
        metric: what is measured.
        state: its evidence so far.
        policy: of the rollout.
        lasted_s: seconds since the rollout was opened, above 0.
        title: what people call a crash group or log template.
    """
    hosts = placebo_of(metric, state, policy)
    tolerance = max(policy.tolerance_of(metric), hosts.tolerance if hosts else 0.0)
    if state.ratio is not None:
        found = _of_ratio(state.ratio, tolerance, policy.negligible_rate_of(metric))
    elif state.groups is not None:
        of_groups = groups.look(state.groups, tolerance=tolerance)
        found = _of_groups(state.groups, of_groups)
    else:
        assert state.distribution is not None
        found = _of_values(state.distribution, tolerance)
    needed = needed_for(metric, state, policy, found, tolerance=tolerance, lasted_s=lasted_s)
    if state.groups is not None:
        contributors = _guilty_groups(state.groups, of_groups, title)
    else:
        contributors = contributors_of(state)
    if metric.direction is Direction.DECREASE:
        found = found._replace(
            exposures=_swapped(found.exposures),
            bad=_swapped(found.bad),
            risk=_inverted(found.risk),
        )
    return MetricVerdict(
        name=metric.name,
        kind=metric.kind,
        outcome=_outcome(metric, policy, found),
        relative_risk=found.risk,
        evidence_log10=found.log_evidence / _LN10,
        promotion_log10=found.log_promotion / _LN10,
        exposures=found.exposures,
        bad=found.bad,
        tolerance=tolerance,
        is_critical=metric.critical,
        placebo=hosts,
        contributors=contributors,
        needed=needed,
        windows=state.added,
        known_groups=groups.known_count(state.groups) if state.groups else 0,
        new_groups=_new_groups(state),
    )


def placebo_of(metric: Metric, state: MetricState, policy: Policy) -> Placebo | None:
    """How much the baseline's hosts differ in this metric; ``None`` below three hosts."""
    hosts = state.baseline_hosts.values()
    canary_hosts, alpha = len(state.canary_hosts), policy.false_rollback_rate
    if len(hosts) < placebo.MIN_HOSTS:
        return None
    if metric.kind is MetricKind.DISTRIBUTION:
        of_values = ((n, one, two) for n, one, two in hosts)
        return placebo.of_values(of_values, canary_hosts=canary_hosts, alpha=alpha)
    of_counts = ((bad, seen) for bad, seen in hosts)
    return placebo.of_rates(of_counts, canary_hosts=canary_hosts, alpha=alpha)


def _of_ratio(state: RatioState, tolerance: float, negligible_rate: float) -> _Found:
    found = ratio.look(state, alpha=INTERVAL_ALPHA, tolerance=tolerance)
    estimate = found.estimate or _corrected_estimate(state, found.lower)
    return _Found(
        found.log_evidence,
        float(
            negligible.log_promotion(
                found.log_promotion, state.canary_bad, state.canary_exposures, negligible_rate
            )
        ),
        ArmCounts(canary=state.canary_exposures, baseline=state.baseline_exposures),
        ArmCounts(canary=state.canary_bad, baseline=state.baseline_bad),
        RelativeRisk(estimate=estimate, lower=found.lower, upper=found.upper),
    )


def _of_values(state: DistributionState, tolerance: float) -> _Found:
    found = distribution.look(state, alpha=INTERVAL_ALPHA, tolerance=tolerance)
    return _Found(
        found.log_evidence,
        found.log_promotion,
        ArmCounts(canary=found.canary_count, baseline=found.baseline_count),
        ArmCounts(canary=found.median_canary or 0, baseline=found.median_baseline or 0),
        RelativeRisk(estimate=found.estimate, lower=found.lower, upper=found.upper),
    )


def _of_groups(state: GroupsState, found: GroupsLook) -> _Found:
    """The evidence of all groups, and the figures of the one that has most of it."""
    bad = state.groups[found.guilty].bad if found.guilty else [0.0, 0.0]
    return _Found(
        found.log_evidence,
        0.0,
        ArmCounts(canary=state.canary_exposures, baseline=state.baseline_exposures),
        ArmCounts(canary=bad[0], baseline=bad[1]),
        RelativeRisk(estimate=groups.estimate(state, found.guilty) if found.guilty else None),
    )


def _new_groups(state: MetricState) -> list[str]:
    of = state.groups
    names = {name for window in state.added for name in window.groups} if of else set()
    return sorted(name for name in names if of and not groups.is_known(of, name))


def _guilty_groups(state: GroupsState, found: GroupsLook, title: Title) -> list[Contributor]:
    """The groups that speak for harm, those with most of the evidence first."""
    weighted = {
        name: log + math.log(found.weights[name]) for name, log in found.logs.items() if log > 0
    }
    return [
        Contributor(
            name=title(name),
            canary=of.bad[0] / max(state.canary_exposures, 1.0),
            baseline=of.bad[1] / max(state.baseline_exposures, 1.0),
            group=name,
            evidence_log10=found.logs[name] / _LN10,
            is_new=of.number > 0,
        )
        for name in sorted(weighted, key=lambda one: -weighted[one])[:MAX_CONTRIBUTORS]
        for of in [state.groups[name]]
    ]


def _corrected_estimate(seen: RatioState, lower: float | None) -> float | None:
    """Rate ratio where one arm has had no bad outcome: half a one is added to each arm.

    Reference: Haldane, Annals of Human Genetics 1956; Anscombe, Biometrika 1956.
    """
    if not seen.canary_exposures or not seen.baseline_exposures:
        return None
    if not seen.canary_bad and not seen.baseline_bad:
        return None
    of_canary = (seen.canary_bad + 0.5) / seen.canary_exposures
    of_baseline = (seen.baseline_bad + 0.5) / seen.baseline_exposures
    return max(of_canary / of_baseline, lower or 0.0)


def _outcome(metric: Metric, policy: Policy, found: _Found) -> Outcome:
    """A metric's own outcome; its part of α is its part of the weights, so they add up to α."""
    if not found.exposures.canary or not found.exposures.baseline:
        return Outcome.NO_DATA
    if found.log_evidence >= -math.log(_alpha_of(metric, policy)):
        return Outcome.REGRESSED
    if found.log_promotion >= -math.log(policy.false_promotion_rate):
        return Outcome.HEALTHY
    return Outcome.INCONCLUSIVE


def _alpha_of(metric: Metric, policy: Policy) -> float:
    of_all = sum(m.weight for m in policy.metrics if m.critical == metric.critical)
    return policy.false_rollback_rate * metric.weight / of_all


def _swapped(counts: ArmCounts) -> ArmCounts:
    return ArmCounts(canary=counts.baseline, baseline=counts.canary)


def _inverted(risk: RelativeRisk) -> RelativeRisk:
    def over_one(value: float | None) -> float | None:
        return 1 / value if value else None

    return RelativeRisk(
        estimate=over_one(risk.estimate), lower=over_one(risk.upper), upper=over_one(risk.lower)
    )


# --- where the difference is -------------------------------------------------------------------


def contributors_of(state: MetricState) -> list[Contributor]:
    """Where the arms differ most: strata of a ratio, the tail of a distribution."""
    if state.distribution is not None:
        tail = _tail(state.distribution.canary, state.distribution.baseline)
        return [tail] if tail else []
    if len(state.strata) < 2:
        return []
    excess = {name: _excess(sums) for name, sums in state.strata.items()}
    first = sorted((name for name in excess if excess[name] > 0), key=lambda name: -excess[name])
    return [
        Contributor(name=name, canary=bad / seen, baseline=other_bad / other_seen)
        for name in first[:MAX_CONTRIBUTORS]
        for bad, other_bad, seen, other_seen in [state.strata[name]]
    ]


def _excess(sums: list[float]) -> float:
    """Bad outcomes of the canary beyond those that equal rates would have brought."""
    bad, other_bad, seen, other_seen = sums
    if not seen or not other_seen:
        return 0.0
    return bad - (bad + other_bad) * seen / (seen + other_seen)


def _tail(canary: SparseHistogram, baseline: SparseHistogram) -> Contributor | None:
    """The limit above which the canary has most more of its values than the baseline has."""
    if not canary.bins or not baseline.bins:
        return None
    lowest = min(canary.bins[0], baseline.bins[0])
    width = max(canary.bins[-1], baseline.bins[-1]) - lowest + 1
    above = [
        1 - np.cumsum(np.bincount(np.subtract(h.bins, lowest), h.counts, width)) / sum(h.counts)
        for h in (canary, baseline)
    ]
    at = int(np.argmax(above[0] - above[1]))
    of_canary, of_baseline = (float(share[at]) for share in above)
    if of_canary <= of_baseline:
        return None
    limit = float(histogram.lower_edges(np.array([lowest + at + 1]))[0])
    return Contributor(name=f"above {limit:.3g}", canary=of_canary, baseline=of_baseline)


# --- what is still needed ----------------------------------------------------------------------


def needed_for(
    metric: Metric,
    state: MetricState,
    policy: Policy,
    found: _Found,
    *,
    tolerance: float,
    lasted_s: float,
) -> Needed | None:
    """What is still needed until a doubling of a ratio metric would be seen, at today's traffic.

    ``None`` for distributions, and while nothing bad or no exposure was seen.
    """
    seen = state.ratio
    if seen is None or not lasted_s:
        return None
    exposures = seen.canary_exposures + seen.baseline_exposures
    if not seen.canary_exposures or not seen.baseline_exposures or not seen.baseline_bad:
        return None
    harm = max(1.0, 2 * tolerance + 1)
    forecast = until_seen(
        Traffic(
            share=seen.canary_exposures / exposures,
            bad_rate=seen.baseline_bad / seen.baseline_exposures,
            per_s=exposures / lasted_s,
        ),
        tolerance=tolerance,
        harm=harm,
        alpha=_alpha_of(metric, policy),
        log_evidence=found.log_evidence,
    )
    return Needed(
        harm=harm,
        exposures=_rounded(forecast.exposures),
        bad=_rounded(forecast.bad),
        seconds=_rounded(forecast.seconds),
    )


def _rounded(value: float | None) -> int | None:
    return None if value is None else math.ceil(value)
