"""One metric of a rollout: from tallies to its evidence, whatever kind it is."""

from __future__ import annotations

import math

import msgspec

from contracts.policy import Direction, Metric, Policy
from contracts.results import ArmCounts, MetricKind, MetricVerdict, Needed, Outcome, RelativeRisk
from streams.judge import distribution, ratio
from streams.judge.distribution import DistributionState
from streams.judge.forecast import Traffic, until_seen
from streams.judge.ratio import RatioState
from streams.windows.tally import Tally

INTERVAL_ALPHA = 0.05
"""Intervals are shown at 95 %, as people expect; they decide nothing."""

_LN10 = math.log(10)


class MetricState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Evidence of one metric so far: exactly one of ``ratio`` and ``distribution`` is set."""

    ratio: RatioState | None = None
    distribution: DistributionState | None = None

    @staticmethod
    def new(metric: Metric, policy: Policy) -> MetricState:
        """State before the first tick."""
        tolerance, harm = policy.tolerance_of(metric), policy.harm
        if metric.kind is MetricKind.RATIO:
            return MetricState(ratio=ratio.new(tolerance=tolerance, harm=harm))
        return MetricState(distribution=distribution.new(tolerance=tolerance, harm=harm))

    def add(self, metric: Metric, canary: Tally, baseline: Tally) -> None:
        """Add one finished tick of both arms.

        Where a decrease is the harm, the arms change places: the baseline must not be better.
        """
        if metric.direction is Direction.DECREASE:
            canary, baseline = baseline, canary
        if self.ratio is not None:
            self.ratio = ratio.add(
                self.ratio,
                canary_bad=canary.counts.get(metric.bad, 0),
                baseline_bad=baseline.counts.get(metric.bad, 0),
                canary_exposures=canary.counts.get(metric.of, 0),
                baseline_exposures=baseline.counts.get(metric.of, 0),
            )
        if self.distribution is not None:
            self.distribution = distribution.add(
                self.distribution,
                canary.histogram(metric.value),
                baseline.histogram(metric.value),
            )


def look_at(metric: Metric, state: MetricState, policy: Policy) -> MetricVerdict:
    """What one metric says now, in the words of a verdict."""
    if state.ratio is not None:
        of_ratio = ratio.look(state.ratio, alpha=INTERVAL_ALPHA)
        exposures = ArmCounts(
            canary=state.ratio.canary_exposures, baseline=state.ratio.baseline_exposures
        )
        bad = ArmCounts(canary=state.ratio.canary_bad, baseline=state.ratio.baseline_bad)
        found = (of_ratio.log_evidence, of_ratio.log_promotion)
        estimate = of_ratio.estimate or _corrected_estimate(state.ratio, of_ratio.lower)
        risk = RelativeRisk(estimate=estimate, lower=of_ratio.lower, upper=of_ratio.upper)
    else:
        assert state.distribution is not None
        of_values = distribution.look(state.distribution, alpha=INTERVAL_ALPHA)
        exposures = ArmCounts(canary=of_values.canary_count, baseline=of_values.baseline_count)
        bad = ArmCounts(
            canary=of_values.median_canary or 0, baseline=of_values.median_baseline or 0
        )
        found = (of_values.log_evidence, of_values.log_promotion)
        risk = RelativeRisk(
            estimate=of_values.estimate, lower=of_values.lower, upper=of_values.upper
        )
    if metric.direction is Direction.DECREASE:
        exposures, bad, risk = _swapped(exposures), _swapped(bad), _inverted(risk)
    return MetricVerdict(
        name=metric.name,
        kind=metric.kind,
        outcome=_outcome(metric, policy, exposures, *found),
        relative_risk=risk,
        evidence_log10=found[0] / _LN10,
        promotion_log10=found[1] / _LN10,
        exposures=exposures,
        bad=bad,
        tolerance=policy.tolerance_of(metric),
    )


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


def _outcome(
    metric: Metric, policy: Policy, exposures: ArmCounts, log_evidence: float, log_promotion: float
) -> Outcome:
    """A metric's own outcome; its part of α is its part of the weights, so they add up to α."""
    if not exposures.canary or not exposures.baseline:
        return Outcome.NO_DATA
    part = metric.weight / sum(m.weight for m in policy.metrics)
    if log_evidence >= -math.log(policy.false_rollback_rate * part):
        return Outcome.REGRESSED
    if log_promotion >= -math.log(policy.false_promotion_rate):
        return Outcome.HEALTHY
    return Outcome.INCONCLUSIVE


def _swapped(counts: ArmCounts) -> ArmCounts:
    return ArmCounts(canary=counts.baseline, baseline=counts.canary)


def _inverted(risk: RelativeRisk) -> RelativeRisk:
    def over_one(value: float | None) -> float | None:
        return 1 / value if value else None

    return RelativeRisk(
        estimate=over_one(risk.estimate), lower=over_one(risk.upper), upper=over_one(risk.lower)
    )


def needed_for(
    metric: Metric, state: MetricState, policy: Policy, *, lasted_s: float
) -> Needed | None:
    """What is still needed until a doubling of a ratio metric would be seen, at today's traffic.

    ``None`` for distributions, and while nothing bad or no exposure was seen.
    """
    if state.ratio is None or not lasted_s:
        return None
    seen = state.ratio
    exposures = seen.canary_exposures + seen.baseline_exposures
    if not seen.canary_exposures or not seen.baseline_exposures or not seen.baseline_bad:
        return None
    tolerance = policy.tolerance_of(metric)
    harm = max(1.0, 2 * tolerance + 1)
    part = metric.weight / sum(m.weight for m in policy.metrics)
    forecast = until_seen(
        Traffic(
            share=seen.canary_exposures / exposures,
            bad_rate=seen.baseline_bad / seen.baseline_exposures,
            per_s=exposures / lasted_s,
        ),
        tolerance=tolerance,
        harm=harm,
        alpha=policy.false_rollback_rate * part,
        log_evidence=ratio.look(seen, alpha=policy.false_rollback_rate).log_evidence,
    )
    return Needed(
        harm=harm,
        exposures=_rounded(forecast.exposures),
        bad=_rounded(forecast.bad),
        seconds=_rounded(forecast.seconds),
    )


def _rounded(value: float | None) -> int | None:
    return None if value is None else math.ceil(value)
