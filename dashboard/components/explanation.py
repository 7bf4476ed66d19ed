"""Why one metric says what it says: where the arms differ, and what they are allowed to."""

from __future__ import annotations

from dash import html

from contracts.results import Contributor, MetricKind, MetricVerdict, Needed, Outcome, Placebo
from dashboard import words


def explanation(metric: MetricVerdict) -> html.Ul | None:
    """A short list of sentences under the metric's head; nothing where there is nothing to say."""
    told = sentences(metric)
    if not told:
        return None
    return html.Ul([html.Li(sentence) for sentence in told], className="metric-why")


def sentences(metric: MetricVerdict) -> list[str]:
    """What contributed most, how much hosts differ, what is still needed, in this order."""
    told = []
    if metric.contributors and metric.kind is not MetricKind.GROUPS:
        told.append(_contributors(metric.kind, metric.contributors))
    if metric.placebo is not None and metric.placebo.sd > 0:
        told.append(_placebo(metric.placebo, metric.tolerance))
    if metric.needed is not None and metric.outcome is Outcome.INCONCLUSIVE:
        told.append(needed_sentence(metric.needed))
    if not metric.is_critical:
        told.append("Watched only: it can hold a promotion, never roll back.")
    return told


def needed_sentence(needed: Needed) -> str:
    """The forecast: what is still needed until a harm would be seen."""
    parts = [
        f"{words.count(needed.exposures)} exposures" if needed.exposures is not None else "",
        f"{words.count(needed.bad)} bad outcomes" if needed.bad is not None else "",
        f"about {words.duration(needed.seconds)}" if needed.seconds is not None else "",
    ]
    told = ", ".join(p for p in parts if p) or "more data"
    return f"Still needed until a harm of {needed.harm:+.0%} would be seen: {told}."


def _contributors(kind: MetricKind, found: list[Contributor]) -> str:
    what = "of values" if kind is MetricKind.DISTRIBUTION else "bad"
    parts = (
        f"{c.name} ({words.percent(c.canary)} {what}, baseline {words.percent(c.baseline)})"
        for c in found
    )
    return f"The arms differ most in {', '.join(parts)}."


def _placebo(placebo: Placebo, tolerance: float | None) -> str:
    told = f"The baseline's {placebo.hosts} hosts differ by {words.percent(placebo.sd)} (sd)"
    if tolerance is not None and placebo.tolerance >= tolerance:
        return f"{told}, so up to {words.percent(placebo.tolerance)} is not blamed on the release."
    return f"{told}, less than what is accepted anyway."
