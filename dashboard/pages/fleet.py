"""The list of rollouts: what needs a person stands first."""

from __future__ import annotations

import asyncio
from typing import Any

import dash
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from dashboard.components import tables
from dashboard.components.basics import message
from dashboard.live import beating, checksum
from dashboard.queries.reader import Freshness, Reader, RolloutList
from dashboard.queries.search_reader import SearchReader

_EMPTY = message(
    "flag",
    "No rollout yet",
    [
        "Start one with ",
        html.Code("coalmine rollout start"),
        ", from your deploy tool, or let a policy with autodetect open it.",
    ],
)


def register(app: Dash, reader: Reader) -> None:
    """Add the page and its live callback to the app."""

    async def layout(**_query: str) -> html.Div:
        found = await asyncio.to_thread(reader.rollouts)
        return html.Div(
            [
                dcc.Interval(id="fleet-tick", interval=1000),
                dcc.Store(id="fleet-beat"),
                dcc.Store(id="fleet-seen", data=_mark(found)),
                dcc.Store(id="fleet-fresh", data=_fresh(found, reader)),
                html.Div(_content(found), id="fleet", className="page"),
            ]
        )

    dash.register_page("fleet", path="/", title="Rollouts · Coalmine", layout=layout)

    beating(app, "fleet")

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("fleet", "children"),
        Output({"type": "grid", "name": ALL}, "rowData"),
        Output("fleet-seen", "data"),
        Output("fleet-fresh", "data"),
        Input("fleet-beat", "data"),
        State("fleet-seen", "data"),
        running=[(Output("fleet-tick", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def update(_beat: int, seen: dict[str, Any]) -> tuple[Any, ...]:
        found = await asyncio.to_thread(reader.rollouts)
        fresh = _fresh(found, reader)
        now = _mark(found)
        grids = ctx.outputs_list[1]
        kept = [no_update] * len(grids)
        if now == seen:
            return no_update, kept, no_update, fresh
        if found.frame is None or found.frame.empty or now["kind"] != seen["kind"]:
            return _content(found), kept, now, fresh
        return no_update, [tables.rollout_rows(found.frame) for _ in grids], now, fresh


def freshness_data(freshness: Freshness, reader: Reader | SearchReader) -> dict[str, Any]:
    """What the browser needs to tell the age of the page, whatever its own clock says."""
    return {
        "as_of": freshness.as_of_ms,
        "server_now": reader.clock.now_ms(),
        "error": freshness.error,
    }


def _fresh(found: RolloutList, reader: Reader) -> dict[str, Any]:
    data = freshness_data(found.freshness, reader)
    if found.last_look_ms is not None:
        data["last_look"] = found.last_look_ms
    return data


def _kind(found: RolloutList) -> str:
    if found.frame is None:
        return "error"
    return "empty" if found.frame.empty else "grid"


def _mark(found: RolloutList) -> dict[str, Any]:
    rows = [] if found.frame is None else tables.rollout_rows(found.frame)
    return {"kind": _kind(found), "rows": checksum(rows)}


def _content(found: RolloutList) -> Any:  # noqa: ANN401 - Dash components are untyped
    if found.frame is None:
        return message(
            "alert", "Elasticsearch does not answer", "This page shows itself as soon as it does."
        )
    if found.frame.empty:
        return _EMPTY
    rows = tables.rollout_rows(found.frame)
    running = sum(row["is_open"] for row in rows)
    return [
        html.Div(
            [
                html.H1("Rollouts", className="page-title"),
                html.Span(f"{running} open · {len(rows)} in all", id="fleet-count"),
            ],
            className="page-head",
        ),
        tables.rollout_grid(rows),
    ]
