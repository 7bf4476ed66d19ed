"""Bad outcomes per exposure over time, canary and baseline side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard.figures.base import (
    BASELINE,
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

ARMS = (("baseline", BASELINE, "dash"), ("canary", CANARY, "solid"))
"""Name, colour and dash of both arms, in drawing order: the canary lies on top."""


def rates(
    counts: pd.DataFrame,
    *,
    bad: str,
    of: str = "request",
    span: Span,
    marks: Sequence[Mark] = (),
    zone: str = "UTC",
) -> Figure:
    """Share of bad outcomes of both arms in every stretch of time.

    Args:
        counts: columns ``time`` (start, epoch ms), ``arm`` (``canary`` or ``baseline``), and one
            column per counter; ascending.
        bad: counter of bad outcomes.
        of: counter of exposures.
        span: moments that the time axis shows at least.
        marks: decisions, drawn as vertical lines.
        zone: IANA name of the reader's time zone.
    """
    return {
        "data": [_arm(counts, arm, color, dash, bad, of, zone) for arm, color, dash in ARMS],
        "layout": layout(
            xaxis=time_axis(span, zone),
            yaxis=value_axis(
                tickformat=",.3~%",
                autorange=True,
                autorangeoptions={"minallowed": 0.0, "include": [0.0, 0.001]},
            ),
            shapes=mark_lines(marks, zone),
        ),
    }


def _arm(
    counts: pd.DataFrame, arm: str, color: str, dash: str, bad: str, of: str, zone: str
) -> dict[str, Any]:
    rows = counts[counts["arm"] == arm]
    exposures = np.asarray(rows[of], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(exposures > 0, np.asarray(rows[bad], dtype=np.float64) / exposures, np.nan)
    texts = [
        f"{b:,.0f} of {n:,.0f}  ({when})"
        for b, n, when in zip(rows[bad], rows[of], utc_times(rows["time"]), strict=True)
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(rows) <= 40 else "lines",
        "name": arm,
        "x": local_times(rows["time"], zone),
        "y": numbers(share, 6),
        "customdata": texts,
        "line": {"color": color, "width": 2, "dash": dash},
        "marker": {"size": 4, "color": color},
        "hovertemplate": "%{y:.3~%}: %{customdata}",
    }
