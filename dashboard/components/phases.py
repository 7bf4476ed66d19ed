"""The phases of a rollout as a strip: which are done, how far the current one is, what holds it."""

from __future__ import annotations

from typing import Any

from dash import html

from contracts.results import PhaseProgress, Verdict
from dashboard import words
from dashboard.components.basics import icon, moment

DONE, NOW, NEXT = "done", "now", "next"


def phase_strip(verdict: Verdict) -> Any:  # noqa: ANN401 - Dash components are untyped
    """Every phase in order; nothing where the verdict does not tell of phases."""
    if not verdict.phases:
        return None
    items = [_phase(phase, state_of(phase, verdict), verdict) for phase in verdict.phases]
    held = None
    if verdict.held_because and verdict.status.is_open:
        held = html.P(
            [icon("pause"), f" Not left yet, because {verdict.held_because}."],
            className="phase-held",
        )
    return html.Div([html.Ol(items, className="phases"), held])


def state_of(phase: PhaseProgress, verdict: Verdict) -> str:
    """Whether a phase is done, under way, or still to come."""
    if phase.ended_at is not None:
        return DONE
    is_current = phase.name == verdict.phase and verdict.status.is_open
    if is_current and phase.started_at is not None:
        return NOW
    return DONE if phase.started_at is not None else NEXT


def _phase(phase: PhaseProgress, state: str, verdict: Verdict) -> html.Li:
    share = "" if phase.exposure is None else words.percent(phase.exposure)
    symbol = {DONE: "check", NOW: "eye", NEXT: "dots"}[state]
    spoken = {DONE: "done", NOW: "under way", NEXT: "to come"}[state]
    return html.Li(
        [
            html.Div(
                [icon(symbol), html.B(phase.name), html.Span(share, className="phase-share")],
                className="phase-name",
            ),
            *_progress(phase, state, verdict),
        ],
        className=f"phase phase-{state}",
        **{"aria-label": f"phase {phase.name}, {spoken}"},
    )


def _progress(phase: PhaseProgress, state: str, verdict: Verdict) -> list[Any]:
    if phase.started_at is None:
        asked = [words.duration(phase.min_duration_s)] if phase.min_duration_s else []
        if phase.min_exposures:
            asked.append(f"{words.count(phase.min_exposures)} exposures")
        told = f"at least {' and '.join(asked)}" if asked else "to come"
        return [html.Div(told, className="phase-note")]
    took_s = max(0, (phase.ended_at or verdict.time) - phase.started_at) / 1000
    time = words.duration(took_s)
    seen = f"{words.count(phase.exposures)} exposures"
    if state == DONE:
        return [html.Div([moment(phase.started_at), f" · {time} · {seen}"], className="phase-note")]
    parts: list[Any] = []
    if phase.min_duration_s:
        parts.append(
            _bar(time, took_s / phase.min_duration_s, words.duration(phase.min_duration_s))
        )
    else:
        parts.append(html.Div(time, className="phase-note"))
    if phase.min_exposures:
        least = words.count(phase.min_exposures)
        parts.append(_bar(seen, phase.exposures / phase.min_exposures, least))
    else:
        parts.append(html.Div(seen, className="phase-note"))
    if phase.max_duration_s:
        parts.append(
            html.Div(f"at most {words.duration(phase.max_duration_s)}", className="phase-note")
        )
    return parts


def _bar(told: str, share: float, least: str) -> html.Div:
    width = max(0.0, min(1.0, share))
    return html.Div(
        [
            html.Span(
                html.Span(className="bar-part", style={"width": f"{100 * width:.0f}%"}),
                className="bar",
                role="img",
                **{"aria-label": f"{100 * width:.0f} % of the least"},
            ),
            html.Span(f"{told} of {least}", className="phase-note"),
        ],
        className="phase-bar",
    )
