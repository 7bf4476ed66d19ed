"""Error rates of the ratio test, by seeded simulation with a binomial bound."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom

from streams.judge import forecast, simulation
from streams.judge.simulation import Scenario

pytestmark = pytest.mark.statistical

RUNS, WINDOWS = 1_500, 200
ALPHA, BETA = 0.01, 0.05
LIMITS = {"tolerance": 0.1, "harm": 0.5, "alpha": ALPHA, "beta": BETA}
RAMP = np.repeat([0.01, 0.05, 0.25, 0.5], WINDOWS // 4)[:, None]


def rates_of(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Baseline rates that both arms share; broadcast to (windows, runs).

    ``drifting`` swings 19-fold; ``bursty`` has autocorrelation 0.7 and tenfold outages.
    """
    if kind == "steady":
        return np.full((1, 1), 0.005)
    if kind == "drifting":
        swing: np.ndarray = 19 ** (np.sin(np.linspace(0, 9, WINDOWS)) ** 2)
        return 0.005 * swing[:, None]
    level = np.zeros(RUNS)
    rows = []
    for _ in range(WINDOWS):
        level = 0.7 * level + rng.normal(0, 0.5, RUNS)
        rows.append(0.005 * np.exp(level) * np.where(rng.random(RUNS) < 0.02, 10, 1))
    return np.array(rows)


def allowed(probability: float, runs: int = RUNS) -> int:
    """A count that a true rate of ``probability`` exceeds once in ten thousand seeds."""
    return int(binom.ppf(0.9999, runs, probability))


SHARES = [0.01, 0.05, 0.1, 0.5, RAMP]
NAMES = ["1%", "5%", "10%", "50%", "ramp"]


@pytest.mark.parametrize("rates", ["steady", "drifting", "bursty"])
@pytest.mark.parametrize("share", SHARES, ids=NAMES)
def test_false_rollbacks_stay_below_alpha(share: npt.ArrayLike, rates: str) -> None:
    """At the worst accepted ratio, with a look after every window, at most α are rolled back."""
    rng = np.random.default_rng(11)
    scenario = Scenario(
        runs=RUNS,
        windows=WINDOWS,
        ratio=1.1,
        share=share,
        exposures=2_000,
        rate=rates_of(rates, rng),
    )
    found = simulation.judge(rng, scenario, **LIMITS)
    assert (found.rolled_back_at > 0).sum() <= allowed(ALPHA)


@pytest.mark.parametrize("share", SHARES, ids=NAMES)
def test_false_promotions_stay_below_beta(share: npt.ArrayLike) -> None:
    """At the least harm that must not pass, with a look after every window, at most β pass."""
    rng = np.random.default_rng(12)
    scenario = Scenario(
        runs=RUNS,
        windows=WINDOWS,
        ratio=1.5,
        share=share,
        exposures=2_000,
        rate=rates_of("bursty", rng),
    )
    found = simulation.judge(rng, scenario, **LIMITS, negligible_rate=0.0001)
    assert (found.promoted_at > 0).sum() <= allowed(BETA)


@pytest.mark.parametrize("true", [1.5, 4.0])
def test_a_rate_that_is_not_negligible_is_not_promoted_for_being_low(true: float) -> None:
    """At exactly the negligible rate and a harmful ratio, at most β pass, at every look."""
    rng = np.random.default_rng(13)
    scenario = Scenario(
        runs=RUNS, windows=WINDOWS, ratio=true, share=0.5, exposures=2_000, rate=0.001 / true
    )
    found = simulation.judge(rng, scenario, **LIMITS, negligible_rate=0.001)
    assert (found.promoted_at > 0).sum() <= allowed(BETA)


@pytest.mark.parametrize("ratio", [0.7, 1.0, 3.0])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_interval_covers_at_all_times(share: float, ratio: float) -> None:
    """At 95 % the interval misses the true ratio, in any window of a run, in at most 5 %."""
    rng = np.random.default_rng(13)
    scenario = Scenario(runs=600, windows=100, ratio=ratio, share=share, exposures=2_000, rate=0.01)
    found = simulation.judge(rng, scenario, **LIMITS, interval_alpha=0.05)
    assert (found.missed_at > 0).sum() <= allowed(0.05, 600)


@pytest.mark.parametrize("ratio", [1.5, 2.0, 5.0])
@pytest.mark.parametrize("share", [0.01, 0.5])
def test_regressions_are_found_near_the_wald_bound(share: float, ratio: float) -> None:
    """The median delay, in bad outcomes, is at most 1.5 times what any test needs on average."""
    rng = np.random.default_rng(14)
    bound = forecast.wald_bound(ratio=ratio, excluded=1.1, share=share, alpha=ALPHA)
    per_window = max(bound / 40, 1.0)
    exposures = per_window / 0.001 / (ratio * share + 1 - share)
    scenario = Scenario(
        runs=2_000, windows=160, ratio=ratio, share=share, exposures=exposures, rate=0.001
    )
    found = simulation.judge(rng, scenario, **LIMITS)
    delays = np.where(found.rolled_back_at > 0, found.bad_at_rollback, np.inf)
    assert np.median(delays) <= 1.5 * bound


def test_an_equal_release_is_promoted_near_the_wald_bound() -> None:
    """At equal rates the median promotion comes within 1.5 times the bound."""
    rng = np.random.default_rng(15)
    bound = forecast.wald_bound(ratio=1.0, excluded=1.5, share=0.1, alpha=BETA)
    scenario = Scenario(
        runs=300, windows=160, ratio=1.0, share=0.1, exposures=bound / 40 / 0.001, rate=0.001
    )
    found = simulation.judge(rng, scenario, **LIMITS)
    delays = np.where(found.promoted_at > 0, found.bad_at_promotion, np.inf)
    assert np.median(delays) <= 1.5 * bound
