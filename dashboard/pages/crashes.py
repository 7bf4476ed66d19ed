"""The crash groups of a service: what is new or came back stands first."""

from __future__ import annotations

import asyncio
from typing import Any

import dash
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from dashboard.components.basics import choice, message
from dashboard.components.crashes import group_grid, group_rows
from dashboard.live import beating, checksum
from dashboard.pages.fleet import freshness_data
from dashboard.queries.reader import Freshness
from dashboard.queries.search_reader import PERIODS_MS, SearchReader

_DEFAULT = "24h"
Address = dict[str, str]


def register(app: Dash, reader: SearchReader) -> None:
    """Add the page and its live callback to the app."""

    def read(address: Address) -> dict[str, Any]:
        """What the page shows of a service and a period, as plain values."""
        answer = reader.groups(address["service"], address["period"])
        rows = None
        if answer.value is not None:
            rows = group_rows(address["service"], answer.value, reader.clock.now_ms())
        fresh = freshness_data(Freshness(answer.as_of_ms, answer.error), reader)
        return {"rows": rows, "fresh": fresh, "seen": checksum(rows)}

    async def layout(service: str = "", period: str = _DEFAULT, **_query: str) -> html.Div:
        period = period if period in PERIODS_MS else _DEFAULT
        services = await asyncio.to_thread(reader.services, period)
        service = service or next(iter(services.value or []), "")
        address = {"service": service, "period": period}
        found = await asyncio.to_thread(read, address)
        return html.Div(
            [
                dcc.Interval(id="crashes-tick", interval=2000),
                dcc.Store(id="crashes-beat"),
                dcc.Store(id="crashes-address", data=address),
                dcc.Store(id="crashes-seen", data=found["seen"]),
                dcc.Store(id="crashes-fresh", data=found["fresh"]),
                html.Div(
                    [
                        _head(address, services.value or []),
                        html.Div(_content(found["rows"], service), id="crashes"),
                    ],
                    className="page",
                ),
            ]
        )

    dash.register_page("crashes", path="/crashes", title="Crashes · Coalmine", layout=layout)

    beating(app, "crashes")

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("crashes", "children"),
        Output({"type": "grid", "name": ALL}, "rowData"),
        Output("crashes-seen", "data"),
        Output("crashes-fresh", "data"),
        Input("crashes-beat", "data"),
        State("crashes-address", "data"),
        State("crashes-seen", "data"),
        running=[(Output("crashes-tick", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def update(_beat: int, address: Address, seen: int) -> tuple[Any, ...]:
        found = await asyncio.to_thread(read, address)
        grids = ctx.outputs_list[1]
        if found["seen"] == seen:
            return no_update, [no_update] * len(grids), seen, found["fresh"]
        if not found["rows"] or not grids:
            content = _content(found["rows"], address["service"])
            return content, [no_update] * len(grids), found["seen"], found["fresh"]
        return no_update, [found["rows"] for _ in grids], found["seen"], found["fresh"]


def _head(address: Address, services: list[str]) -> html.Div:
    names = sorted({*services, *([address["service"]] if address["service"] else [])})
    return html.Div(
        [
            html.H1("Crashes", className="page-title"),
            html.Form(
                [
                    choice("service", "Service", {n: n for n in names}, address["service"]),
                    choice("period", "Within", {p: p for p in PERIODS_MS}, address["period"]),
                    html.Button("Show", type="submit", className="search-button"),
                ],
                method="get",
                action="/crashes",
                className="search-form",
            ),
        ],
        className="page-head",
    )


def _content(rows: list[dict[str, Any]] | None, service: str) -> Any:  # noqa: ANN401 - Dash components are untyped
    if rows is None:
        return message(
            "alert", "Elasticsearch does not answer", "This page shows itself as soon as it does."
        )
    if not rows:
        where = f" of {service}" if service else ""
        return message("check", f"No crash{where} in this time", "Choose a longer one to see more.")
    return group_grid(rows)
