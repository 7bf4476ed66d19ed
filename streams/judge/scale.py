"""Interval of the factor between two distributions, valid at all times.

Idea. For every factor s of a grid, test "the canary is no slower than s times the baseline" and
"no faster than s times the baseline" with the test of ``streams.judge.distribution``. The factor
lies above every s that the first test rejects and below every s that the second rejects.

Formula. lower = max{s : E_above(s) ≥ 2/α}, upper = min{s : E_below(s) ≥ 2/α}. The hypotheses are
nested, so if one is true for s it is true for the s beyond it, and a single bound on the error
covers all of them.

Assumptions. Those of the distribution test, and that the canary is the baseline times a factor.
Where the body is faster and the tail slower no factor describes the change, and both tests may
reject everything: the interval is then unknown.

Guarantee. P(the interval ever misses the factor) ≤ α.

Not good at. Precision: the grid has steps of 2 % near 1 and of 30 % near 20.

Units. Factors have no unit; shifts are bins of 2 %.

>>> above = np.full((2, len(SHIFTS)), -1.0); above[:, : len(SHIFTS) // 2] = 9.0
>>> interval(above.tolist(), start(), alpha=0.05)
(0.9803921568627451, None)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streams.judge import bins

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 36, 45, 55, 70, 90, 115, 150)
SHIFTS: Integers = np.array([*(-step for step in reversed(_STEPS)), 0, *_STEPS])
ROWS = (0, 1)
"""The guesses of the rollback test that serve here too: everything ×1.06, everything ×1.2."""


def start() -> list[list[float]]:
    """Log e-values before the first window, shape (len(ROWS), len(SHIFTS))."""
    return [[0.0] * len(SHIFTS) for _ in ROWS]


def log_factors(
    log_weights: Floats,
    lowest: int,
    *,
    canary: tuple[Integers, Floats],
    baseline: tuple[Integers, Floats],
) -> tuple[Floats, Floats]:
    """Log factors of one window for both tests and every factor of the grid.

    Args:
        log_weights: nondecreasing over consecutive bins, shape (k, b).
        lowest: bin of their first column.
        canary: bins and counts, each of shape (n,), n ≥ 1.
        baseline: likewise.

    Returns:
        Above and below, each of shape (k, len(SHIFTS)).
    """
    c_bins, c_counts = canary
    b_bins, b_counts = baseline
    share = c_counts.sum() / (c_counts.sum() + b_counts.sum())
    highest = log_weights.shape[1] - 1
    at_canary = np.clip(c_bins[None, :] - SHIFTS[:, None] - lowest, 0, highest)
    at_baseline = np.clip(b_bins - lowest, 0, highest)
    ratio = np.expm1(log_weights)

    slow_canary = np.log1p(share * ratio)
    slow_baseline = np.log1p((1 - share) * ratio)
    above = (log_weights - slow_canary)[:, at_canary] @ c_counts
    above -= (slow_canary[:, at_baseline] @ b_counts)[:, None]
    below = -(slow_baseline[:, at_canary] @ c_counts)
    below += ((log_weights - slow_baseline)[:, at_baseline] @ b_counts)[:, None]
    return above, below


def interval(
    log_above: list[list[float]], log_below: list[list[float]], *, alpha: float
) -> tuple[float | None, float | None]:
    """Lower and upper end of the factor canary/baseline; ``None`` where unbounded or unknown.

    Args:
        log_above: summed log factors, shape (k, len(SHIFTS)).
        log_below: likewise, of the other test.
        alpha: error of both sides together.
    """
    needed = np.log(2.0 / alpha)
    too_low = np.flatnonzero(_log_mean(log_above) >= needed)
    too_high = np.flatnonzero(_log_mean(log_below) >= needed)
    lower = bins.factor_of(int(SHIFTS[too_low[-1]])) if len(too_low) else None
    upper = bins.factor_of(int(SHIFTS[too_high[0]])) if len(too_high) else None
    if lower is not None and upper is not None and lower >= upper:
        return None, None
    return lower, upper


def least_above(log_above: list[list[float]], tolerance: float, raised: float) -> float:
    """Least log evidence that the canary is slower than any factor from one tolerance to another.

    Args:
        log_above: summed log factors, shape (k, len(SHIFTS)).
        tolerance: of the policy, relative.
        raised: above it; rounded up to a factor of the grid. Beyond the grid no evidence is left.
    """
    first = int(np.searchsorted(SHIFTS, bins.bins_at_least(1 + tolerance)))
    last = int(np.searchsorted(SHIFTS, bins.bins_at_least(1 + raised)))
    least = float(_log_mean(log_above)[first : last + 1].min(initial=np.inf))
    return least if last < len(SHIFTS) else min(least, 0.0)


def _log_mean(logs: list[list[float]]) -> Floats:
    values = np.asarray(logs)
    highest = values.max(axis=0)
    result: Floats = highest + np.log(np.exp(values - highest).mean(axis=0))
    return result
