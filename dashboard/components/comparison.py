"""Two releases side by side: rates, quantiles, crash groups; in numbers and in words."""

from __future__ import annotations

from typing import Any

import pandas as pd
from dash import dcc, html

from contracts.results import RelativeRisk
from dashboard import words
from dashboard.comparing import QuantileChange, differs, quantile_change, rate_ratio
from dashboard.components.basics import badge
from dashboard.components.tables import table
from dashboard.queries.frames import records
from dashboard.queries.page_reader import ComparisonView
from dashboard.words import Label

QUANTILES = (0.5, 0.9, 0.99, 0.999)
RATES = (("Error rate", "request.bad"), ("Crash rate", "crash"))
_WORSE = Label("Higher", "alert", "bad")
_BETTER = Label("Lower", "down", "good")
_SAME = Label("No difference shown", "dots", "idle")


def totals(counts: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Counters of both sides over all the time, by side and counter."""
    names = [name for name in counts.columns if name not in {"time", "arm"}]
    return {
        side: {name: int(counts[counts["arm"] == side][name].sum()) for name in names}
        for side in ("canary", "baseline")
    }


def verdict_of(risk: RelativeRisk) -> Label:
    """What an interval says in one word."""
    if not differs(risk):
        return _SAME
    return _WORSE if (risk.lower or 0) > 1 else _BETTER


def difference_table(view: ComparisonView, here: str, there: str) -> Any:  # noqa: ANN401 - Dash components are untyped
    """Rates and quantiles of both sides, the factor between them, and what it means."""
    sums = totals(view.counts)
    mine, other = sums["canary"], sums["baseline"]
    requests = ["Requests", words.count(mine["request"]), words.count(other["request"]), "", ""]
    rows = [requests]
    for title, name in RATES:
        risk = rate_ratio(mine[name], mine["request"], other[name], other["request"])
        sides = [_share(one[name], one["request"]) for one in (mine, other)]
        rows.append([title, *sides, _factor(risk), badge(verdict_of(risk))])
    histograms = view.histograms
    for q in QUANTILES:
        change = quantile_change(histograms.get("canary", {}), histograms.get("baseline", {}), q)
        rows.append(_quantile(change))
    return table(["", here, there, f"{here} ÷ {there}", ""], rows)


def _share(bad: int, of: int) -> Any:  # noqa: ANN401 - Dash components are untyped
    told = words.percent(bad / of) if of else "–"
    return html.Span(
        [html.B(told), html.Span(f"{words.count(bad)} of {words.count(of)}", className="dim-line")]
    )


def _quantile(change: QuantileChange) -> list[Any]:
    return [
        f"Latency p{100 * change.q:g}",
        html.B(words.milliseconds(change.here)),
        html.B(words.milliseconds(change.there)),
        _factor(change.risk),
        badge(verdict_of(change.risk)) if change.risk.lower else "too few to tell",
    ]


def _factor(risk: RelativeRisk) -> Any:  # noqa: ANN401 - Dash components are untyped
    return html.Span(
        [
            html.B(words.times(risk.estimate)),
            html.Span(words.interval(risk) or "no interval yet", className="dim-line"),
        ]
    )


def group_table(view: ComparisonView, service: str, here: str, there: str) -> Any:  # noqa: ANN401 - Dash components are untyped
    """Crash groups whose rates differ, the surest first; then how many do not."""
    sums = totals(view.counts)
    found = []
    for row in records(view.groups):
        risk = rate_ratio(
            row["canary"], sums["canary"]["request"], row["baseline"], sums["baseline"]["request"]
        )
        if differs(risk):
            found.append((row, risk))
    same = len(view.groups) - len(found)
    others = f"{words.count(same)} further groups show no difference." if same else ""
    if not found:
        told = others or "Neither of them crashed in this time."
        return html.P(f"No crash group differs. {told}", className="quiet")
    found.sort(key=lambda pair: -max(pair[1].lower or 0, 1 / (pair[1].upper or 1e9)))
    rows = [
        [
            dcc.Link(str(row["title"]), href=words.crash_path(service, str(row["fingerprint"]))),
            words.count(row["canary"]),
            words.count(row["baseline"]),
            _factor(risk),
            badge(verdict_of(risk)),
            str(row["first_release"]),
        ]
        for row, risk in found
    ]
    head = ["Crash", here, there, f"{here} ÷ {there}", "", "First seen in"]
    return html.Div([table(head, rows), html.P(others, className="quiet")])
