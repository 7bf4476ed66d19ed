"""What all figures share: colours, layout, escaping, time zones.

A figure is a plain ``dict`` as plotly.js reads it: building one costs microseconds where
``plotly.graph_objects`` validates for milliseconds; the tests validate every figure instead.
Paper and plot are transparent, and text and grid take their colour from the page's style sheet,
so that dark and light need no second figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

Figure = dict[str, Any]

# Okabe-Ito hues, each with a contrast of 3.9 to 4.2 against the light and the dark surface
CANARY = "#d55e00"
BASELINE = "#1f86c4"
GOOD = "#0a9670"
NEUTRAL = "#8a8f98"
CANARY_BAND = "rgba(213, 94, 0, 0.20)"
MARK = "#b0559a"

SERIES = ("#d55e00", "#1f86c4", "#0a9670", "#b0559a")
DASHES = ("solid", "dash", "dot", "dashdot")
"""Colour and dash of several lines: never told apart by colour alone."""

_MOST_STACKED = 8
MAX_POINTS = 720
"""Most points of one line: more cannot be told apart on a screen."""


Span = tuple[int, int]
"""First and last moment that the plots of a page show, epoch milliseconds."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at one moment, drawn as a vertical line."""

    time: int
    label: str
    color: str = MARK


def escape(text: object) -> str:
    """Telemetry text made safe for plotly, whose labels are markup.

    >>> escape("<a href='x'>1.5.0</a>")
    "&lt;a href='x'&gt;1.5.0&lt;/a&gt;"
    """
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def local_times(times_ms: Iterable[int], zone: str) -> list[str]:
    """Moments as plotly dates in the reader's time zone.

    >>> local_times([1_795_428_000_000], "Europe/Berlin")
    ['2026-11-23 11:00:00.000']
    """
    return [_written(ms, zone, "%Y-%m-%d %H:%M:%S.%f")[:-3] for ms in times_ms]


def utc_times(times_ms: Iterable[int]) -> list[str]:
    """Moments as ``2026-11-23 22:00:05 UTC``, for the text that shows on hover."""
    return [_written(ms, "UTC", "%Y-%m-%d %H:%M:%S UTC") for ms in times_ms]


@lru_cache(maxsize=50_000)  # each plot has the same times, and has them again a second later
def _written(ms: int, zone: str, form: str) -> str:
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).strftime(form)


def numbers(values: Iterable[float | None], digits: int = 4) -> list[float | None]:
    """Rounded plain floats: arrays would travel as base64, which patches cannot extend."""
    return [None if v is None or v != v else round(float(v), digits) for v in values]  # noqa: PLR0124 - NaN is the only value unequal to itself


def layout(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - plotly's layout is untyped
    """The layout of every figure, with changes."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {
            "family": "Inter, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
            "size": 12,
            "color": "#868e96",
        },
        "margin": {"l": 52, "r": 10, "t": 26, "b": 26},
        "hovermode": "x unified",
        "hoverlabel": {"font": {"size": 12}, "namelength": -1},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.02,
            "yanchor": "bottom",
            "font": {"size": 12},
        },
        "uirevision": "kept",
        "dragmode": "zoom",
        "template": None,
        "shapes": [],
        "annotations": [],
    } | changes


def time_axis(span: Span, zone: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - plotly's layout is untyped
    """A time axis in the reader's zone that shows at least the span: plots of a page line up."""
    return {
        "type": "date",
        "autorange": True,
        "autorangeoptions": {"include": local_times(span, zone)},
        "showgrid": False,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "rgba(128,128,128,0.4)",
        "nticks": 7,
        "hoverformat": "%H:%M:%S",
        "tickformatstops": [
            {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
            {"dtickrange": [60_000, 86_400_000], "value": "%H:%M"},
            {"dtickrange": [86_400_000, None], "value": "%-d %b"},
        ],
    } | changes


def value_axis(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - plotly's layout is untyped
    """A value axis with a quiet grid."""
    return {
        "gridcolor": "rgba(128,128,128,0.18)",
        "zeroline": False,
        "automargin": False,
        "nticks": 6,
    } | changes


def line_at(value: float, *, dash: str, color: str, yref: str = "y") -> dict[str, Any]:
    """A horizontal line across the plot."""
    return {
        "type": "line",
        "xref": "x domain" if yref == "y" else "paper",
        "yref": yref,
        "x0": 0,
        "x1": 1,
        "y0": value,
        "y1": value,
        "line": {"dash": dash, "color": color, "width": 1.4},
    }


def line_label(
    value: float, text: str, *, color: str, above: bool = True, at: str = "right"
) -> dict[str, Any]:
    """The words on a horizontal line, at its right or its left end."""
    return {
        "xref": "x domain",
        "x": 0.995 if at == "right" else 0.005,
        "xanchor": at,
        "yref": "y",
        "y": value,
        "yanchor": "bottom" if above else "top",
        "text": text,
        "showarrow": False,
        "font": {"size": 11, "color": color},
    }


def mark_lines(marks: Sequence[Mark], zone: str) -> list[dict[str, Any]]:
    """Vertical lines where something happened."""
    return [
        {
            "type": "line",
            "xref": "x",
            "yref": "paper",
            "x0": at,
            "x1": at,
            "y0": 0,
            "y1": 1,
            "line": {"dash": "dot", "color": mark.color, "width": 1.4},
        }
        for mark, at in zip(marks, local_times([m.time for m in marks], zone), strict=True)
    ]


def mark_labels(marks: Sequence[Mark], zone: str) -> list[dict[str, Any]]:
    """The words of the vertical lines, stacked so that near ones do not cover each other."""
    return [
        {
            "xref": "x",
            "x": at,
            "xanchor": "right",
            "yref": "paper",
            "y": 0.98 - 0.11 * (number % _MOST_STACKED),
            "yanchor": "top",
            "text": escape(mark.label) + " ",
            "showarrow": False,
            "font": {"size": 11, "color": mark.color},
        }
        for number, (mark, at) in enumerate(
            zip(marks, local_times([m.time for m in marks], zone), strict=True)
        )
    ]


def renamed(figure: Figure, names: Mapping[str, str]) -> Figure:
    """The same figure with other names in its legend.

    Args:
        figure: has a trace for each arm.
        names: what stands for ``canary`` and ``baseline``; text of telemetry.
    """
    data = [
        {**trace, "name": escape(names.get(str(trace.get("name")), trace.get("name")))}
        for trace in figure["data"]
    ]
    return {**figure, "data": data}
