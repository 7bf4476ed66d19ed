"""Logarithmic bins for durations, sizes and loads: relative width 2 %, so relative error 1 %.

Bin ``i`` covers ``[1.02**i, 1.02**(i+1))``; values of 0 or below fall into ``LOWEST_BIN``.
Histograms add up bin by bin, so they merge over batches, hosts and windows without loss.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

RELATIVE_WIDTH = 0.02
LOWEST_BIN = -700  # 1.02**-700 is about 1e-6: a nanosecond, counted in milliseconds
HIGHEST_BIN = 1400  # 1.02**1400 is about 1e12

_LOG_WIDTH = math.log1p(RELATIVE_WIDTH)


def bins_of(values: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
    """Bin index of each value.

    Args:
        values: shape (n,), any unit, finite or not; NaN must be filtered out by the caller.

    Returns:
        Shape (n,), int32, within ``[LOWEST_BIN, HIGHEST_BIN]``.

    >>> bins_of(np.array([1.0, 1.03, 100.0, 0.0])).tolist()
    [0, 1, 232, -700]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = np.floor(np.log(np.maximum(values, 0.0)) / _LOG_WIDTH)
    bins: npt.NDArray[np.int32] = np.clip(exact, LOWEST_BIN, HIGHEST_BIN).astype(np.int32)
    return bins


def lower_edges(bins: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Smallest value of each bin, same unit as the values that were binned; shape (n,)."""
    edges: npt.NDArray[np.float64] = np.exp(bins.astype(np.float64) * _LOG_WIDTH)
    return edges


def midpoints(bins: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    """Geometric middle of each bin; shape (n,)."""
    middle: npt.NDArray[np.float64] = np.exp((bins.astype(np.float64) + 0.5) * _LOG_WIDTH)
    return middle


def bins_in_factor(factor: float) -> int:
    """How many bins a multiplication by ``factor`` moves a value, rounded to the nearest bin."""
    return round(math.log(factor) / _LOG_WIDTH)
