"""Releases in the wild: who uses them, who meets no crash, which old ones still matter."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from dashboard import words
from dashboard.components.basics import badge, moment
from dashboard.components.tables import table
from dashboard.queries.release_records import CrashFree, ReleaseReport, SameAge, SupportStep
from dashboard.words import Label

_WORSE = Label("Worse", "down", "bad")
_BETTER = Label("Better", "check", "good")
_SAME = Label("No difference shown", "dots", "idle")


def release_table(report: ReleaseReport) -> Any:  # noqa: ANN401 - Dash components are untyped
    """Every release, the newest first, beside the one before it at the same age."""
    rows = [
        [
            dcc.Link(one.release, href=words.rollout_path(report.service, one.release)),
            moment(one.first, "date"),
            html.B(words.percent(one.share)),
            words.count(one.exposures),
            words.count(one.crashes),
            crash_free(one.sessions),
            crash_free(one.users),
            _beside(one.same_age),
        ]
        for one in reversed(report.releases)
    ]
    return table(
        [
            "Release",
            "First traffic",
            "Share now",
            words.metric_title(f"{report.exposure}s"),
            "Crashes",
            "Crash-free sessions",
            "Crash-free users",
            "At the same age",
        ],
        rows,
    )


def crash_free(found: CrashFree) -> Any:  # noqa: ANN401 - Dash components are untyped
    """The share that met no crash, and of how many; a dash where it is not known."""
    if found.share is None:
        return html.Span("–", title="its events carry no such ids")
    return html.Span(
        [
            html.B(f"{100 * found.share:.2f} %"),
            html.Span(f"of {words.count(found.total)}", className="dim-line"),
        ]
    )


def _beside(found: SameAge | None) -> Any:  # noqa: ANN401 - Dash components are untyped
    if found is None or found.difference is None or found.lower is None or found.upper is None:
        return html.Span("–")
    label = _WORSE if found.upper < 0 else _BETTER if found.lower > 0 else _SAME
    span = f"{100 * found.lower:+.2f} to {100 * found.upper:+.2f}"
    told = f"{100 * found.difference:+.2f} points beside {found.predecessor} ({span})"
    return html.Span([badge(label), html.Span(told, className="dim-line")])


def _left_behind(step: SupportStep) -> str:
    told = words.count(step.left_behind)
    if step.lower == step.upper:
        return told
    return f"{told} ({words.count(step.lower)} to {words.count(step.upper)})"


def support_table(report: ReleaseReport) -> Any:  # noqa: ANN401 - Dash components are untyped
    """Who would be left behind if a release and all older ones were no longer supported."""
    if not report.support:
        return html.P("Nothing is known of it yet.", className="quiet")
    rows = [
        [step.release, html.B(words.percent(step.share)), _left_behind(step)]
        for step in report.support
    ]
    head = ["Up to", "Left behind", words.metric_title(f"{report.unit}s")]
    return table(head, rows, class_name="narrow")
