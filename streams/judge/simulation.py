"""Simulated rollouts, many at once: to prove error rates, and to try a policy before it matters.

Idea. Draw the bad outcomes of thousands of rollouts, window by window, look after every window
as the judge does, and note when each rollout was first rolled back or promoted and whether its
interval ever missed the true ratio.

Assumptions. Bad outcomes are Poisson given rate and exposures, exposures Poisson around the
traffic. Rates and shares may change from window to window, and differ from run to run.

Guarantee. None; frequencies of n runs are known to about ``sqrt(p(1−p)/n)``.

Units. Exposures per window and bad outcomes per exposure; windows are counted from 1.

>>> rng = np.random.default_rng(1)
>>> found = judge(
...     rng, Scenario(runs=200, windows=50, ratio=3.0, share=0.1, exposures=1_000, rate=0.01),
...     tolerance=0.1, harm=0.5, alpha=0.01, beta=0.05,
... )
>>> float((found.rolled_back_at > 0).mean()), float((found.promoted_at > 0).mean())
(1.0, 0.0)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.judge import negligible
from streams.judge import ratio as ratio_test

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What happens in the simulated rollouts; arrays broadcast to (windows, runs)."""

    runs: int
    windows: int
    ratio: npt.ArrayLike
    """The canary's rate divided by the baseline's."""
    share: npt.ArrayLike
    """The canary's share of the exposures."""
    exposures: npt.ArrayLike
    """Expected exposures per window, both arms together."""
    rate: npt.ArrayLike
    """The baseline's bad outcomes per exposure."""


class Counts(NamedTuple):
    """Counts of one window of every run, each of shape (runs,)."""

    canary_bad: Floats
    baseline_bad: Floats
    canary_exposures: Floats
    baseline_exposures: Floats


class Judged(NamedTuple):
    """Per run, shape (runs,): the window, from 1, of the first rollback or promotion; 0 if never.

    A run goes on after both, so that each error is counted as if the other did not exist.
    """

    rolled_back_at: Integers
    promoted_at: Integers
    bad_at_rollback: Floats
    """Bad outcomes of both arms until the rollback; NaN without one; likewise at promotion."""
    bad_at_promotion: Floats
    missed_at: Integers
    """Where the interval first missed the true ratio; 0 if never, or if ratios change."""


def draw(rng: np.random.Generator, scenario: Scenario, window: int) -> Counts:
    """Counts of one window of every run."""

    def now(values: npt.ArrayLike) -> Floats:
        """The row of this window, shape (runs,)."""
        table = np.atleast_2d(np.asarray(values, dtype=np.float64))
        row: Floats = np.broadcast_to(table[min(window, len(table) - 1)], scenario.runs)
        return row

    share, exposures, rate = now(scenario.share), now(scenario.exposures), now(scenario.rate)
    canary = rng.poisson(share * exposures).astype(np.float64)
    baseline = rng.poisson((1 - share) * exposures).astype(np.float64)
    return Counts(
        canary_bad=rng.poisson(canary * rate * now(scenario.ratio)).astype(np.float64),
        baseline_bad=rng.poisson(baseline * rate).astype(np.float64),
        canary_exposures=canary,
        baseline_exposures=baseline,
    )


def judge(
    rng: np.random.Generator,
    scenario: Scenario,
    *,
    tolerance: float,
    harm: float,
    alpha: float,
    beta: float,
    negligible_rate: float = 0.0,
    interval_alpha: float | None = None,
) -> Judged:
    """Judge every run, with a look after every window.

    Args:
        rng: seeded by the caller.
        scenario: what happens.
        tolerance: relative harm that is accepted.
        harm: relative harm that must not be promoted.
        alpha: false-rollback rate.
        beta: false-promotion rate.
        negligible_rate: rate of bad outcomes that harms nobody; 0 for none.
        interval_alpha: error of the interval; ``None`` leaves the interval out, which is faster.
    """
    grid = ratio_test.grid_of(tolerance, harm)
    kept = grid if interval_alpha is not None else without_interval(grid)
    log_likelihood = np.zeros((scenario.runs, len(kept.ratios)))
    rolled_back, promoted, missed = (np.zeros(scenario.runs, np.int64) for _ in range(3))
    bad, canary_bad, canary_exposures = (np.zeros(scenario.runs) for _ in range(3))
    bad_at_rollback, bad_at_promotion = (np.full(scenario.runs, np.nan) for _ in range(2))
    for window in range(scenario.windows):
        counts = draw(rng, scenario, window)
        log_likelihood += ratio_test.log_likelihoods(kept.ratios, **counts._asdict())
        bad += counts.canary_bad + counts.baseline_bad
        canary_bad += counts.canary_bad
        canary_exposures += counts.canary_exposures
        log_evidence, of_ratio = ratio_test.evidence(log_likelihood, kept)
        log_promotion = negligible.log_promotion(
            of_ratio, canary_bad, canary_exposures, negligible_rate
        )
        note(rolled_back, log_evidence >= -np.log(alpha), window, bad_at_rollback, bad)
        note(promoted, log_promotion >= -np.log(beta), window, bad_at_promotion, bad)
        if interval_alpha is not None:
            found = ratio_test.looks(log_likelihood, grid, alpha=interval_alpha)
            true = np.asarray(scenario.ratio, dtype=np.float64)
            note(missed, (found.lower > true) | (found.upper < true), window)
    return Judged(rolled_back, promoted, bad_at_rollback, bad_at_promotion, missed)


def without_interval(grid: ratio_test.Grid) -> ratio_test.Grid:
    """The grid of the two tests alone, which is a quarter of the work."""
    kept = grid.ratios[: grid.nulls.start]
    return grid._replace(ratios=kept, interval=slice(0, 0))


def note(
    first: Integers,
    happened: npt.NDArray[np.bool_],
    window: int,
    kept: Floats | None = None,
    values: Floats | None = None,
) -> None:
    """Where it happened for the first time, write down the window and a value."""
    new = happened & (first == 0)
    first[new] = window + 1
    if kept is not None and values is not None:
        kept[new] = values[new]
