"""How far the judge is behind, over time."""

from __future__ import annotations

import pandas as pd

from dashboard.figures.base import (
    BASELINE,
    NEUTRAL,
    Figure,
    Span,
    layout,
    local_times,
    numbers,
    time_axis,
    utc_times,
    value_axis,
)


def delays(frame: pd.DataFrame, *, span: Span, zone: str = "UTC") -> Figure:
    """Seconds from the end of a judged second to the look at it.

    Args:
        frame: columns ``time`` (epoch ms), ``delay_s``, ``last_s``; ascending.
        span: moments that the time axis shows at least.
        zone: IANA name of the reader's time zone.
    """
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers" if len(frame) <= 40 else "lines",
                "name": name,
                "x": local_times(frame["time"], zone),
                "y": numbers(frame[column], 3),
                "customdata": utc_times(frame["time"]),
                "line": {"color": color, "width": width, "dash": dash},
                "marker": {"size": 4},
                "hovertemplate": "%{y:.2f} s  (%{customdata})",
            }
            for name, column, color, width, dash in (
                ("mean of the looks", "delay_s", BASELINE, 2.2, "solid"),
                ("newest look", "last_s", NEUTRAL, 1.2, "dot"),
            )
        ],
        "layout": layout(
            xaxis=time_axis(span, zone),
            yaxis=value_axis(
                ticksuffix=" s",
                autorange=True,
                autorangeoptions={"minallowed": 0.0, "include": [0.0, 2.0]},
            ),
        ),
    }
