"""A metric of groups on the rollout page: which crash groups or log templates speak for harm."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from contracts.results import Contributor, MetricVerdict
from dashboard import words
from dashboard.components.basics import badge
from dashboard.components.tables import table
from dashboard.words import Label

_NEW = Label("New", "flag", "bad")
_CRASH = "crash/"


def guilty_table(metric: MetricVerdict, service: str) -> Any:  # noqa: ANN401 - Dash is untyped
    """The groups with evidence against the canary, the strongest first."""
    if not metric.contributors:
        return html.P("None speaks against the canary.", className="quiet")
    head = ["Group", "", "Canary", "Baseline", "Evidence"]
    return table(head, [_row(group, service) for group in metric.contributors])


def sentence(metric: MetricVerdict) -> str:
    """How many were known, and how many speak against the canary."""
    known = f"{words.count(metric.known_groups)} known before the rollout"
    return f"each judged by itself · {known} · {len(metric.contributors)} shown"


def _row(group: Contributor, service: str) -> list[Any]:
    name: Any = group.name
    if group.group.startswith(_CRASH):
        href = words.crash_path(service, group.group.removeprefix(_CRASH))
        name = dcc.Link(group.name, href=href)
    return [
        name,
        badge(_NEW) if group.is_new else "",
        f"{words.percent(group.canary)} of exposures",
        f"{words.percent(group.baseline)} of exposures",
        f"10^{group.evidence_log10:.1f}",
    ]
