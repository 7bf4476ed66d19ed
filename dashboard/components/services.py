"""Services and hosts as grids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import dash_ag_grid as dag
import pandas as pd

from dashboard import words
from dashboard.components.tables import GRID_OPTIONS
from dashboard.figures.latency import quantile
from dashboard.queries.frames import records

RIGHT: dict[str, Any] = {"type": "rightAligned"}
COUNT: dict[str, Any] = {**RIGHT, "valueFormatter": {"function": "asCount(params.value)"}}
COUNT_LINK: dict[str, Any] = {**RIGHT, "cellRenderer": "CountLink"}


def component_rows(frame: pd.DataFrame, period: str) -> list[dict[str, Any]]:
    """Rows of the grid of services; each number leads to what it is made of."""
    rows = []
    for row in records(frame):
        service, requests = str(row["service"]), int(row["request"])
        of = {"service": service, "period": period}
        p50, p99 = (quantile(row["histogram"], q) for q in (0.5, 0.99))
        rows.append(
            {
                "service": service,
                "href": f"/compare?{urlencode(of)}",
                "requests": requests,
                "trend": row["trend"],
                "error_rate": row["request.bad"] / requests if requests else None,
                "errors": int(row["request.bad"]),
                "error_trend": row["bad_trend"],
                "crashes": int(row["crash"]),
                "crashes_href": f"/crashes?{urlencode(of)}",
                "error_lines": int(row["log.error"]),
                "error_lines_href": f"/logs?{urlencode({**of, 'severity': 'error'})}",
                "p50": _rounded(p50),
                "p99": _rounded(p99),
                "releases": " · ".join(row["releases"]),
                "last": int(row["last"]),
            }
        )
    return rows


def component_grid(rows: list[dict[str, Any]]) -> dag.AgGrid:
    """The grid of services."""
    return grid(
        "components",
        rows,
        [
            {"field": "service", "cellRenderer": "NameLink", "minWidth": 140, "flex": 1.6},
            {"field": "releases", "headerName": "Releases, newest first", "minWidth": 170,
             "flex": 1.8, "tooltipField": "releases"},
            {"field": "trend", "headerName": "Traffic", "cellRenderer": "Trend",
             "minWidth": 130, "flex": 1.3, "sortable": False},
            {"field": "requests", "minWidth": 100, "flex": 0.8, **COUNT},
            {"field": "error_rate", "headerName": "Errors", "minWidth": 84, "flex": 0.6, **RIGHT,
             "valueFormatter": {"function": "asShare(params.value)"}},
            {"field": "error_trend", "headerName": "Errors over time", "cellRenderer": "Trend",
             "minWidth": 130, "flex": 1.3, "sortable": False},
            {"field": "crashes", "minWidth": 88, "flex": 0.6, **COUNT_LINK},
            {"field": "error_lines", "headerName": "Error lines", "minWidth": 104,
             "flex": 0.7, **COUNT_LINK},
            {"field": "p50", "headerName": "p50", "minWidth": 96, "flex": 0.6, **RIGHT,
             "valueFormatter": {"function": "asMs(params.value)"}},
            {"field": "p99", "headerName": "p99", "minWidth": 96, "flex": 0.6, **RIGHT,
             "valueFormatter": {"function": "asMs(params.value)"}},
        ],
        key="service",
        empty="No service sent anything in this time",
    )  # fmt: skip


def host_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the grid of hosts."""
    values = ("cpu_percent", "worst_cpu", "memory_percent", "load1", "disk_percent")
    return [
        {
            "host": row["host"],
            "href": f"/logs?{urlencode({'host': row['host']})}",
            "service": row["service"],
            "release": row["release"] or "unknown",
            "trend": [_rounded(value) or 0 for value in row["trend"]],
            **{value: _rounded(row[value]) for value in values},
            "restarts": None if row["restarts"] is None else len(row["restarts"]),
            "last": int(row["last"]),
        }
        for row in records(frame)
    ]


def restart_sentence(frame: pd.DataFrame) -> str:
    """How often hosts were restarted, by release; empty where no host tells when it was started."""
    told = [found for found in frame["restarts"] if found is not None]
    if not told:
        return ""
    releases = Counter(release or "unknown" for found in told for release in found)
    if not releases:
        return "No host was restarted in this time."
    each = ", ".join(
        f"{words.count(number)} ({release})" for release, number in releases.most_common()
    )
    return f"Restarts of hosts in this time, with the release that ran afterwards: {each}."


def host_grid(rows: list[dict[str, Any]]) -> dag.AgGrid:
    """The grid of hosts."""
    percent = {**RIGHT, "valueFormatter": {"function": "asPercent(params.value)"}}
    return grid(
        "hosts",
        rows,
        [
            {"field": "host", "cellRenderer": "NameLink", "minWidth": 140, "flex": 1.4},
            {"field": "service", "minWidth": 120, "flex": 1.2},
            {"field": "release", "minWidth": 110, "flex": 1},
            {"field": "trend", "headerName": "CPU over time", "cellRenderer": "Trend",
             "minWidth": 150, "flex": 1.4, "sortable": False},
            {"field": "cpu_percent", "headerName": "CPU", "minWidth": 78, "flex": 0.6, **percent},
            {"field": "worst_cpu", "headerName": "CPU, most", "minWidth": 100, "flex": 0.7,
             **percent},
            {"field": "memory_percent", "headerName": "Memory", "minWidth": 92, "flex": 0.7,
             **percent},
            {"field": "load1", "headerName": "Load", "minWidth": 78, "flex": 0.6, **RIGHT},
            {"field": "disk_percent", "headerName": "Disk", "minWidth": 78, "flex": 0.6,
             **percent},
            {"field": "restarts", "headerName": "Restarts", "minWidth": 92, "flex": 0.6, **RIGHT},
            {"field": "last", "headerName": "Last sample", "cellRenderer": "Moment",
             "minWidth": 128, "flex": 1},
        ],
        key="host",
        empty="No host told its load in this time",
    )  # fmt: skip


def grid(
    name: str,
    rows: list[dict[str, Any]],
    columns: Sequence[dict[str, Any]],
    *,
    key: str,
    empty: str,
) -> dag.AgGrid:
    """A sortable grid that the page's callback keeps current.

    Args:
        name: of its rows.
        rows: one dictionary each.
        columns: definitions of AG Grid.
        key: field that identifies a row.
        empty: what it says without rows.
    """
    return dag.AgGrid(
        id={"type": "grid", "name": name},
        rowData=rows,
        columnDefs=[*columns],
        defaultColDef={"sortable": True, "resizable": True, "cellDataType": False},
        dashGridOptions={**GRID_OPTIONS, "localeText": {"noRowsToShow": empty}},
        getRowId=f"params.data.{key}",
        className="grid",
        style={"height": None},
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(float(value), 2)  # noqa: PLR0124 - NaN is the only value unequal to itself
