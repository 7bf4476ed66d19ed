"""What a policy does, by simulation: false rollbacks, false promotions, and how long it takes.

Idea. Simulate thousands of rollouts of assumed traffic, with every ratio metric of the policy,
judged as the judge does after every window; note when each was first rolled back or promoted.

Assumptions. Bad outcomes are Poisson and independent between metrics, at the same baseline rate.
The first critical ratio metric is worse by the true ratio (where a decrease is the harm: the
baseline's rate divided by the canary's), the others are equal. Distribution metrics are not
simulated: they add no evidence here and do not delay a promotion, so their part of α is unused.

Guarantee. None; frequencies of n runs are known to about ``sqrt(p(1−p)/n)``.

Units. Seconds; exposures of both arms together per second; rates per exposure.

>>> rows = calibrate(Policy(), Assumed(per_s=50, share=0.1, bad_rate=0.02), (1.0, 3.0), runs=200)
>>> rows[0].rolled_back < 0.03, rows[1].rolled_back > 0.9, rows[1].bound_s < rows[1].rollback_s
(True, True, True)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from contracts.errors import ConfigError
from contracts.policy import Direction, Metric, Policy
from contracts.results import MetricKind
from streams.judge import combine, negligible, ratio, simulation
from streams.judge.forecast import Traffic, until_promoted, until_seen
from streams.judge.simulation import Scenario

Floats = npt.NDArray[np.float64]
LOOK_S, LOOK_GROWTH = 1.0, 0.005
"""A look a second, as the judge looks, and later whenever another half per cent of time is over:
the judge's further looks in between find little that the next one does not."""


class Assumed(NamedTuple):
    """Traffic of the simulated rollouts."""

    per_s: float
    share: float
    bad_rate: float
    lasts_s: float = 3600.0

    @property
    def traffic(self) -> Traffic:
        """The same for the forecasts."""
        return Traffic(share=self.share, bad_rate=self.bad_rate, per_s=self.per_s)


class Calibrated(msgspec.Struct, kw_only=True):
    """What happened to the rollouts of one true ratio; ``None`` where it happened to none."""

    ratio: float
    runs: int
    rolled_back: float
    """Share of the runs, 0 to 1; likewise ``promoted``."""
    promoted: float
    rollback_s: float | None
    """Median time to the rollback over all runs; ``None`` where fewer than half had one."""
    promotion_s: float | None
    bound_s: float | None
    """No test with the same α needs less on average (Wald); promotion: likewise with β."""
    promotion_bound_s: float | None

    def error_of(self, share: float) -> float:
        """Standard error of a share of the runs, with one hit and one miss more than were seen.

        So that none of a thousand is not taken for certainty.
        """
        likely = (share * self.runs + 1) / (self.runs + 2)
        return math.sqrt(likely * (1 - likely) / (self.runs + 2))


def calibrate(
    policy: Policy,
    assumed: Assumed,
    ratios: Iterable[float],
    *,
    runs: int = 1000,
    seed: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Calibrated]:
    """Simulate ``runs`` rollouts for every true ratio of the first critical ratio metric.

    Raises:
        ConfigError: the policy has no critical ratio metric.
    """
    metrics = ratio_metrics(policy)
    rows = []
    for number, true in enumerate(ratios):
        rng = np.random.default_rng([seed, number])
        rows.append(_calibrate_one(rng, policy, metrics, assumed, true, runs))
        progress((number + 1) * runs)
    return rows


def ratio_metrics(policy: Policy) -> list[Metric]:
    """The critical ratio metrics.

    Raises:
        ConfigError: there are none.
    """
    found = [m for m in policy.metrics if m.critical and m.kind is MetricKind.RATIO]
    if not found:
        raise ConfigError("policy", "needs a critical ratio metric to be simulated")
    return found


def suspect_traffic(metric: Metric, traffic: Traffic, true: float) -> Traffic:
    """The traffic as the test of ``metric`` sees it, where the canary is ``true`` times worse.

    Of a metric that must not decrease, the arms go into the test swapped: its share is then the
    baseline's, and the rate below which nothing is worse is the canary's.
    """
    if metric.direction is Direction.INCREASE:
        return traffic
    return traffic._replace(share=1 - traffic.share, bad_rate=traffic.bad_rate / true)


def alpha_of(policy: Policy, metric: Metric) -> float:
    """The error at which this metric alone rolls back: its part of the average of all."""
    return policy.false_rollback_rate * metric.weight / _critical_weight(policy)


def _critical_weight(policy: Policy) -> float:
    return sum(m.weight for m in policy.metrics if m.critical)


def look_ends(lasts_s: float) -> Floats:
    """Seconds at which a simulated rollout is looked at, ascending, shape (n,)."""
    ends = [0.0]
    while ends[-1] < lasts_s:
        ends.append(min(lasts_s, ends[-1] + max(LOOK_S, LOOK_GROWTH * ends[-1])))
    return np.array(ends[1:])


def _calibrate_one(
    rng: np.random.Generator,
    policy: Policy,
    metrics: list[Metric],
    assumed: Assumed,
    true: float,
    runs: int,
) -> Calibrated:
    ends = look_ends(assumed.lasts_s)
    scenarios = [
        _scenario(metric, assumed, true if metric is metrics[0] else 1.0, ends, runs)
        for metric in metrics
    ]
    grids = [simulation.without_interval(_grid(policy, metric)) for metric in metrics]
    logs = [np.zeros((runs, len(grid.ratios))) for grid in grids]
    canary = [np.zeros((2, runs)) for _ in metrics]
    rolled_back, promoted = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
    for look in range(len(ends)):
        for number, (scenario, grid) in enumerate(zip(scenarios, grids, strict=True)):
            counts = simulation.draw(rng, scenario, look)
            logs[number] += ratio.log_likelihoods(grid.ratios, **counts._asdict())
            canary[number] += counts.canary_bad, counts.canary_exposures
        harm, health = _evidence(policy, metrics, grids, logs, canary)
        simulation.note(rolled_back, harm >= -math.log(policy.false_rollback_rate), look)
        simulation.note(promoted, health >= -math.log(policy.false_promotion_rate), look)
    bound_s, promotion_bound_s = _bounds(policy, metrics[0], assumed, true)
    return Calibrated(
        ratio=true,
        runs=runs,
        rolled_back=float((rolled_back > 0).mean()),
        promoted=float((promoted > 0).mean()),
        rollback_s=_median_s(rolled_back, ends),
        promotion_s=_median_s(promoted, ends),
        bound_s=bound_s,
        promotion_bound_s=promotion_bound_s,
    )


def _scenario(metric: Metric, assumed: Assumed, true: float, ends: Floats, runs: int) -> Scenario:
    seen = suspect_traffic(metric, assumed.traffic, true)
    return Scenario(
        runs=runs,
        windows=len(ends),
        ratio=true,
        share=seen.share,
        exposures=(assumed.per_s * np.diff(ends, prepend=0.0))[:, None],
        rate=seen.bad_rate,
    )


def _bounds(
    policy: Policy, metric: Metric, assumed: Assumed, true: float
) -> tuple[float | None, float | None]:
    """Wald's bound on the rollback and on the promotion, seconds; ``None`` where neither is due."""
    traffic = suspect_traffic(metric, assumed.traffic, true)
    tolerance = policy.tolerance_of(metric)
    seen = promoted = None
    if true > 1 + tolerance:
        alpha = policy.false_rollback_rate
        seen = until_seen(traffic, tolerance=tolerance, harm=true - 1, alpha=alpha).seconds
    if true < 1 + policy.harm:
        beta = policy.false_promotion_rate
        promoted = until_promoted(traffic, harm=policy.harm, beta=beta, ratio=true).seconds
    return seen, promoted


def _evidence(
    policy: Policy,
    metrics: list[Metric],
    grids: list[ratio.Grid],
    logs: list[Floats],
    canary: list[Floats],
) -> tuple[Floats, Floats]:
    """Log evidence of harm and of health of the whole rollout, each of shape (runs,).

    ``canary`` holds the canary's bad outcomes and exposures of each metric, shape (2, runs).
    """
    found = [ratio.evidence(log, grid) for log, grid in zip(logs, grids, strict=True)]
    simulated = sum(m.weight for m in metrics)
    harm = combine.log_averages(
        np.stack([harm for harm, _ in found], axis=-1), [m.weight for m in metrics]
    )
    healths = [
        negligible.log_promotion(health, bad, exposures, policy.negligible_rate_of(metric))
        for metric, (_, health), (bad, exposures) in zip(metrics, found, canary, strict=True)
    ]
    health: Floats = np.min(healths, axis=0)
    return harm + math.log(simulated / _critical_weight(policy)), health


def _grid(policy: Policy, metric: Metric) -> ratio.Grid:
    return ratio.grid_of(policy.tolerance_of(metric), policy.harm)


def _median_s(looks: npt.NDArray[np.int64], ends: Floats) -> float | None:
    """Median time of the looks, counted from 1, 0 for never."""
    times = np.where(looks > 0, ends[np.maximum(looks, 1) - 1], np.inf)
    median = float(np.median(times))
    return median if math.isfinite(median) else None
