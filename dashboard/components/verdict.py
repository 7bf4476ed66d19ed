"""The top of a rollout's page: the verdict in one sentence, its numbers, and what happened when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
import pandas as pd
from dash import html

from contracts.results import MetricVerdict, RolloutStatus, Verdict
from dashboard import words
from dashboard.components.basics import badge, icon, moment
from dashboard.components.explanation import needed_sentence
from dashboard.queries.frames import records
from dashboard.queries.reader import RolloutView


def hero(verdict: Verdict) -> html.Section:
    """One big sentence, its reason, and the four numbers behind it."""
    label = words.tone(verdict)
    facts = html.Div(
        [
            badge(words.STATUSES[verdict.status]),
            badge(words.OUTCOMES[verdict.outcome]),
            _fact("canary", verdict.canary),
            _fact("baseline", verdict.baseline),
            _fact("phase", verdict.phase),
            html.Span(["opened ", moment(verdict.opened_at, "date")]),
            html.Span(["last look ", moment(verdict.time, "clock")]),
        ],
        className="facts",
    )
    return html.Section(
        [
            html.Div(
                [
                    html.Div(icon(label.icon, large=True), className=f"seal tone-{label.tone}"),
                    html.Div(
                        [
                            html.H1(words.headline(verdict), className="headline", id="headline"),
                            html.P(verdict.reason, className="reason"),
                            _needed(verdict),
                            facts,
                        ],
                        className="hero-text",
                    ),
                ],
                className="hero-main",
            ),
            html.Div(_tiles(verdict), className="tiles"),
        ],
        className=f"hero edge-{label.tone}",
        **{"aria-live": "polite"},
    )


def worst_metric(verdict: Verdict) -> MetricVerdict | None:
    """The guilty metric, else the one with most evidence of harm."""
    if not verdict.metrics:
        return None
    for metric in verdict.metrics:
        if metric.name == verdict.guilty_metric:
            return metric
    return max(verdict.metrics, key=lambda m: m.evidence_log10)


def _fact(name: str, value: str) -> html.Span:
    return html.Span([f"{name} ", html.B(value)])


def _needed(verdict: Verdict) -> Any:  # noqa: ANN401 - Dash components are untyped
    if not verdict.needed or not verdict.status.is_open:
        return None
    return html.P(needed_sentence(verdict.needed), className="needed")


def _tiles(v: Verdict) -> list[html.Div]:
    worst = worst_metric(v)
    progress = _progress(v.evidence_log10, v.rollback_at_log10)
    return [
        _tile(
            words.metric_title(worst.name) if worst else "Relative risk",
            words.times(worst.relative_risk.estimate) if worst else "–",
            (words.interval(worst.relative_risk) if worst else "") or "no interval yet",
        ),
        _tile(
            "Evidence of harm",
            _power(v.evidence_log10),
            f"rolls back at {_power(v.rollback_at_log10)}",
            dmc.Progress(
                value=progress,
                size="sm",
                color="orange.8" if progress >= 100 else "blue.6",
                **{"aria-label": f"{progress:.0f} % of the evidence for a rollback"},
            ),
        ),
        _tile("Canary's share", words.percent(v.share), _exposures(worst)),
        _time_tile(v),
    ]


def _exposures(metric: MetricVerdict | None) -> str:
    if metric is None:
        return "no exposures yet"
    return (
        f"{words.count(metric.exposures.canary)} canary · "
        f"{words.count(metric.exposures.baseline)} baseline"
    )


def _time_tile(v: Verdict) -> html.Div:
    if v.decided_at is not None and v.first_bad_event_at is not None:
        took = max(0, v.decided_at - v.first_bad_event_at) / 1000
        return _tile("First bad event to verdict", words.duration(took), _after_verdict(v))
    took = max(0, (v.decided_at or v.time) - v.opened_at) / 1000
    name = "Opened to verdict" if v.decided_at is not None else "Watched for"
    return _tile(name, words.duration(took), _after_verdict(v))


def _after_verdict(v: Verdict) -> str:
    if v.rollback_verified and v.drained_at is not None and v.decided_at is not None:
        gone = max(0, v.drained_at - v.decided_at) / 1000
        return f"traffic gone {words.duration(gone)} later"
    if v.status is RolloutStatus.TRAFFIC_STOPPED:
        return "all traffic stopped, nothing to verify by"
    if v.status in {RolloutStatus.ROLLING_BACK, RolloutStatus.ROLLED_BACK}:
        return "traffic not gone yet"
    return f"policy {v.policy_hash}" if v.policy_hash else "no decision yet"


def _tile(name: str, value: Any, note: str, *more: Any) -> html.Div:  # noqa: ANN401 - Dash components are untyped
    return html.Div(
        [
            html.Div(name, className="tile-name"),
            html.Div(value, className="tile-value"),
            *more,
            html.Div(note, className="tile-note"),
        ],
        className="tile",
    )


def _power(log10: float) -> Any:  # noqa: ANN401 - Dash components are untyped
    """Evidence as odds while people can read the number, then as a power of ten."""
    if log10 < 4:
        return f"{10**log10:,.3g} : 1" if log10 < 2 else f"{words.count(10**log10)} : 1"
    return html.Span(["10", html.Sup(f"{log10:.0f}"), " : 1"])


def _progress(evidence: float, needed: float) -> float:
    return max(0.0, min(100.0, 100 * evidence / needed)) if needed > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened, or that is awaited (``time`` None)."""

    word: str
    icon: str
    tone: str
    time: int | None
    note: str = ""


def steps(view: RolloutView) -> html.Ol:
    """What happened when, in order, with the time each step took."""
    items = []
    before: int | None = None
    for step in steps_of(view):
        took = ""
        if step.time is not None and before is not None:
            took = f"+{words.duration(max(0, step.time - before) / 1000)}"
        before = step.time if step.time is not None else before
        items.append(_step(step, took))
    return html.Ol(items, className="steps")


def _step(step: Step, took: str) -> html.Li:
    waits = " step-waits" if step.time is None else ""
    when = moment(step.time) if step.time is not None else html.Span("waiting")
    return html.Li(
        [
            html.Div(icon(step.icon), className=f"step-dot tone-{step.tone}"),
            html.Div(step.word, className="step-word"),
            html.Div([when, html.Span(took, className="step-took")], className="step-time"),
            html.Div(step.note, className="step-note") if step.note else None,
        ],
        className=f"step{waits}",
    )


def steps_of(view: RolloutView) -> list[Step]:
    """The steps of a rollout: those that happened by time, then those that are awaited."""
    v = view.verdict
    happened = [Step("Opened", "flag", "open", v.opened_at, f"beside {v.baseline}")]
    happened += [
        Step(f"Phase {phase}", "step", "open", start) for phase, start in phases(view.looks)[1:]
    ]
    if v.first_bad_event_at is not None:
        happened.append(Step("First bad event", "alert", "warn", v.first_bad_event_at))
    happened += _decided(view)
    happened.sort(key=lambda s: s.time or 0)
    return happened + _awaited(v, {s.word for s in happened})


def phases(looks: pd.DataFrame) -> list[tuple[str, int]]:
    """Each phase in order with its first look, epoch milliseconds."""
    if looks.empty:
        return []
    changed = looks["phase"].ne(looks["phase"].shift())
    rows = looks[changed]
    return [(str(p), int(t)) for p, t in zip(rows["phase"], rows["time"], strict=True)]


_DECISIONS = {
    "rollback": ("Verdict: roll back", "undo", "bad"),
    "promote": ("Promoted", "check", "good"),
    "hold": ("Put on hold", "pause", "warn"),
    "rollback_verified": ("Traffic gone", "check", "good"),
    "aborted": ("Aborted", "stop", "idle"),
    "escalate": ("Escalated to people", "alert", "bad"),
    "returned": ("Traffic is back", "alert", "bad"),
}


def _decided(view: RolloutView) -> list[Step]:
    found = []
    for row in records(view.decisions):
        word, icon_name, tone = _DECISIONS[str(row["action"])]
        note = words.metric_title(view.verdict.guilty_metric or "")
        time = int(row["time"])
        if row["action"] == "rollback_verified":
            time, note = view.verdict.drained_at or time, "last canary request"
        found.append(Step(word, icon_name, tone, time, note if row["action"] != "hold" else ""))
    arrived = view.deliveries[view.deliveries["outcome"] == "delivered"]
    found.extend(
        Step("Webhook delivered", "send", "open", int(row["time"]), str(row["endpoint"]))
        for row in records(arrived.drop_duplicates("action"))
        if row["action"] in {"rollback", "promote"}
    )
    return found


def _awaited(v: Verdict, happened: set[str]) -> list[Step]:
    if v.status in {RolloutStatus.RUNNING, RolloutStatus.HOLDING}:
        return [Step("Verdict", "eye", "idle", None)]
    wanted = []
    if v.status.is_draining or v.status is RolloutStatus.ROLLED_BACK:
        wanted = [("Webhook delivered", "send"), ("Traffic gone", "check")]
    return [Step(word, name, "idle", None) for word, name in wanted if word not in happened]
