"""Load of both arms, and the canary's share of it, over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard.figures.base import (
    CANARY,
    Figure,
    Mark,
    Span,
    layout,
    local_times,
    mark_lines,
    numbers,
    time_axis,
    utc_times,
    value_axis,
)
from dashboard.figures.rates import ARMS


def traffic(
    counts: pd.DataFrame,
    *,
    bucket_s: int,
    of: str = "request",
    span: Span,
    marks: Sequence[Mark] = (),
    zone: str = "UTC",
) -> Figure:
    """Exposures per second of both arms above, the canary's share below, one time axis.

    Args:
        counts: columns ``time`` (start, epoch ms), ``arm``, and one per counter; ascending.
        bucket_s: length of each stretch of time, in seconds.
        of: counter of exposures.
        span: moments that the time axis shows at least.
        marks: decisions, drawn as vertical lines.
        zone: IANA name of the reader's time zone.
    """
    return {
        "data": [
            *(_load(counts, arm, color, dash, of, bucket_s, zone) for arm, color, dash in ARMS),
            _share(counts, of, zone),
        ],
        "layout": layout(
            xaxis=time_axis(span, zone, anchor="y2"),
            yaxis=value_axis(domain=[0.46, 1], rangemode="tozero", nticks=4, ticksuffix=" /s"),
            yaxis2=value_axis(
                domain=[0, 0.32],
                nticks=3,
                tickformat=".0%",
                autorange=True,
                autorangeoptions={"minallowed": 0.0, "maxallowed": 1.0, "include": [0.0, 0.1]},
            ),
            shapes=mark_lines(marks, zone),
        ),
    }


def _load(
    counts: pd.DataFrame, arm: str, color: str, dash: str, of: str, bucket_s: int, zone: str
) -> dict[str, Any]:
    rows = counts[counts["arm"] == arm]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": arm,
        "x": local_times(rows["time"], zone),
        "y": numbers(rows[of] / bucket_s, 3),
        "customdata": utc_times(rows["time"]),
        "line": {"color": color, "width": 2, "dash": dash},
        "hovertemplate": "%{y:.3~s}/s  (%{customdata})",
    }


def _share(counts: pd.DataFrame, of: str, zone: str) -> dict[str, Any]:
    starts, place = np.unique(np.asarray(counts["time"], np.int64), return_inverse=True)
    load = np.asarray(counts[of], dtype=np.float64)
    total = np.bincount(place, load, minlength=len(starts)).astype(np.float64)
    is_canary = np.asarray(counts["arm"] == "canary", dtype=np.float64)
    canary = np.bincount(place, load * is_canary, minlength=len(starts))
    share = np.divide(canary, total, out=np.full_like(total, np.nan), where=total > 0)
    times_ms = starts.tolist()
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "canary's share",
        "x": local_times(times_ms, zone),
        "y": numbers(share),
        "customdata": utc_times(times_ms),
        "yaxis": "y2",
        "line": {"color": CANARY, "width": 1.6, "dash": "dot", "shape": "hv"},
        "fill": "tozeroy",
        "fillcolor": "rgba(213, 94, 0, 0.14)",
        "hovertemplate": "%{y:.1%}  (%{customdata})",
    }
