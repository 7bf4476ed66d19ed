"""Evidence over time, on a log scale, with the two lines at which something happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from dashboard.figures.base import (
    CANARY,
    GOOD,
    Figure,
    Mark,
    Span,
    layout,
    line_at,
    line_label,
    local_times,
    mark_labels,
    mark_lines,
    numbers,
    time_axis,
    utc_times,
    value_axis,
)


def evidence(
    looks: pd.DataFrame,
    *,
    rollback_at: float,
    promote_at: float,
    span: Span,
    marks: Sequence[Mark] = (),
    zone: str = "UTC",
) -> Figure:
    """Evidence of harm and of health at every look.

    Args:
        looks: columns ``time`` (epoch ms), ``evidence_log10``, ``promotion_log10``, ascending.
        rollback_at: log10(1/α), the evidence of harm that fires a rollback.
        promote_at: log10(1/β), the evidence of health that promotes.
        span: moments that the time axis shows at least.
        marks: decisions, drawn as vertical lines.
        zone: IANA name of the reader's time zone.
    """
    harm = line_at(rollback_at, dash="dash", color=CANARY)
    health = line_at(promote_at, dash="dot", color=GOOD)
    # the upper one of two near lines carries its words above, the lower one below
    above = rollback_at >= promote_at
    # at the left, where nothing has happened yet: the words of decisions stand at the right
    place: dict[str, Any] = {"at": "left"}
    rolls_back, is_healthy = _odds(rollback_at), _odds(promote_at)
    words = [
        line_label(rollback_at, f"rolls back at {rolls_back}", color=CANARY, above=above, **place),
        line_label(
            promote_at, f"counts as healthy at {is_healthy}", color=GOOD, above=not above, **place
        ),
    ]
    return {
        "data": [
            _line(looks, "evidence_log10", "evidence of harm", CANARY, "solid", zone),
            _line(looks, "promotion_log10", "evidence of health", GOOD, "dash", zone),
        ],
        "layout": layout(
            xaxis=time_axis(span, zone),
            yaxis=value_axis(
                tickprefix="10<sup>",
                ticksuffix="</sup>",
                autorange=True,
                autorangeoptions={
                    "include": [-0.5, max(rollback_at, promote_at) + 0.6],
                    "clipmin": -3.0,
                    "clipmax": _ceiling(rollback_at),
                },
            ),
            shapes=[harm, health, *mark_lines(marks, zone)],
            annotations=[*words, *mark_labels(marks, zone), *_beyond(looks, rollback_at)],
        ),
    }


def _line(
    looks: pd.DataFrame, column: str, name: str, color: str, dash: str, zone: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": local_times(looks["time"], zone),
        "y": numbers(looks[column]),
        "customdata": utc_times(looks["time"]),
        "line": {"color": color, "width": 2.2, "dash": dash, "shape": "hv"},
        "hovertemplate": "10<sup>%{y:.2f}</sup>  (%{customdata})",
    }


def _ceiling(rollback_at: float) -> float:
    """Top of the axis: far above it the evidence is overwhelming and only flattens the rest."""
    return max(8.0, 4 * rollback_at)


def _beyond(looks: pd.DataFrame, rollback_at: float) -> list[dict[str, Any]]:
    """The latest evidence in words, where it has left the plot."""
    latest = float(looks["evidence_log10"].iloc[-1]) if len(looks) else 0.0
    if latest <= _ceiling(rollback_at):
        return []
    return [
        {
            "xref": "paper",
            "x": 0.995,
            "xanchor": "right",
            "yref": "paper",
            "y": 1.0,
            "yanchor": "bottom",
            "text": f"▲ now 10<sup>{latest:.0f}</sup>",
            "showarrow": False,
            "font": {"size": 12, "color": CANARY},
        }
    ]


def _odds(log10: float) -> str:
    """The evidence as odds in words: 2.0 is ``100 : 1``."""
    return f"{10**log10:,.0f} : 1".replace(",", "\u202f")
