"""Relative risk over time: the estimate and the interval that is valid at all times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dashboard.figures.base import (
    CANARY,
    CANARY_BAND,
    NEUTRAL,
    Figure,
    Mark,
    Span,
    layout,
    line_at,
    line_label,
    local_times,
    mark_lines,
    numbers,
    time_axis,
    utc_times,
    value_axis,
)

_TICKS = (0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 300, 1000)
_CLIP = (0.4, 1000.0)
"""Beyond these factors the axis does not follow: the wide band of the first seconds would
flatten everything that matters."""


def relative_risk(
    metric: pd.DataFrame,
    *,
    tolerance: float | None = None,
    span: Span,
    marks: Sequence[Mark] = (),
    zone: str = "UTC",
) -> Figure:
    """How many times worse the canary is, at every look, on a log scale.

    Args:
        metric: one metric's rows: ``time`` (epoch ms), ``estimate``, ``lower``, ``upper``
            (ratios, NaN where the data say nothing yet), ascending.
        tolerance: accepted relative harm, 0.1 is ten per cent more; None draws no line.
        span: moments that the time axis shows at least.
        marks: decisions, drawn as vertical lines.
        zone: IANA name of the reader's time zone.
    """
    rows = metric[["time", "estimate", "lower", "upper"]]
    band = rows[(rows["lower"] + rows["upper"]).notna()]
    known = rows[rows["estimate"].notna()]
    shapes = [line_at(0.0, dash="solid", color=NEUTRAL)]
    words = [line_label(0.0, "same as baseline", color=NEUTRAL, above=False)]
    if tolerance is not None:
        at = float(np.log10(1 + tolerance))
        shapes.append(line_at(at, dash="dot", color=CANARY))
        words.append(line_label(at, f"tolerated: {tolerance:+.0%}", color=CANARY))
    return {
        "data": [
            _edge(band, "lower", zone, fill=None),
            _edge(band, "upper", zone, fill="tonexty"),
            {
                "type": "scatter",
                "mode": "lines",
                "name": "canary ÷ baseline",
                "x": local_times(known["time"], zone),
                "y": numbers(_log10(known["estimate"])),
                "customdata": _spoken(known),
                "line": {"color": CANARY, "width": 2.2},
                "hovertemplate": "%{customdata}",
            },
        ],
        "layout": layout(
            xaxis=time_axis(span, zone),
            yaxis=value_axis(
                **_ticks(_ceiling(band, known)),
                autorange=True,
                autorangeoptions={
                    "include": [-0.2, 0.25],
                    "clipmin": float(np.log10(_CLIP[0])),
                    "clipmax": _ceiling(band, known),
                },
            ),
            shapes=[*shapes, *mark_lines(marks, zone)],
            annotations=words,
        ),
    }


def _edge(band: pd.DataFrame, column: str, zone: str, fill: str | None) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines",
        "name": "interval valid at all times" if fill else "lower end",
        "showlegend": fill is not None,
        "x": local_times(band["time"], zone),
        "y": numbers(_log10(band[column])),
        "line": {"width": 0, "color": CANARY},
        "hoverinfo": "skip",
    }
    if fill:
        trace |= {"fill": fill, "fillcolor": CANARY_BAND}
    return trace


def _log10(values: pd.Series) -> list[float]:
    ratios = np.clip(np.asarray(values, dtype=np.float64), 1e-3, 1e4)
    return [float(v) for v in np.log10(ratios)]


def _ceiling(band: pd.DataFrame, known: pd.DataFrame) -> float:
    """Upper limit of the axis: room for the latest interval, not for the first wide ones."""
    latest = float(band["upper"].iloc[-1]) if len(band) else _CLIP[0]
    largest = float(known["estimate"].tail(max(1, len(known) // 2)).max()) if len(known) else 1.0
    return float(np.log10(min(_CLIP[1], max(2.0, 1.25 * latest, 1.25 * largest))))


def _ticks(ceiling: float) -> dict[str, Any]:
    """Factors as ticks; fewer of the small ones where the axis is long."""
    shown = [t for t in _TICKS if ceiling < 1 or t in {0.5, 1, 2, 5, 10, 20, 50, 100, 300, 1000}]
    return {"tickvals": numbers(np.log10(shown)), "ticktext": [f"×{t:g}" for t in shown]}


def _spoken(known: pd.DataFrame) -> list[str]:
    """Estimate and interval in words, one per row, with the moment in UTC."""
    rows = zip(
        known["estimate"], known["lower"], known["upper"], utc_times(known["time"]), strict=True
    )
    return [
        f"×{estimate:.3g}"
        + ("" if np.isnan(lower) else f" (×{lower:.3g} to ×{upper:.3g})")
        + f"  {when}"
        for estimate, lower, upper, when in rows
    ]
