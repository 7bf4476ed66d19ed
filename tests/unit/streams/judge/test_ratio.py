from __future__ import annotations

import math
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from scipy.special import logsumexp

from streams.judge import ratio

EMPTY = {"canary_bad": 0, "baseline_bad": 0, "canary_exposures": 0, "baseline_exposures": 0}


def exact_log_factor(
    *, numerator: Fraction, null: Fraction, windows: list[tuple[int, int, int, int]]
) -> float:
    """Slow second implementation: the product of θ(r)/θ(r0) over single outcomes, in fractions."""
    factor = Fraction(1)
    for canary_bad, baseline_bad, canary, baseline in windows:
        if not canary or not baseline:
            continue
        share = Fraction(canary, canary + baseline)
        on_canary = [r * share / (r * share + 1 - share) for r in (numerator, null)]
        factor *= (on_canary[0] / on_canary[1]) ** canary_bad
        factor *= ((1 - on_canary[0]) / (1 - on_canary[1])) ** baseline_bad
    return math.log(factor.numerator) - math.log(factor.denominator)


WINDOWS = [(3, 7, 100, 900), (0, 2, 55, 45), (0, 0, 10, 10), (4, 0, 1, 999), (2, 2, 0, 7)]


def counts_of(windows: list[tuple[int, int, int, int]]) -> dict[str, np.ndarray]:
    """The four arrays that ``add`` takes."""
    names = ("canary_bad", "baseline_bad", "canary_exposures", "baseline_exposures")
    return dict(zip(names, np.array(windows, dtype=float).T, strict=True))


def test_evidence_agrees_with_exact_fractions() -> None:
    """Worse-than and promotion evidence equal a slow exact product over single outcomes."""
    state = ratio.add(ratio.new(tolerance=0.125, harm=0.5), **counts_of(WINDOWS))
    grid = ratio.grid_of(0.125, 0.5)
    found = ratio.look(state, alpha=0.05)
    for logs, alternatives, weights, null in (
        (found.log_evidence, grid.worse, grid.worse_weights, 1.125),
        (found.log_promotion, grid.better, grid.better_weights, 1.5),
    ):
        slow = [
            exact_log_factor(numerator=Fraction(float(r)), null=Fraction(null), windows=WINDOWS)
            for r in grid.ratios[alternatives]
        ]
        assert logs == pytest.approx(math.log(weights @ np.exp(slow) / weights.sum()), rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_evidence_of_random_windows_agrees_with_exact_fractions(seed: int) -> None:
    """So it does for many windows of any shares, at any limits, also without failures or arms."""
    rng = np.random.default_rng(seed)
    tolerance, harm = float(rng.choice([0.0, 0.125, 0.5])), float(rng.choice([0.75, 2.0]))
    exposures = rng.integers(0, 10 ** rng.integers(1, 5, (12, 2)))
    bad = rng.poisson(rng.uniform(0, 5, (12, 2)))
    windows = [
        (int(s), int(t), int(c), int(b)) for (s, t), (c, b) in zip(bad, exposures, strict=True)
    ]
    found = ratio.look(
        ratio.add(ratio.new(tolerance=tolerance, harm=harm), **counts_of(windows)), alpha=0.05
    )
    grid = ratio.grid_of(tolerance, harm)
    for logs, alternatives, weights, null in (
        (found.log_evidence, grid.worse, grid.worse_weights, 1 + tolerance),
        (found.log_promotion, grid.better, grid.better_weights, 1 + harm),
    ):
        slow = [
            exact_log_factor(numerator=Fraction(float(r)), null=Fraction(null), windows=windows)
            for r in grid.ratios[alternatives]
        ]
        assert logs == pytest.approx(logsumexp(slow, b=weights / weights.sum()), rel=1e-9)


def test_an_empty_window_changes_nothing() -> None:
    """A window without exposures and outcomes leaves the state as it was."""
    state = ratio.add(ratio.new(tolerance=0.1, harm=0.5), **counts_of(WINDOWS))
    assert ratio.add(state, **EMPTY) == state


def test_no_exposures_in_one_arm_is_no_evidence() -> None:
    """Crashes of an arm without exposures are counted, as unmatched, and are no evidence."""
    state = ratio.add(
        ratio.new(tolerance=0.1, harm=0.5),
        canary_bad=1_000,
        baseline_bad=1,
        canary_exposures=0,
        baseline_exposures=500,
    )
    found = ratio.look(state, alpha=0.01)
    assert (state.canary_bad, state.unmatched_bad) == (1_000, 1_001)
    assert found == ratio.RatioLook(0.0, 0.0, None, None, None)


def test_more_bad_outcomes_than_exposures_are_a_poisson_count() -> None:
    """Three crashes per request are defined: finite evidence, and a ratio of rates."""
    state = ratio.add(
        ratio.new(tolerance=0.1, harm=0.5),
        canary_bad=300,
        baseline_bad=100,
        canary_exposures=100,
        baseline_exposures=100,
    )
    found = ratio.look(state, alpha=0.01)
    assert found.estimate == 3.0
    assert found.log_evidence > math.log(100)


def test_no_bad_outcome_in_the_canary_estimates_zero_and_promotes() -> None:
    """A canary without failures beside a failing baseline has estimate 0 and can be promoted."""
    state = ratio.add(
        ratio.new(tolerance=0.1, harm=0.5),
        canary_bad=0,
        baseline_bad=60,
        canary_exposures=500,
        baseline_exposures=500,
    )
    found = ratio.look(state, alpha=0.05)
    assert found.estimate == 0.0
    assert found.lower is None
    assert found.upper is not None
    assert found.upper < 0.5
    assert found.log_promotion > math.log(20)


def test_no_bad_outcome_in_the_baseline_has_no_estimate_but_may_roll_back() -> None:
    """A zero baseline gives no ratio and no upper end, yet crashes of the canary are evidence."""
    state = ratio.add(
        ratio.new(tolerance=0.1, harm=0.5),
        canary_bad=12,
        baseline_bad=0,
        canary_exposures=500,
        baseline_exposures=500,
    )
    found = ratio.look(state, alpha=0.05)
    assert found.estimate is None
    assert found.upper is None
    assert found.lower is not None
    assert found.log_evidence > math.log(100)


@pytest.mark.parametrize("count", [-1, math.nan, math.inf])
def test_impossible_counts_are_refused(count: float) -> None:
    """A negative or non-finite count is a mistake of the caller, and is said to be one."""
    with pytest.raises(ValueError, match="finite"):
        ratio.add(ratio.new(tolerance=0.1, harm=0.5), **{**EMPTY, "canary_bad": count})


@pytest.mark.parametrize(("tolerance", "harm"), [(0.5, 0.5), (0.6, 0.5), (-0.1, 0.5)])
def test_limits_out_of_order_are_refused(tolerance: float, harm: float) -> None:
    """Harm must be above tolerance, tolerance not below zero."""
    with pytest.raises(ValueError, match="tolerance"):
        ratio.new(tolerance=tolerance, harm=harm)


def test_states_of_other_limits_do_not_merge() -> None:
    """Log likelihoods at other ratios do not add up, so merging them is refused."""
    with pytest.raises(ValueError, match="add up"):
        ratio.merge(ratio.new(tolerance=0.1, harm=0.5), ratio.new(tolerance=0.2, harm=0.5))


def test_the_state_survives_serialisation_and_is_small() -> None:
    """The state read back from JSON is the state that was written, in less than 3 kB."""
    state = ratio.add(ratio.new(tolerance=0.1, harm=0.5), **counts_of(WINDOWS))
    written = msgspec.json.encode(state)
    assert msgspec.json.decode(written, type=ratio.RatioState) == state
    assert len(written) < 3_000


def test_many_rollouts_at_once_equal_one_by_one() -> None:
    """The vectorised kernel gives each rollout the look it has alone."""
    rng = np.random.default_rng(7)
    grid = ratio.grid_of(0.1, 0.5)
    counts = {
        "canary_bad": rng.poisson(3, (20, 4)),
        "baseline_bad": rng.poisson(9, (20, 4)),
        "canary_exposures": rng.poisson(50, (20, 4)),
        "baseline_exposures": rng.poisson(200, (20, 4)),
    }
    many = ratio.looks(ratio.log_likelihoods(grid.ratios, **counts), grid, alpha=0.05)
    for at in np.ndindex(20, 4):
        state = ratio.add(
            ratio.new(tolerance=0.1, harm=0.5), **{name: c[at] for name, c in counts.items()}
        )
        alone = ratio.look(state, alpha=0.05)
        assert many.log_evidence[at] == pytest.approx(alone.log_evidence)
        assert many.log_promotion[at] == pytest.approx(alone.log_promotion)
        for end, one in ((many.lower[at], alone.lower), (many.upper[at], alone.upper)):
            assert (one is None and np.isnan(end)) or end == pytest.approx(one)


def test_the_interval_is_never_inside_the_exact_one() -> None:
    """Ends found on the grid lie outside, and within 6 % of, the exact crossing of ℓ."""
    rng = np.random.default_rng(3)
    grid = ratio.grid_of(0.1, 0.5)
    points = grid.ratios[grid.interval]
    fine = np.geomspace(1 / 20, 20, 60_001)
    for _ in range(40):
        size = 10 ** rng.uniform(1, 4)
        counts = {
            "canary_bad": rng.poisson(size * rng.uniform(0.5, 3)),
            "baseline_bad": rng.poisson(size * 3),
            "canary_exposures": 1_000,
            "baseline_exposures": 3_000,
        }
        exact = ratio.log_likelihoods(fine, **counts)
        level = logsumexp(ratio.log_likelihoods(points, **counts)) + math.log(0.05 / len(points))
        inside = fine[exact > level]
        lower, upper = ratio.interval(
            np.log(points), ratio.log_likelihoods(points, **counts), alpha=0.05
        )
        if inside[0] > fine[0]:
            assert inside[0] / 1.06 < lower <= inside[0] * (1 + 1e-3)
        if inside[-1] < fine[-1]:
            assert inside[-1] * (1 - 1e-3) <= upper < inside[-1] * 1.06


def test_inverted_turns_the_interval_round() -> None:
    """Turned back from swapped arms, ends change places and evidence stays."""
    found = ratio.RatioLook(3.0, -1.0, estimate=2.0, lower=1.25, upper=None)
    assert ratio.inverted(found) == ratio.RatioLook(3.0, -1.0, 0.5, None, 0.8)
