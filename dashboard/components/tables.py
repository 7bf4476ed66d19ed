"""Tables of the pages: rollouts, crash groups, decisions, deliveries, latency quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
import pandas as pd
from dash import html

from contracts.results import Outcome, RolloutStatus
from dashboard import words
from dashboard.components.basics import badge, moment
from dashboard.figures.latency import QUANTILES, quantile
from dashboard.queries.frames import records
from dashboard.queries.windows import Histograms
from dashboard.words import Label

GRID_OPTIONS = {
    "animateRows": False,
    "suppressCellFocus": False,
    "enableCellTextSelection": True,
    "ensureDomOrder": True,
    "rowHeight": 44,
    "headerHeight": 38,
    "domLayout": "autoHeight",
    "tooltipShowDelay": 300,
}


def rollout_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the list's grid, in the order of attention."""
    return [
        {
            "rollout": row["rollout"],
            "href": words.rollout_path(str(row["service"]), str(row["canary"])),
            "service": row["service"],
            "canary": row["canary"],
            "baseline": row["baseline"],
            "phase": row["phase"],
            "status": chip(words.STATUSES[RolloutStatus(str(row["status"]))]),
            "outcome": chip(words.OUTCOMES[Outcome(str(row["outcome"]))]),
            "evidence": round(float(row["evidence_log10"]), 2),
            "needed": round(float(row["rollback_at_log10"]), 2),
            "exposure": _number(row["exposure"]),
            "expected": _number(row["needed_s"]),
            "held": str(row["held_because"]),
            "trend": row["trend"],
            "guilty": words.metric_title(str(row["guilty_metric"])),
            "share": _number(row["share"]),
            "opened": int(row["opened_at"]),
            "looked": int(row["time"]),
            "reason": row["reason"],
            "rank": int(row["rank"]),
            "is_open": RolloutStatus(str(row["status"])).is_open,
        }
        for row in records(frame)
    ]


def _number(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else round(float(value), 4)


_ROLLOUT_COLUMNS = [
    {"field": "service", "cellRenderer": "RolloutLink", "minWidth": 124, "flex": 1.2},
    {
        "field": "status",  # a phone shows two columns at a time
        "cellRenderer": "Chip",
        "minWidth": 156,
        "flex": 1,
        "comparator": {"function": "byRank"},
    },
    {
        "field": "canary",
        "cellRenderer": "Releases",
        "minWidth": 184,
        "flex": 1.8,
        "headerName": "Canary beside baseline",
    },
    {
        "field": "outcome",
        "cellRenderer": "Chip",
        "minWidth": 160,
        "flex": 1,
        "comparator": {"function": "byWord"},
    },
    {
        "field": "evidence",
        "cellRenderer": "EvidenceBar",
        "minWidth": 144,
        "flex": 1.2,
        "headerName": "Evidence",
    },
    {
        "field": "trend",
        "headerName": "Over time",
        "cellRenderer": "Trend",
        "minWidth": 104,
        "flex": 0.9,
        "sortable": False,
    },
    {"field": "guilty", "headerName": "Guilty", "minWidth": 104, "flex": 0.8},
    {"field": "phase", "cellRenderer": "Phase", "minWidth": 128, "flex": 1.1},
    {
        "field": "expected",
        "headerName": "Decision in",
        "minWidth": 122,
        "flex": 0.8,
        "type": "rightAligned",
        "valueFormatter": {"function": "asExpected(params.value)"},
    },
    {
        "field": "opened",
        "cellRenderer": "Moment",
        "minWidth": 132,
        "flex": 1.1,
        "sort": None,
    },
]


def rollout_grid(rows: list[dict[str, Any]]) -> dag.AgGrid:
    """The list of rollouts."""
    return dag.AgGrid(
        id={"type": "grid", "name": "rollouts"},
        rowData=rows,
        columnDefs=_ROLLOUT_COLUMNS,
        defaultColDef={"sortable": True, "resizable": True, "cellDataType": False},
        dashGridOptions=GRID_OPTIONS,
        getRowId="params.data.rollout",
        className="grid grid-rollouts",
        style={"height": None},
    )


def crash_rows(frame: pd.DataFrame, canary: str) -> list[dict[str, Any]]:
    """Rows of the crash groups' grid; a group that the canary brought is marked as new."""
    return [{**row, "new": bool(row["first_release"] == canary)} for row in records(frame)]


_CRASH_COLUMNS = [
    {
        "field": "title",
        "headerName": "Crash",
        "cellRenderer": "CrashTitle",
        "minWidth": 260,
        "flex": 4,
        "tooltipField": "title",
    },
    {
        "field": "first_release",
        "headerName": "First seen in",
        "minWidth": 130,
        "flex": 1,
        "cellRenderer": "FirstRelease",
    },
    {
        "field": "canary",
        "type": "rightAligned",
        "minWidth": 88,
        "flex": 0.7,
        "valueFormatter": {"function": "asCount(params.value)"},
    },
    {
        "field": "baseline",
        "type": "rightAligned",
        "minWidth": 92,
        "flex": 0.7,
        "valueFormatter": {"function": "asCount(params.value)"},
    },
    {
        "field": "first",
        "headerName": "First seen",
        "cellRenderer": "Moment",
        "minWidth": 128,
        "flex": 1,
    },
    {
        "field": "last",
        "headerName": "Last seen",
        "cellRenderer": "Moment",
        "minWidth": 128,
        "flex": 1,
    },
]


def crash_grid(rows: list[dict[str, Any]]) -> dag.AgGrid:
    """Crash groups of both arms; a click shows a sample."""
    return dag.AgGrid(
        id={"type": "grid", "name": "crashes"},
        rowData=rows,
        columnDefs=_CRASH_COLUMNS,
        defaultColDef={"sortable": True, "resizable": True, "cellDataType": False},
        dashGridOptions={
            **GRID_OPTIONS,
            "rowHeight": 54,
            "rowSelection": {
                "mode": "singleRow",
                "checkboxes": False,
                "enableClickSelection": True,
            },
            "localeText": {"noRowsToShow": "No crash of either release since the rollout opened"},
        },
        getRowId="params.data.fingerprint",
        className="grid grid-crashes",
        style={"height": None},
    )


def decision_table(frame: pd.DataFrame) -> Any:  # noqa: ANN401 - Dash components are untyped
    """What had to be done, newest first."""
    if frame.empty:
        return html.P("Nothing had to be done so far.", className="quiet")
    rows = [
        [
            moment(int(r["time"])),
            badge(words.label_of(words.ACTIONS, str(r["action"]))),
            str(r["phase"]),
            str(r["reason"]),
        ]
        for r in records(frame[::-1])
    ]
    return table(["Time", "Decision", "Phase", "Reason"], rows)


def delivery_table(frame: pd.DataFrame) -> Any:  # noqa: ANN401 - Dash components are untyped
    """Every attempt to tell an endpoint, newest first."""
    if frame.empty:
        return html.P("No webhook was sent so far.", className="quiet")
    # several endpoints may be told at the same millisecond: the attempt keeps them in order
    rows = [
        [
            moment(int(r["time"])),
            badge(words.label_of(words.DELIVERIES, str(r["outcome"]))),
            words.label_of(words.ACTIONS, str(r["action"])).word,
            html.Span([html.B(str(r["endpoint"])), html.Span(str(r["url"]), className="dim-line")]),
            f"{int(r['attempt'])}",
            _answer(r),
        ]
        for r in records(frame[::-1])
    ]
    return table(["Time", "Result", "Decision", "Endpoint", "Attempt", "Answer"], rows)


def quantile_table(histograms: Histograms) -> Any:  # noqa: ANN401 - Dash components are untyped
    """Latency of both arms at three quantiles, with their difference."""
    canary, baseline = histograms.get("canary", {}), histograms.get("baseline", {})
    rows = []
    for q in QUANTILES:
        here, there = quantile(canary, q), quantile(baseline, q)
        change = f"{here / there - 1:+.0%}" if here and there else "–"
        rows.append(
            [f"p{100 * q:g}", words.milliseconds(here), words.milliseconds(there), html.B(change)]
        )
    return table(["", "Canary", "Baseline", "Change"], rows, class_name="quantiles")


def _answer(row: Mapping[str, Any]) -> str:
    code = "" if pd.isna(row["status"]) else f"HTTP {row['status']:.0f}"
    reason = str(row["reason"] or "")
    told = reason if reason.lower() != code.lower() else ""
    circuit = "only probed" if row["is_circuit_open"] else ""
    took = words.milliseconds(float(row["duration_ms"]))
    return " · ".join(part for part in (code, told, took, circuit) if part)


def chip(label: Label) -> dict[str, str]:
    """A label as a cell of a grid."""
    return {"word": label.word, "icon": label.icon, "tone": label.tone}


def table(head: list[str], rows: list[list[Any]], class_name: str = "") -> html.Div:
    """Rows under a head, scrolled sideways where there is little room, by keyboard as well."""
    shown = dmc.Table(
        [
            dmc.TableThead(dmc.TableTr([dmc.TableTh(h) if h else dmc.TableTd() for h in head])),
            dmc.TableTbody([dmc.TableTr([dmc.TableTd(c) for c in row]) for row in rows]),
        ],
        verticalSpacing="xs",
        className=class_name,
    )
    scrolled = "table-scroll" if class_name else "table-scroll table-wide"
    return html.Div(shown, className=scrolled, tabIndex=0)
