"""Log lines as a table, and the form that looks for them. Their text is never markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import dash_mantine_components as dmc
from dash import dcc, html

from dashboard.components.basics import badge, choice, moment
from dashboard.queries.logs import ERRORS, SEVERITIES, LogRow
from dashboard.words import Label

_LONGEST = 4_000
"""Characters of a line that are shown."""


def log_table(
    rows: Sequence[LogRow], *, trace: str = "", crash_ms: int | None = None
) -> html.Div | html.P:
    """Lines in their order.

    Args:
        rows: the lines.
        trace: lines of this trace are marked.
        crash_ms: the moment of a crash; a line stands where it happened.
    """
    if not rows:
        return html.P("No line that is kept.", className="quiet")
    shown: list[Any] = []
    for row in rows:
        if crash_ms is not None and row.time > crash_ms:
            shown.append(html.Div("the crash", className="log-crash"))
            crash_ms = None
        shown.append(_line(row, is_of_trace=bool(trace) and row.trace == trace))
    if crash_ms is not None:
        shown.append(html.Div("the crash", className="log-crash"))
    return html.Div(shown, className="log-lines")


def log_form(query: Mapping[str, str], periods: Sequence[str], period: str) -> html.Form:
    """The search; what it says stands in the address."""
    severities = {"": "any severity"} | {
        name: f"{name} and above" if name in ("error", "warning") else name for name in SEVERITIES
    }
    return html.Form(
        [
            *[
                dmc.TextInput(name=name, label=label, value=query.get(name, ""), size="xs")
                for name, label in (
                    ("text", "Text"),
                    ("service", "Service"),
                    ("release", "Release"),
                    ("host", "Host"),
                    ("trace", "Trace id"),
                    ("template", "Template"),
                )
            ],
            choice("severity", "Severity", severities, query.get("severity", "")),
            choice("period", "Within", dict(zip(periods, periods, strict=True)), period),
            dmc.TextInput(
                name="until",
                label="Until (UTC)",
                value=query.get("until", ""),
                placeholder="now, or 2026-11-25 22:00",
                size="xs",
            ),
            html.Button("Search", type="submit", className="search-button"),
        ],
        method="get",
        action="/logs",
        className="search-form",
    )


def severity_label(severity: str) -> Label:
    """How a severity looks."""
    word = severity.lower()
    if word in ERRORS:
        return Label(severity, "alert", "bad")
    if word in SEVERITIES["warning"]:
        return Label(severity, "alert", "warn")
    return Label(severity or "–", "dots", "idle")


def _line(row: LogRow, *, is_of_trace: bool) -> html.Div:
    origin = " · ".join(part for part in (row.service, row.release, row.host) if part)
    return html.Div(
        [
            html.Div(moment(row.time, "date_seconds"), className="log-time"),
            html.Div(badge(severity_label(row.severity))),
            html.Div(
                [
                    html.Pre(row.message[:_LONGEST], className="log-text"),
                    html.Span(
                        [origin, *_trace(row, is_of_trace=is_of_trace)], className="dim-line"
                    ),
                ],
                className="log-main",
            ),
        ],
        className="log-line log-of-trace" if is_of_trace else "log-line",
    )


def _trace(row: LogRow, *, is_of_trace: bool) -> list[Any]:
    if not row.trace:
        return []
    name = "the crash's own trace " if is_of_trace else "trace "
    return [
        " · ",
        name,
        dcc.Link(row.trace, href=f"/logs?trace={quote(row.trace, safe='')}&period=24h"),
    ]
