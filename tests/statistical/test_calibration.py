"""What a calibration says of a policy's error rates, by seeded simulation with binomial bounds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from contracts.policy import Direction, Metric, Policy
from contracts.results import MetricKind, MetricWindow
from streams.judge import ratio
from streams.judge.calibration import LOOK_S, Assumed, Calibrated, calibrate
from streams.judge.metric import MetricState, apply

pytestmark = pytest.mark.statistical

RUNS = 1_500
BUSY = Assumed(per_s=1_000, share=0.1, bad_rate=0.01, lasts_s=600)
ONE = Policy(metrics=[Metric(name="crash_rate", bad="crash")])
WEIGHTED = Policy(
    false_rollback_rate=0.05,
    metrics=[
        Metric(name="crash_rate", bad="crash", weight=3),
        Metric(name="error_rate", bad="request.bad", tolerance=0.3),
        Metric(name="clicks", bad="click", direction=Direction.DECREASE),
        Metric(name="latency", kind=MetricKind.DISTRIBUTION, value="request.duration_ms"),
    ],
)
CLICKS = Policy(metrics=[Metric(name="clicks", bad="click", direction=Direction.DECREASE)])
POLICIES = pytest.mark.parametrize("policy", [ONE, WEIGHTED, CLICKS])


def allowed(probability: float) -> int:
    """A count that a true rate of ``probability`` exceeds once in ten thousand seeds."""
    return int(binom.ppf(0.9999, RUNS, probability))


def found(policy: Policy, true: float, seed: int) -> Calibrated:
    """The row of one true ratio."""
    return calibrate(policy, BUSY, [true], runs=RUNS, seed=seed)[0]


@POLICIES
def test_false_rollbacks_stay_below_the_policys_rate(policy: Policy) -> None:
    """At the worst accepted ratio, at most α of the rollouts are rolled back."""
    row = found(policy, 1 + policy.tolerance_of(policy.metrics[0]), 51)
    assert row.rolled_back * RUNS <= allowed(policy.false_rollback_rate)


@POLICIES
def test_false_promotions_stay_below_the_policys_rate(policy: Policy) -> None:
    """At exactly the harm, at most β of the rollouts are promoted."""
    row = found(policy, 1 + policy.harm, 52)
    assert row.promoted * RUNS <= allowed(policy.false_promotion_rate)
    assert row.rolled_back > 0.9


@POLICIES
@pytest.mark.parametrize("true", [2.0, 5.0])
def test_the_delay_lies_between_the_bound_and_twice_it(policy: Policy, true: float) -> None:
    """Medians are near the least mean of any test, but for a look, where a decrease is harm too."""
    row = found(policy, true, 53)
    assert row.bound_s is not None
    assert row.rollback_s is not None
    assert 0.85 * row.bound_s < row.rollback_s <= 2 * row.bound_s + LOOK_S


def judged_s(rng: np.random.Generator, canary_rate: float, baseline_rate: float) -> float:
    """Seconds until the judge's own metric, where a decrease is harm, has evidence of 1/α."""
    metric = CLICKS.metrics[0]
    state = MetricState.new(metric, CLICKS)
    exposures = (BUSY.per_s * BUSY.share, BUSY.per_s * (1 - BUSY.share))
    for second in range(1, int(BUSY.lasts_s) + 1):
        window = MetricWindow(
            canary_bad=float(rng.poisson(canary_rate * exposures[0])),
            baseline_bad=float(rng.poisson(baseline_rate * exposures[1])),
            canary_exposures=exposures[0],
            baseline_exposures=exposures[1],
        )
        apply(state, metric, [window])
        assert state.ratio is not None
        if ratio.look(state.ratio, alpha=0.01).log_evidence >= np.log(100):
            return second
    return np.inf


def test_a_decrease_is_calibrated_as_the_judge_judges_it() -> None:
    """Half the clicks take the judge itself as long as they take the calibration."""
    rng = np.random.default_rng(57)
    itself = np.median([judged_s(rng, BUSY.bad_rate / 2, BUSY.bad_rate) for _ in range(60)])
    assert found(CLICKS, 2.0, 57).rollback_s == pytest.approx(itself, rel=0.25)


def test_metrics_that_are_not_simulated_cost_their_weight() -> None:
    """A metric without evidence in the average makes the rollback later, never sooner."""
    crash, latency = WEIGHTED.metrics[0], WEIGHTED.metrics[-1]
    alone = found(Policy(metrics=[crash]), 2.0, 54).rollback_s
    averaged = found(Policy(metrics=[crash, latency]), 2.0, 54).rollback_s
    assert alone is not None
    assert averaged is not None
    assert alone < averaged


def test_a_healthy_release_is_promoted() -> None:
    """An equal release is promoted in nearly every rollout of enough traffic."""
    row = found(ONE, 1.0, 55)
    assert row.promoted > 0.99
    assert row.rolled_back * RUNS <= allowed(0.01)


def test_the_error_of_none_seen_is_not_zero() -> None:
    """Of 1,500 rollouts none rolled back, the rate is known to about one in 1,500, not exactly."""
    row = found(ONE, 1.0, 56)
    assert 0.5 / RUNS < row.error_of(0.0) < 2 / RUNS
