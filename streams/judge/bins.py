"""Sparse histograms as arrays: adding, shifting by a factor, spreading out, quantiles."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from contracts import histogram
from contracts.results import SparseHistogram

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_LOG_WIDTH = math.log1p(histogram.RELATIVE_WIDTH)


def empty() -> SparseHistogram:
    """A histogram of nothing."""
    return SparseHistogram(bins=[], counts=[])


def total(counts: SparseHistogram) -> int:
    """How many values a histogram holds."""
    return sum(counts.counts)


def plus(one: SparseHistogram, other: SparseHistogram) -> SparseHistogram:
    """Both histograms added up, bins ascending.

    >>> plus(SparseHistogram([1, 4], [2, 1]), SparseHistogram([0, 4], [1, 1]))
    SparseHistogram(bins=[0, 1, 4], counts=[1, 2, 2])
    """
    if not other.bins:
        return one
    sums = dict(zip(one.bins, one.counts, strict=True))
    for index, count in zip(other.bins, other.counts, strict=True):
        sums[index] = sums.get(index, 0) + count
    ascending = sorted(sums)
    return SparseHistogram(bins=ascending, counts=[sums[index] for index in ascending])


def arrays(counts: SparseHistogram) -> tuple[Integers, Floats]:
    """Bins and counts, both of shape (n,)."""
    return np.asarray(counts.bins, np.int64), np.asarray(counts.counts, np.float64)


def bins_at_least(factor: float) -> int:
    """Least number of bins that is a multiplication by ``factor`` or more.

    >>> bins_at_least(1.0), bins_at_least(1.02), bins_at_least(1.1)
    (0, 1, 5)
    """
    return math.ceil(math.log(factor) / _LOG_WIDTH - 1e-9)


def bins_at_most(factor: float) -> int:
    """Largest number of bins that is a multiplication by ``factor`` or less.

    >>> bins_at_most(1.02), bins_at_most(1.1), bins_at_most(1.5)
    (1, 4, 20)
    """
    return math.floor(math.log(factor) / _LOG_WIDTH + 1e-9)


def factor_of(bins: int) -> float:
    """Factor by which ``bins`` bins multiply a value."""
    return math.exp(bins * _LOG_WIDTH)


def quantile(counts: SparseHistogram, level: float) -> float | None:
    """Value below which a share ``level`` of the counts lies, interpolated within its bin.

    ``None`` of an empty histogram; 0.0 where it falls on the values of 0 and below.

    >>> quantile(SparseHistogram([0, 232], [3, 1]), 0.9) > 100
    True
    """
    bins, numbers = arrays(counts)
    if numbers.sum() <= 0:
        return None
    below = np.cumsum(numbers)
    wanted = level * below[-1]
    at = min(int(np.searchsorted(below, wanted)), len(bins) - 1)
    if bins[at] <= histogram.LOWEST_BIN:
        return 0.0
    within = (wanted - (below[at] - numbers[at])) / numbers[at]
    return float(np.exp((bins[at] + within) * _LOG_WIDTH))
