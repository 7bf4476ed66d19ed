"""The tail of the latency: share of requests slower than x, both axes logarithmic.

A plain distribution curve crushes p90 to p99.9 into one line, and averages hide the tail where
regressions live.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from contracts.histogram import lower_edges
from dashboard.figures.base import Figure, layout, numbers, value_axis
from dashboard.figures.rates import ARMS

Histogram = Mapping[int, int]
"""Count of each bin of ``contracts.histogram``."""

QUANTILES = (0.5, 0.9, 0.99)
_SHARES = (0.5, 0.1, 0.01, 0.001, 0.0001)
_SHARE_WORDS = ("p50", "p90", "p99", "p99.9", "p99.99")
_TICKS_MS = tuple(m * 10**e for e in range(-2, 6) for m in (1, 2, 5))


def tail(histograms: Mapping[str, Histogram]) -> Figure:
    """Share of values at or above x, for both arms.

    Args:
        histograms: by arm (``canary``, ``baseline``); a missing arm draws an empty line.
    """
    return {
        "data": [_arm(arm, color, dash, histograms.get(arm, {})) for arm, color, dash in ARMS],
        "layout": layout(
            hovermode="closest",
            xaxis=value_axis(
                type="log",
                showgrid=True,
                tickvals=list(_TICKS_MS),
                ticktext=[_unit(t) for t in _TICKS_MS],
            ),
            yaxis=value_axis(
                type="log", tickvals=list(_SHARES), ticktext=list(_SHARE_WORDS), range=[-4.1, 0.1]
            ),
        ),
    }


def survival(histogram: Histogram) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lower edges of the bins in use, and the share of values at or above each; shapes (n,).

    >>> edges, share = survival({0: 3, 35: 1})
    >>> share.tolist()
    [1.0, 0.25]
    """
    bins = np.array(sorted(histogram), dtype=np.int64)
    counts = np.array([histogram[int(b)] for b in bins], dtype=np.float64)
    if not counts.sum():
        return np.empty(0), np.empty(0)
    at_least = counts[::-1].cumsum()[::-1]
    return lower_edges(bins), at_least / counts.sum()


def quantile(histogram: Histogram, q: float) -> float | None:
    """Value below which a share ``q`` lies, within the 2 % width of a bin; None without data."""
    bins = sorted(histogram)
    total = sum(histogram.values())
    seen = 0
    for b in bins:
        seen += histogram[b]
        if total and seen >= q * total:
            return float(lower_edges(np.array([b]) + 1)[0]) / 1.01
    return None


def _arm(arm: str, color: str, dash: str, histogram: Histogram) -> dict[str, Any]:
    edges, share = survival(histogram)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": arm,
        "x": numbers(edges),
        "y": numbers(share, 7),
        "line": {"color": color, "width": 2.2, "dash": dash, "shape": "hv"},
        "hovertemplate": "%{y:.3~%} take %{x:.3~s} ms or more",
    }


def _unit(ms: float) -> str:
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms:g} ms"
