from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from contracts.histogram import HIGHEST_BIN, LOWEST_BIN, bins_of
from contracts.results import SparseHistogram
from streams.judge import bins, distribution, templates

EMPTY = SparseHistogram([], [])


def histogram(values: np.ndarray) -> SparseHistogram:
    """Values in their bins."""
    found, counts = np.unique(bins_of(values), return_counts=True)
    return SparseHistogram(found.tolist(), counts.tolist())


def latencies(rng: np.random.Generator, n: int, scale: float = 1.0) -> SparseHistogram:
    """Log-normal latencies with a median of 55 ms, times scale."""
    return histogram(rng.lognormal(4, 0.5, n) * scale)


def judged(scale: float, *, windows: int = 12, seed: int = 1) -> distribution.DistributionState:
    """State after windows of 200 canary values, scale times slower, and 800 of the baseline."""
    rng = np.random.default_rng(seed)
    state = distribution.new(tolerance=0.1, harm=0.5)
    for _ in range(windows):
        state = distribution.add(state, latencies(rng, 200, scale), latencies(rng, 800))
    return state


def test_a_slow_canary_is_found_and_not_promoted() -> None:
    """Everything 1.6 times slower crosses α = 1 % within seconds and shows no health."""
    found = distribution.look(judged(1.6), alpha=0.01)
    assert found.log_evidence > math.log(100)
    assert found.log_promotion < 0
    assert found.estimate == pytest.approx(1.6, rel=0.05)
    assert found.lower is not None
    assert found.upper is not None
    assert 1.3 < found.lower < 1.6 < found.upper < 2.0


def test_an_equal_canary_is_promoted_and_not_rolled_back() -> None:
    """The same distribution shows health quickly and gives no evidence of harm."""
    found = distribution.look(judged(1.0), alpha=0.01)
    assert found.log_promotion > math.log(20)
    assert found.log_evidence < 0


def test_a_rare_slow_tail_is_found() -> None:
    """One request in a hundred ten times slower is found, though the median does not move."""
    rng = np.random.default_rng(5)
    state = distribution.new(tolerance=0.1, harm=0.5)
    for _ in range(40):
        values = rng.lognormal(4, 0.5, 200)
        values[:2] *= 10
        state = distribution.add(state, histogram(values), latencies(rng, 800))
    found = distribution.look(state, alpha=0.01)
    assert found.log_evidence > math.log(100)
    assert found.estimate == pytest.approx(1.0, abs=0.05)


def test_an_empty_window_changes_nothing() -> None:
    """A window without values leaves the state as it was."""
    state = judged(1.2)
    assert distribution.add(state, EMPTY, EMPTY) == state


@pytest.mark.parametrize("arm", ["canary", "baseline"])
def test_one_arm_alone_is_no_evidence(arm: str) -> None:
    """Values of only one arm are kept as past, and the evidence stays."""
    rng = np.random.default_rng(2)
    state = judged(1.2)
    values = latencies(rng, 500, 30.0)
    after = distribution.add(
        state, values if arm == "canary" else EMPTY, values if arm == "baseline" else EMPTY
    )
    assert (after.log_worse, after.log_better) == (state.log_worse, state.log_better)


def test_nothing_seen_says_nothing() -> None:
    """Before the first value there is neither evidence nor an estimate."""
    found = distribution.look(distribution.new(tolerance=0.1, harm=0.5), alpha=0.01)
    assert found == distribution.DistributionLook(0.0, 0.0, None, None, None, None, None, 0, 0)


def test_the_first_window_is_no_evidence() -> None:
    """Weights come from the past only, so that the first window cannot judge itself."""
    found = distribution.look(judged(5.0, windows=1), alpha=0.01)
    assert (found.log_evidence, found.log_promotion) == (0.0, 0.0)


def test_values_at_both_ends_of_the_bins_are_defined() -> None:
    """Zeros, and values beyond the last bin, leave every number finite."""
    ends = SparseHistogram([LOWEST_BIN, HIGHEST_BIN], [40, 40])
    state = distribution.new(tolerance=0.1, harm=0.5)
    for _ in range(5):
        state = distribution.add(state, ends, ends)
    found = distribution.look(state, alpha=0.01)
    assert math.isfinite(found.log_evidence)
    assert found.log_evidence <= 0
    assert math.isfinite(found.log_promotion)


def test_the_state_survives_serialisation_and_gives_the_same_numbers() -> None:
    """Judging on from the state read back equals judging on from the state itself."""
    rng = np.random.default_rng(4)
    state = judged(1.2)
    again = msgspec.json.decode(msgspec.json.encode(state), type=distribution.DistributionState)
    distribution._weights_of.cache_clear()
    window = (latencies(rng, 100, 1.2), latencies(rng, 300))
    assert distribution.add(again, *window) == distribution.add(state, *window)


def test_inverted_turns_the_arms_back() -> None:
    """Medians and counts change places, the estimate becomes its inverse."""
    found = distribution.look(judged(1.6), alpha=0.01)
    turned = distribution.inverted(found)
    assert turned.median_canary == found.median_baseline
    assert turned.canary_count == found.baseline_count
    assert turned.estimate == pytest.approx(1 / (found.estimate or 0))
    assert turned.upper == pytest.approx(1 / (found.lower or 0))


def test_weights_never_fall() -> None:
    """Every guess's weights are nondecreasing over the bins, whatever the past looks like."""
    rng = np.random.default_rng(6)
    for n in (20, 300, 100_000):
        past = np.bincount(
            np.concatenate([rng.normal(40, 5, n), rng.normal(150, 30, n // 5)])
            .clip(0, 250)
            .astype(int),
            minlength=400,
        ).astype(float)
        weights = templates.log_weights(
            past,
            np.roll(past, 3),
            shifts=distribution.SHIFTS,
            contaminations=distribution.CONTAMINATIONS,
        )
        assert np.isfinite(weights).all()
        assert (np.diff(weights, axis=1) >= -1e-12).all()


def test_one_window_has_expectation_at_most_one_if_no_slower() -> None:
    """The step of the derivation, in exact arithmetic: E(factor) ≤ 1 for F_C no slower than F_B.

    Enumerates every outcome of two canary values and three baseline values over three bins.
    """
    rng = np.random.default_rng(8)
    for _ in range(50):
        weights = np.sort(rng.lognormal(0, 2, 3))
        of_baseline = rng.dirichlet(np.ones(3))
        below = np.cumsum(of_baseline)
        faster = below + rng.uniform(0, 1, 3) * (1 - below)
        faster = np.maximum.accumulate(faster)
        of_canary = np.diff(faster, prepend=0.0)
        of_canary[-1] += 1 - of_canary.sum()
        assert expected_factor(weights, of_canary, of_baseline) <= 1 + 1e-12


def test_one_window_of_a_slower_canary_can_have_expectation_above_one() -> None:
    """The same expectation exceeds 1 when the canary is slower, so the bound is not empty."""
    slow, fast = np.array([0.1, 0.3, 0.6]), np.array([0.5, 0.3, 0.2])
    assert expected_factor(slow / fast, slow, fast) > 1.2


def expected_factor(weights: np.ndarray, of_canary: np.ndarray, of_baseline: np.ndarray) -> float:
    """Expectation of one window's factor, by enumeration: n_C = 2, n_B = 3."""
    share = 2 / 5
    mixed = share * weights + 1 - share
    return float((of_canary @ (weights / mixed)) ** 2 * (of_baseline @ (1 / mixed)) ** 3)


def test_limits_are_rounded_to_the_safe_side() -> None:
    """A tolerance becomes at least as many bins, a harm at most."""
    for factor in (1.01, 1.05, 1.1, 1.25, 1.5, 2.0):
        assert bins.factor_of(bins.bins_at_most(factor)) <= factor * (1 + 1e-9)
        assert bins.factor_of(bins.bins_at_least(factor)) >= factor * (1 - 1e-9)


def test_quantiles_of_a_histogram_are_within_a_bin() -> None:
    """Quantiles read from the bins are within 2 % of those of the values."""
    values = np.random.default_rng(9).lognormal(4, 0.5, 5_000)
    for level in (0.1, 0.5, 0.99):
        assert bins.quantile(histogram(values), level) == pytest.approx(
            np.quantile(values, level), rel=0.02
        )
