"""Load of hosts over time: the middle host and the busy ones of each release."""

from __future__ import annotations

import pandas as pd

from dashboard.figures.base import (
    DASHES,
    SERIES,
    Figure,
    Span,
    escape,
    layout,
    local_times,
    numbers,
    time_axis,
    utc_times,
    value_axis,
)

TITLES = {
    "cpu_percent": ("CPU", " %"),
    "memory_percent": ("Memory", " %"),
    "load1": ("Load", ""),
    "disk_percent": ("Disk", " %"),
}
"""Name and unit of each value."""


def load(frame: pd.DataFrame, value: str, *, span: Span, zone: str = "UTC") -> Figure:
    """The median over a release's hosts as a line, the 90th percentile as a thin one.

    Args:
        frame: columns ``time`` (epoch ms), ``release``, ``hosts``, and ``<value>_mid`` and
            ``<value>_high``; ascending.
        value: one of ``TITLES``.
        span: moments that the time axis shows at least.
        zone: IANA name of the reader's time zone.
    """
    _, unit = TITLES[value]
    data = []
    for place, (release, rows) in enumerate(frame.groupby("release", sort=True)):
        for part, width, words in (("mid", 2.2, "middle host"), ("high", 1.0, "one in ten above")):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers" if len(rows) <= 3 else "lines",
                    "name": escape(release),
                    "legendgroup": escape(release),
                    "showlegend": part == "mid",
                    "x": local_times(rows["time"], zone),
                    "y": numbers(rows[f"{value}_{part}"], 2),
                    "customdata": [
                        f"{words} of {hosts}  ({when})"
                        for hosts, when in zip(rows["hosts"], utc_times(rows["time"]), strict=True)
                    ],
                    "line": {
                        "color": SERIES[place % len(SERIES)],
                        "width": width,
                        "dash": DASHES[place % len(DASHES)],
                    },
                    "hovertemplate": f"%{{y:.1f}}{unit}: %{{customdata}}",
                }
            )
    return {
        "data": data,
        "layout": layout(
            xaxis=time_axis(span, zone),
            yaxis=value_axis(rangemode="tozero", ticksuffix=unit),
        ),
    }
