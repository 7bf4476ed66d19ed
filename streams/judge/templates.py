"""Weights of the distribution test: which bins speak for "slower", and how loudly.

Idea. The test of ``streams.judge.distribution`` multiplies per value a weight g of its bin, any
nondecreasing g is valid, and the best one is the ratio of the densities under "slower" and under
"no slower". Guess several ways of being slower (everything ×1.06, ×1.2, a few requests ×3 or
×10), make each guess's density ratio from the past, and add one that learns the ratio itself from
the past of both arms. Where a guess says how to get from one arm's values to the other's, the past
of both arms tells the density: twice the values, so half the noise, when the arms are equal.

Formula. ``g_k = isotonic(f_k / f; weights f)`` on 2 % bins, f the reference arm's smoothed
density, f_k the k-th guess. For "everything slower" f also takes the suspect arm's values, moved
back. Pooling adjacent violators makes g nondecreasing; where the ratio already rises it stays.

Assumptions. None for validity, if only windows before the one that is judged went in.

Not good at. Very little past: below some hundred values the smoothing blurs the tail.

Units. Shifts are bins of 2 %.

Reference: Barlow et al. 1972, Statistical Inference under Order Restrictions (isotonic ratio).

>>> rng = np.random.default_rng(1)
>>> past = np.bincount(rng.normal(60, 10, 2_000).astype(int), minlength=240).astype(float)
>>> weights = log_weights(past, past, shifts=(10,), contaminations=())
>>> weights.shape, bool(np.all(np.diff(weights) >= 0)), bool(weights[0, 80] > 1 > weights[0, 60])
((2, 240), True, True)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import isotonic_regression

Floats = npt.NDArray[np.float64]

SHRINKAGE = 20.0
"""Values of the reference arm that are mixed into the learned ratio."""
LOG_BOUND = 7.0
"""No single bin weighs more than exp(7) or less than exp(-7)."""
MAX_SHIFT = 120  # ×10.8: the room that the guesses need above the largest value seen


def log_weights(
    reference: Floats,
    suspect: Floats,
    *,
    shifts: Sequence[int],
    contaminations: Sequence[tuple[float, int]],
) -> Floats:
    """Logarithms of nondecreasing weights, one row per guess, the learned one last.

    Args:
        reference: past counts of the arm that should not be faster, shape (b,), consecutive bins,
            with ``MAX_SHIFT`` empty ones at the end for the guesses.
        suspect: past counts of the arm that may be slower, shape (b,).
        shifts: guesses "everything slower", in bins, each at most ``MAX_SHIFT``.
        contaminations: guesses "this share slower by this many bins".

    Returns:
        Shape (len(shifts) + len(contaminations) + 1, b).
    """
    density = smoothed(reference)
    unmoved = [smoothed(reference + _moved_back(suspect, by)) for by in shifts]
    guesses = [(_shifted(fast, by), fast) for fast, by in zip(unmoved, shifts, strict=True)]
    guesses += [
        ((1 - share) * density + share * _shifted(density, by), density)
        for share, by in contaminations
    ]
    seen = suspect.sum()
    learned = (seen * smoothed(suspect) + SHRINKAGE * density) / (seen + SHRINKAGE)
    guesses.append((learned, density))
    ratios = [isotonic_regression(slow / fast, weights=fast).x for slow, fast in guesses]
    result: Floats = np.clip(np.log(np.maximum(ratios, np.exp(-LOG_BOUND))), -LOG_BOUND, LOG_BOUND)
    return result


def smoothed(counts: Floats) -> Floats:
    """Density over the bins: a Gaussian kernel, plus one value spread over all bins.

    The spread value keeps every bin's density above 0, so that a slow value that the reference
    never showed weighs much, not infinitely.
    """
    seen = counts.sum()
    spread = np.full(len(counts), 1.0 / len(counts))
    if seen <= 0:
        return spread
    kernel = gaussian_filter1d(counts, max(_bandwidth(counts), 0.3), mode="nearest", truncate=3.0)
    result: Floats = (kernel + spread) / (kernel.sum() + 1.0)
    return result


def _bandwidth(counts: Floats) -> float:
    """Silverman's rule with the interquartile range, in bins."""
    below = np.cumsum(counts)
    low, high = np.searchsorted(below, (0.25 * below[-1], 0.75 * below[-1]))
    return float(0.9 * max(high - low, 1) / 1.34 * below[-1] ** -0.2)


def _shifted(density: Floats, shift: int) -> Floats:
    """The density of values slower by ``shift`` bins; what leaves stays in the last bin."""
    if shift <= 0:
        return density
    moved = np.concatenate([np.full(shift, density[0] * 1e-3), density[:-shift]])
    moved[-1] += density[-shift:].sum()
    result: Floats = moved / moved.sum()
    return result


def _moved_back(counts: Floats, shift: int) -> Floats:
    """Counts of values that were slower by ``shift`` bins; what leaves stays in the first bin."""
    moved = np.concatenate([counts[shift:], np.zeros(shift)])
    moved[0] += counts[:shift].sum()
    return moved
