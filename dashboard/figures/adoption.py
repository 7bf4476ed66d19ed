"""Who uses which release, over time."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.figures.base import (
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

MOST_BANDS = 8
"""Releases with a band of their own; those with less traffic are one band."""
OTHERS = "others"
_PATTERNS = ("", "/", ".", "\\")


def adoption(points: Sequence[tuple[int, str, int]], *, span: Span, zone: str = "UTC") -> Figure:
    """Share of all exposures of each release in each stretch of time, stacked to the whole.

    Args:
        points: start of the stretch in epoch milliseconds, release, exposures.
        span: moments that the time axis shows at least.
        zone: IANA name of the reader's time zone.
    """
    total: dict[str, int] = {}
    for _, release, exposures in points:
        total[release] = total.get(release, 0) + exposures
    shown = sorted(total, key=lambda release: -total[release])[:MOST_BANDS]
    bands = [r for r in total if r in shown] + ([OTHERS] if len(total) > len(shown) else [])
    times = sorted({time for time, _, _ in points})
    whole = dict.fromkeys(times, 0)
    parts: dict[str, dict[int, int]] = {band: dict.fromkeys(times, 0) for band in bands}
    for time, release, exposures in points:
        whole[time] += exposures
        parts[release if release in shown else OTHERS][time] += exposures
    return {
        "data": [
            {
                "type": "bar",
                "name": escape(band),
                "x": local_times(times, zone),
                "y": numbers([counts[t] / whole[t] if whole[t] else None for t in times]),
                "customdata": [
                    f"{counts[t]:,}  ({when})"
                    for t, when in zip(times, utc_times(times), strict=True)
                ],
                "marker": {
                    "color": SERIES[place % len(SERIES)],
                    "pattern": {
                        "shape": _PATTERNS[place // len(SERIES) % len(_PATTERNS)],
                        "fillmode": "overlay",
                    },
                },
                "hovertemplate": "%{y:.1%}: %{customdata}",
            }
            for place, (band, counts) in enumerate(parts.items())
        ],
        "layout": layout(
            barmode="stack",
            bargap=0,
            xaxis=time_axis(span, zone),
            yaxis=value_axis(tickformat=".0%", range=[0, 1]),
        ),
    }
