"""What a policy does, by simulation: false rollbacks, false promotions, and how long it takes.

Idea. Simulate thousands of rollouts of assumed traffic, with every ratio metric of the policy,
judged as the judge does after every window; note when each was first rolled back or promoted.

Assumptions. Bad outcomes are Poisson and independent between metrics, at the same baseline rate.
One critical metric is worse by the true ratio, the others are not. Distribution metrics are not
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
from contracts.policy import Metric, Policy
from contracts.results import MetricKind
from streams.judge import combine, ratio, simulation
from streams.judge.forecast import Traffic, until_promoted, until_seen
from streams.judge.simulation import Scenario

Floats = npt.NDArray[np.float64]
LOOKS = 600
"""Looks of a simulated rollout: more would change little, see ``docs/evidence.md``."""


class Assumed(NamedTuple):
    """Traffic of the simulated rollouts."""

    per_s: float
    share: float
    bad_rate: float
    lasts_s: float = 3600.0


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
        """Standard error of a share of the runs."""
        return math.sqrt(share * (1 - share) / self.runs)


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


def _calibrate_one(
    rng: np.random.Generator,
    policy: Policy,
    metrics: list[Metric],
    assumed: Assumed,
    true: float,
    runs: int,
) -> Calibrated:
    window_s = assumed.lasts_s / LOOKS
    scenarios = [
        Scenario(
            runs=runs,
            windows=LOOKS,
            ratio=true if metric is metrics[0] else 1.0,
            share=assumed.share,
            exposures=assumed.per_s * window_s,
            rate=assumed.bad_rate,
        )
        for metric in metrics
    ]
    grids = [_grid(policy, metric) for metric in metrics]
    logs = [np.zeros((runs, len(grid.ratios))) for grid in grids]
    rolled_back, promoted = np.zeros(runs, np.int64), np.zeros(runs, np.int64)
    for window in range(LOOKS):
        for number, (scenario, grid) in enumerate(zip(scenarios, grids, strict=True)):
            counts = simulation.draw(rng, scenario, window)
            logs[number] += ratio.log_likelihoods(grid.ratios, **counts._asdict())
        harm, health = _evidence(policy, metrics, grids, logs)
        _note(rolled_back, harm >= -math.log(policy.false_rollback_rate), window)
        _note(promoted, health >= -math.log(policy.false_promotion_rate), window)
    traffic = Traffic(share=assumed.share, bad_rate=assumed.bad_rate, per_s=assumed.per_s)
    tolerance = policy.tolerance_of(metrics[0])
    seen = promote = None
    if true > 1 + tolerance:
        seen = until_seen(
            traffic, tolerance=tolerance, harm=true - 1, alpha=policy.false_rollback_rate
        ).seconds
    if true < 1 + policy.harm:
        promote = until_promoted(
            traffic, harm=policy.harm, beta=policy.false_promotion_rate, ratio=true
        ).seconds
    return Calibrated(
        ratio=true,
        runs=runs,
        rolled_back=float((rolled_back > 0).mean()),
        promoted=float((promoted > 0).mean()),
        rollback_s=_median(rolled_back, window_s),
        promotion_s=_median(promoted, window_s),
        bound_s=seen,
        promotion_bound_s=promote,
    )


def _evidence(
    policy: Policy, metrics: list[Metric], grids: list[ratio.Grid], logs: list[Floats]
) -> tuple[Floats, Floats]:
    """Log evidence of harm and of health of the whole rollout, each of shape (runs,)."""
    found = [ratio.evidence(log, grid) for log, grid in zip(logs, grids, strict=True)]
    of_all = sum(m.weight for m in policy.metrics if m.critical)
    simulated = sum(m.weight for m in metrics)
    harm = combine.log_averages(
        np.stack([harm for harm, _ in found], axis=-1), [m.weight for m in metrics]
    )
    health: Floats = np.min([health for _, health in found], axis=0)
    return harm + math.log(simulated / of_all), health


def _grid(policy: Policy, metric: Metric) -> ratio.Grid:
    grid = ratio.grid_of(policy.tolerance_of(metric), policy.harm)
    return grid._replace(ratios=grid.ratios[: grid.nulls.start], interval=slice(0, 0))


def _note(first: npt.NDArray[np.int64], happened: npt.NDArray[np.bool_], window: int) -> None:
    first[happened & (first == 0)] = window + 1


def _median(at: npt.NDArray[np.int64], window_s: float) -> float | None:
    median = float(np.median(np.where(at > 0, at, np.inf)))
    return median * window_s if math.isfinite(median) else None
