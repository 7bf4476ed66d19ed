"""Log lines over time."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures.base import (
    CANARY,
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


def lines_over_time(
    steps: Sequence[tuple[int, float, float]], *, span: Span, zone: str = "UTC"
) -> Figure:
    """Bars of errors and of other lines for each stretch of time.

    Args:
        steps: start of each stretch in epoch milliseconds, its errors, its other lines.
        span: moments that the time axis shows at least.
        zone: IANA name of the reader's time zone.
    """
    starts = [step[0] for step in steps]
    return {
        "data": [
            {
                "type": "bar",
                "name": name,
                "x": local_times(starts, zone),
                "y": numbers([step[place] for step in steps], 0),
                "customdata": utc_times(starts),
                "marker": {"color": color, "pattern": {"shape": pattern, "fillmode": "overlay"}},
                "hovertemplate": "%{y:,}  (%{customdata})",
            }
            for name, place, color, pattern in (
                ("errors", 1, CANARY, "/"),
                ("other lines", 2, NEUTRAL, ""),
            )
        ],
        "layout": layout(
            barmode="stack",
            bargap=0.05,
            xaxis=time_axis(span, zone),
            yaxis=value_axis(rangemode="tozero", nticks=4),
        ),
    }
