"""The body of a rollout's page: named slots and named figures, drawn from one view.

The live callback draws the same slots and figures again and sends what has changed; so the page
has one description, whether it is opened or kept current.
"""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
import pandas as pd
from dash import dcc, html

from contracts.results import DecisionAction, MetricKind, MetricVerdict, Outcome
from dashboard import words
from dashboard.components import group_metrics, tables
from dashboard.components.basics import badge, card, plot, slot
from dashboard.components.explanation import explanation
from dashboard.components.phases import phase_strip
from dashboard.components.verdict import hero, steps
from dashboard.figures.base import CANARY, GOOD, NEUTRAL, Figure, Mark
from dashboard.figures.evidence import evidence
from dashboard.figures.latency import tail
from dashboard.figures.rates import rates
from dashboard.figures.risk import relative_risk
from dashboard.figures.traffic import traffic
from dashboard.live import Drawing
from dashboard.queries.frames import records
from dashboard.queries.reader import LEAD_MS, RolloutView

BAD_COUNTERS = {"error_rate": "request.bad", "crash_rate": "crash"}
"""Counter of bad outcomes of the metrics whose rate is drawn from windows."""

_MARKS = {
    DecisionAction.ROLLBACK.value: ("roll back", CANARY),
    DecisionAction.PROMOTE.value: ("promote", GOOD),
    DecisionAction.HOLD.value: ("hold", NEUTRAL),
    DecisionAction.ROLLBACK_VERIFIED.value: ("traffic gone", GOOD),
    DecisionAction.ABORTED.value: ("aborted", NEUTRAL),
    DecisionAction.ESCALATE.value: ("escalated", CANARY),
    DecisionAction.RETURNED.value: ("traffic is back", CANARY),
}


def draw(view: RolloutView, zone: str) -> Drawing:
    """Everything that changes, from one view.

    Args:
        view: frames of one rollout.
        zone: IANA name of the reader's time zone, for the time axes.
    """
    v = view.verdict
    names = [m.name for m in v.metrics]
    slots: dict[str, Any] = {
        "hero": hero(v),
        "phases": phase_strip(v),
        "steps": steps(view),
        "decisions": tables.decision_table(view.decisions),
        "deliveries": tables.delivery_table(view.deliveries),
    }
    slots |= {f"metric {m.name}": _metric_head(m) for m in v.metrics}
    slots |= {
        f"groups {m.name}": group_metrics.guilty_table(m, v.service)
        for m in v.metrics
        if m.kind is MetricKind.GROUPS
    }
    if any(m.kind is MetricKind.DISTRIBUTION for m in v.metrics):
        slots["quantiles"] = tables.quantile_table(view.histograms)
    return Drawing(
        structure="|".join([v.rollout, zone, *names]),
        slots=slots,
        figures=_figures(view, zone),
        grids={"crashes": tables.crash_rows(view.crashes, v.canary)},
    )


def body(view: RolloutView, drawing: Drawing) -> html.Div:
    """The whole page with everything drawn in."""
    figures = drawing.figures
    metrics = view.verdict.metrics
    return html.Div(
        [
            slot("hero", drawing.slots["hero"]),
            slot("phases", drawing.slots["phases"], className="phases-slot"),
            dmc.Paper(
                slot("steps", drawing.slots["steps"]), className="card strip", withBorder=True
            ),
            html.Div(
                [
                    card(
                        "Evidence over time",
                        plot("evidence", figures["evidence"], height=270),
                        hint="valid at every look, however often you look",
                    ),
                    card(
                        "Load and the canary's share",
                        plot("traffic", figures["traffic"], height=270),
                        hint="requests per second, and share of all",
                    ),
                ],
                className="pair",
            ),
            *[_metric_section(m, drawing) for m in metrics],
            card(
                "Crash groups",
                tables.crash_grid(drawing.grids["crashes"]),
                hint="counts since the rollout opened; click a row for a stack trace",
            ),
            html.Div(
                [
                    card("Decisions", slot("decisions", drawing.slots["decisions"])),
                    card("Webhook deliveries", slot("deliveries", drawing.slots["deliveries"])),
                ],
                className="pair pair-tables",
            ),
        ],
        className="page",
    )


def crash_sample(sighting: dict[str, Any]) -> list[Any]:
    """What the drawer shows of a crash group: who, where, and the stack trace as plain text."""
    sample = sighting.get("sample", {})
    facts = [
        ("Message", sample.get("exception.message")),
        ("Culprit", sighting.get("culprit")),
        ("Release", sighting.get("service.version")),
        ("Host", sample.get("host.name")),
        ("Thread", sample.get("thread.name")),
        ("Runtime", sighting.get("runtime")),
        ("Fingerprint", sighting.get("fingerprint")),
    ]
    trace = str(sample.get("exception.stacktrace") or "").strip()
    href = words.crash_path(
        str(sighting.get("service.name", "")), str(sighting.get("fingerprint", ""))
    )
    return [
        html.H2(str(sighting.get("title", "")), className="sample-title"),
        html.Dl(
            [
                part
                for name, value in facts
                if value
                for part in (html.Dt(name), html.Dd(str(value)))
            ],
            className="sample-facts",
        ),
        html.P(dcc.Link("All releases, samples and log lines of this crash", href=href)),
        html.Pre(
            trace or "No stack trace came with this crash.", className="stacktrace", tabIndex=0
        ),
        dcc.Clipboard(content=trace, className="copy", title="Copy the stack trace"),
    ]


def _metric_head(metric: MetricVerdict) -> html.Div:
    if metric.kind is MetricKind.GROUPS:
        return _groups_head(metric)
    risk = metric.relative_risk
    told = [html.B(f"{words.times(risk.estimate)} the baseline", className="risk")]
    if words.interval(risk):
        told.append(html.Span(f"({words.interval(risk)})"))
    return html.Div(
        [
            html.H2(words.metric_title(metric.name), className="metric-title"),
            badge(words.OUTCOMES[metric.outcome]),
            html.Span(told if risk.estimate is not None else "nothing to compare yet"),
            html.Span(words.metric_sentence(metric), className="metric-counts"),
            explanation(metric),
        ],
        className="metric-head",
    )


def _groups_head(metric: MetricVerdict) -> html.Div:
    """Groups show harm only, so there is no word for one that shows none."""
    is_bad = metric.outcome is Outcome.REGRESSED
    return html.Div(
        [
            html.H2(words.metric_title(metric.name), className="metric-title"),
            badge(words.OUTCOMES[metric.outcome]) if is_bad else "",
            html.Span(group_metrics.sentence(metric), className="metric-counts"),
            explanation(metric),
        ],
        className="metric-head",
    )


def _metric_section(metric: MetricVerdict, drawing: Drawing) -> html.Section:
    name = metric.name
    if metric.kind is MetricKind.GROUPS:
        return html.Section(
            [
                slot(f"metric {name}", drawing.slots[f"metric {name}"]),
                card("Groups", slot(f"groups {name}", drawing.slots[f"groups {name}"])),
            ],
            className="metric",
            **{"aria-label": words.metric_title(name)},
        )
    return html.Section(
        [
            slot(f"metric {name}", drawing.slots[f"metric {name}"]),
            html.Div(
                [
                    card(
                        "Relative risk",
                        plot(f"risk {name}", drawing.figures[f"risk {name}"]),
                        hint="canary ÷ baseline, with the 95 % interval that holds at all times",
                    ),
                    _right_card(metric, drawing),
                ],
                className="pair",
            ),
        ],
        className="metric",
        **{"aria-label": words.metric_title(name)},
    )


def _right_card(metric: MetricVerdict, drawing: Drawing) -> dmc.Paper:
    if metric.kind is MetricKind.DISTRIBUTION:
        return card(
            "Tail: share of requests slower than x",
            html.Div(
                [
                    plot(f"tail {metric.name}", drawing.figures[f"tail {metric.name}"]),
                    slot("quantiles", drawing.slots["quantiles"]),
                ],
                className="tail",
            ),
            hint="both axes logarithmic, newest hour",
        )
    return card(
        "Rate of both arms",
        plot(f"rate {metric.name}", drawing.figures[f"rate {metric.name}"]),
        hint="bad outcomes per exposure",
    )


def _figures(view: RolloutView, zone: str) -> dict[str, Figure]:
    v = view.verdict
    common: dict[str, Any] = {
        "span": (v.opened_at - LEAD_MS, v.time),
        "marks": _marks(view),
        "zone": zone,
    }
    figures = {
        "evidence": evidence(
            view.looks,
            rollback_at=v.rollback_at_log10,
            promote_at=v.promote_at_log10,
            **common,
        ),
        "traffic": traffic(view.counts, bucket_s=view.bucket_s, **common),
    }
    for metric in v.metrics:
        if metric.kind is MetricKind.GROUPS:
            continue
        rows = view.metrics[view.metrics["metric"] == metric.name]
        figures[f"risk {metric.name}"] = relative_risk(rows, tolerance=metric.tolerance, **common)
        if metric.kind is MetricKind.DISTRIBUTION:
            figures[f"tail {metric.name}"] = tail(view.histograms)
        else:
            figures[f"rate {metric.name}"] = _rate(view, metric.name, common)
    return figures


def _rate(view: RolloutView, name: str, common: dict[str, Any]) -> Figure:
    if name in BAD_COUNTERS:
        return rates(view.counts, bad=BAD_COUNTERS[name], **common)
    return rates(_rates_from_looks(view, name), bad="bad", of="exposures", **common)


def _rates_from_looks(view: RolloutView, name: str) -> pd.DataFrame:
    """Running totals of a metric that no counter of the windows stands for."""
    rows = view.metrics[view.metrics["metric"] == name]
    arms = [
        pd.DataFrame(
            {
                "time": rows["time"],
                "arm": arm,
                "bad": rows[f"bad_{arm}"],
                "exposures": rows[f"exposures_{arm}"],
            }
        )
        for arm in ("canary", "baseline")
    ]
    return pd.concat(arms, ignore_index=True)


def _marks(view: RolloutView) -> list[Mark]:
    """What was decided, where a phase began, and when somebody was first told, in order of time."""
    marks = [
        Mark(row["time"], *_MARKS.get(str(row["action"]), (str(row["action"]), NEUTRAL)))
        for row in records(view.decisions)
    ]
    arrived = view.deliveries[view.deliveries["outcome"] == "delivered"]
    marks += [
        Mark(int(row["time"]), f"{row['endpoint']} told", NEUTRAL)
        for row in records(arrived.drop_duplicates("action"))
    ]
    began = [(p.name, p.started_at) for p in view.verdict.phases if p.started_at is not None]
    marks += [Mark(at, f"phase {name}") for name, at in began[1:]]
    return sorted(marks, key=lambda mark: mark.time)
