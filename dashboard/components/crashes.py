"""Crash groups of a service: the list, and the page of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import dcc, html

from dashboard import words
from dashboard.components.basics import badge, card, moment
from dashboard.components.logs import log_table
from dashboard.components.tables import GRID_OPTIONS, chip, table
from dashboard.queries.crash_records import GroupRecord, ReleaseCount
from dashboard.queries.crash_states import CrashState
from dashboard.queries.elastic import Source
from dashboard.queries.search_reader import GroupView
from dashboard.words import Label

STATES: dict[CrashState, Label] = {
    CrashState.REGRESSED: Label("Regressed", "undo", "bad"),
    CrashState.NEW: Label("New", "flag", "bad"),
    CrashState.ONGOING: Label("Ongoing", "dots", "open"),
    CrashState.RESOLVED: Label("Resolved", "check", "good"),
}
_MOST_BARS = 48


def group_rows(service: str, found: Sequence[GroupRecord], now_ms: int) -> list[dict[str, Any]]:
    """Rows of the list's grid, in the order of attention."""
    return [
        {
            "fingerprint": record.fingerprint,
            "href": words.crash_path(service, record.fingerprint),
            "title": record.title,
            "culprit": record.culprit or record.runtime,
            "state": chip(STATES[record.state]),
            "rank": number,
            "count": record.count,
            "users": record.users,
            "trend": bars(record, now_ms),
            "first_release": record.first_release,
            "new": False,
            "first": record.first,
            "last": record.last,
            "arms": arms_of(record.releases),
        }
        for number, record in enumerate(found)
    ]


def bars(record: GroupRecord, now_ms: int) -> list[int]:
    """Crashes in each of the newest stretches of the trend, the newest last."""
    step = record.trend_step_s * 1000
    counts = dict(record.trend)
    newest = now_ms // step * step
    return [counts.get(newest - step * back, 0) for back in range(_MOST_BARS - 1, -1, -1)]


def arms_of(releases: Sequence[ReleaseCount]) -> str:
    """Counts of the two newest releases, by arm where a feature flag names one."""
    told = []
    for one in releases[:2]:
        named = {arm: count for arm, count in one.arms.items() if arm}
        arms = f" ({', '.join(f'{a} {words.count(c)}' for a, c in named.items())})" if named else ""
        told.append(f"{one.release or 'unknown'}: {words.count(one.count)}{arms}")
    return " · ".join(told)


def group_grid(rows: list[dict[str, Any]]) -> dag.AgGrid:
    """The list of crash groups."""
    right = {"type": "rightAligned", "valueFormatter": {"function": "asCount(params.value)"}}
    return dag.AgGrid(
        id={"type": "grid", "name": "groups"},
        rowData=rows,
        columnDefs=[
            {
                "field": "state",
                "cellRenderer": "Chip",
                "minWidth": 152,
                "flex": 1.1,
                "comparator": {"function": "byRank"},
            },
            {
                "field": "title",
                "headerName": "Crash",
                "cellRenderer": "CrashLink",
                "minWidth": 260,
                "flex": 4,
                "tooltipField": "title",
            },
            {
                "field": "trend",
                "cellRenderer": "Trend",
                "minWidth": 150,
                "flex": 1.4,
                "sortable": False,
            },
            {"field": "count", "minWidth": 84, "flex": 0.7, **right},
            {"field": "users", "minWidth": 78, "flex": 0.6, **right},
            {
                "field": "first_release",
                "headerName": "First seen in",
                "minWidth": 118,
                "flex": 1,
            },
            {"field": "arms", "headerName": "Newest releases", "minWidth": 170, "flex": 1.6},
            {
                "field": "last",
                "headerName": "Last seen",
                "cellRenderer": "Moment",
                "minWidth": 128,
                "flex": 1,
            },
        ],
        defaultColDef={"sortable": True, "resizable": True, "cellDataType": False},
        dashGridOptions={
            **GRID_OPTIONS,
            "rowHeight": 54,
            "localeText": {"noRowsToShow": "No crash in this time"},
        },
        getRowId="params.data.fingerprint",
        className="grid grid-groups",
        style={"height": None},
    )


def group_body(service: str, view: GroupView) -> list[Any]:
    """The page of one group."""
    record = view.record
    newest = view.samples[0] if view.samples else {}
    sample = newest.get("sample") or {}
    return [
        _head(service, record),
        html.Div([_calls(newest), _trace(sample)], className="pair"),
        card("Releases", _releases(record), hint="crashes and distinct users, as far as kept"),
        *([_samples(view.samples)] if len(view.samples) > 1 else []),
        card(
            "Log lines around the newest sample",
            log_table(
                view.around,
                trace=str(sample.get("trace.id") or ""),
                crash_ms=int(sample["time"]) if sample.get("time") else None,
            ),
            hint="same service and host, half a minute before and after, and its trace; "
            "all errors, of other lines a share is kept",
        ),
    ]


def _head(service: str, record: GroupRecord) -> html.Div:
    facts = [
        ("Culprit", record.culprit),
        ("Runtime", record.runtime),
        ("First seen in", record.first_release or "unknown"),
        ("First seen", moment(record.first, "date")),
        ("Last seen in", record.last_release or "unknown"),
        ("Last seen", moment(record.last, "date")),
        ("Crashes", words.count(record.total)),
        ("Users", words.count(record.users)),
        ("Resolved in", record.resolved_in),
        ("Because", record.mark_reason),
        ("Fingerprint", record.fingerprint),
        ("Algorithm", record.algorithm),
        ("Merged by a rule", ", ".join(record.members[1:])),
    ]
    command = f"coalmine crashes resolve {service} {record.fingerprint[:12]} --in RELEASE"
    if record.resolved_in:
        command = f"coalmine crashes reopen {service} {record.fingerprint[:12]}"
    return html.Div(
        [
            html.Div(
                [html.H1(record.title, className="page-title"), badge(STATES[record.state])],
                className="page-head",
            ),
            html.Dl(
                [
                    part
                    for name, value in facts
                    if value
                    for part in (html.Dt(name), html.Dd(value))
                ],
                className="sample-facts group-facts",
            ),
            html.Div(
                [
                    html.Code(command),
                    dcc.Clipboard(content=command, className="copy", title="Copy the command"),
                ],
                className="group-command",
            ),
        ]
    )


def _calls(sighting: Source) -> dmc.Paper:
    calls = [str(call) for call in sighting.get("calls") or []][::-1]
    shown: Any = html.P("No call of a stack is known: the message tells it.", className="quiet")
    if calls:
        shown = html.Ol([html.Li(html.Code(call)) for call in calls], className="calls")
    return card("Calls that make the group", shown, hint="innermost first, of your own code")


def _trace(sample: Source) -> dmc.Paper:
    text = trace_text(sample)
    return card(
        "Newest sample",
        html.Pre(text, className="stacktrace", tabIndex=0),
        hint=" · ".join(
            str(sample[name])
            for name in ("service.version", "host.name", "thread.name")
            if sample.get(name)
        ),
    )


def trace_text(sample: Source) -> str:
    """A sample's stack trace as text; frames, the innermost first, where it has no text."""
    if text := str(sample.get("exception.stacktrace") or "").strip():
        return text
    lines = [
        f"{'' if frame.get('in_app') else '  '}{frame.get('module') or frame.get('file') or ''}."
        f"{frame.get('function') or ''} ({frame.get('file') or ''}:{frame.get('line') or ''})"
        for frame in reversed(sample.get("frames") or [])
    ]
    return "\n".join(lines) or "No stack trace came with this crash."


def _releases(record: GroupRecord) -> Any:  # noqa: ANN401 - Dash components are untyped
    rows = [
        [
            one.release or "unknown",
            words.count(one.count),
            words.count(one.users),
            ", ".join(f"{a} {words.count(c)}" for a, c in one.arms.items() if a) or "–",
            moment(one.first, "date"),
            moment(one.last, "date"),
        ]
        for one in record.releases
    ]
    return table(["Release", "Crashes", "Users", "Arms", "First seen", "Last seen"], rows)


def _samples(samples: Sequence[Source]) -> dmc.Paper:
    shown = [
        html.Details(
            [
                html.Summary([str(one.get("service.version") or "unknown"), " · ", _message(one)]),
                html.Pre(trace_text(one.get("sample") or {}), className="stacktrace", tabIndex=0),
            ]
        )
        for one in samples
    ]
    return card("A sample of each release", html.Div(shown, className="samples"))


def _message(sighting: Source) -> str:
    return str((sighting.get("sample") or {}).get("exception.message") or sighting.get("title"))
