"""Error rates of the distribution test, by seeded simulation with a binomial bound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from contracts.histogram import bins_of
from contracts.results import SparseHistogram
from streams.judge import distribution

pytestmark = pytest.mark.statistical

RUNS, WINDOWS = 120, 30
Draw = Callable[[np.random.Generator, int, int], np.ndarray]


def body(rng: np.random.Generator, _window: int, n: int) -> np.ndarray:
    """Log-normal latencies."""
    return rng.lognormal(4, 0.5, n)


def drifting_two_peaks(rng: np.random.Generator, window: int, n: int) -> np.ndarray:
    """Cache hits and misses, their mix and speed drifting, in both arms alike."""
    misses = rng.random(n) < 0.2 + 0.3 * np.sin(window / 5)
    return np.where(misses, rng.lognormal(6, 0.8, n), rng.lognormal(2, 0.3, n)) * 1.03**window


def histogram(values: np.ndarray) -> SparseHistogram:
    """Values in their bins."""
    found, counts = np.unique(bins_of(values), return_counts=True)
    return SparseHistogram(found.tolist(), counts.tolist())


def crossings(draw: Draw, *, factor: float, seed: int) -> tuple[int, int, int]:
    """Runs that ever reached α = 5 %, β = 5 %, and whose 95 % interval ever missed ``factor``.

    The share ramps from 5 % to 50 %; limits are a tolerance of 0 and a harm of 20 bins.
    """
    rng = np.random.default_rng(seed)
    rolled_back = promoted = missed = 0
    for _ in range(RUNS):
        state = distribution.new(tolerance=0.0, harm=1.02**20 - 1)
        ever = [False, False, False]
        for window in range(WINDOWS):
            canary = 10 if window < WINDOWS // 2 else 100
            state = distribution.add(
                state,
                histogram(draw(rng, window, canary) * factor),
                histogram(draw(rng, window, 200 - canary)),
            )
            found = distribution.look(state, alpha=0.05)
            ever[0] |= found.log_evidence >= np.log(20)
            ever[1] |= found.log_promotion >= np.log(20)
            ever[2] |= (found.lower or 0) > factor or (found.upper or np.inf) < factor
        rolled_back, promoted, missed = rolled_back + ever[0], promoted + ever[1], missed + ever[2]
    return rolled_back, promoted, missed


@pytest.mark.parametrize("draw", [body, drifting_two_peaks])
def test_equal_distributions_are_seldom_rolled_back(draw: Draw) -> None:
    """With equal arms, drift and a ramp, rollbacks and missed intervals stay below 5 %."""
    rolled_back, promoted, missed = crossings(draw, factor=1.0, seed=31)
    assert rolled_back <= binom.ppf(0.9999, RUNS, 0.05)
    assert missed <= binom.ppf(0.9999, RUNS, 0.05)
    assert promoted > RUNS * 0.9


def test_a_canary_slower_by_the_harm_is_seldom_promoted() -> None:
    """At exactly the harm, promotions stay below β, and nearly all are rolled back."""
    rolled_back, promoted, missed = crossings(body, factor=1.02**20, seed=32)
    assert promoted <= binom.ppf(0.9999, RUNS, 0.05)
    assert missed <= binom.ppf(0.9999, RUNS, 0.05)
    assert rolled_back > RUNS * 0.95
