"""Two sides compared once."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from contracts.histogram import bins_of
from dashboard.comparing import differs, quantile_change, rate_ratio
from dashboard.components.comparison import totals


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    """The same numbers as scipy's exact interval of the share that fell on one side."""
    risk = rate_ratio(30, 1_000, 45, 3_000)
    exact = binomtest(30, 75).proportion_ci(0.95, method="exact")
    low, high = (3_000 / 1_000 * p / (1 - p) for p in (exact.low, exact.high))
    assert risk.lower is not None
    assert risk.upper is not None
    assert np.allclose([risk.lower, risk.upper], [low, high], rtol=1e-9)
    assert risk.estimate == (30 / 1_000) / (45 / 3_000)


def test_nothing_is_said_of_nothing() -> None:
    """Without outcomes or exposures there is no estimate, and an empty side bounds one end only."""
    assert rate_ratio(0, 100, 0, 100).estimate is None
    assert rate_ratio(3, 0, 3, 100).lower is None
    one_sided = rate_ratio(40, 1_000, 0, 1_000)
    assert one_sided.upper is None
    assert differs(one_sided)


def test_intervals_of_quantiles_hold_their_level() -> None:
    """Of equal sides, about one interval in twenty leaves out 1, and a slower tail is found."""
    rng = np.random.default_rng(11)

    def histogram(values: np.ndarray) -> dict[int, int]:
        bins, counts = np.unique(bins_of(values), return_counts=True)
        return dict(zip(bins.tolist(), counts.tolist(), strict=True))

    missed = 0
    for _ in range(200):
        here, there = (histogram(np.exp(rng.normal(4, 0.5, 4_000))) for _ in range(2))
        missed += differs(quantile_change(here, there, 0.9).risk)
    assert missed <= 20
    base = np.exp(rng.normal(4, 0.5, 20_000))
    slow = np.where(rng.random(20_000) < 0.08, 3 * base, base)
    assert differs(quantile_change(histogram(slow), histogram(base), 0.99).risk)
    assert quantile_change({100: 30}, {100: 30}, 0.99).risk.lower is None


def test_counters_are_added_up_by_side() -> None:
    """A side without windows has zeros."""
    frame = pd.DataFrame({"time": [0, 1], "arm": ["canary"] * 2, "request": [5, 7]})
    assert totals(frame) == {"canary": {"request": 12}, "baseline": {"request": 0}}
