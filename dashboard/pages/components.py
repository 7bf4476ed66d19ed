"""Services: their traffic, errors, latency and releases."""

from __future__ import annotations

from dash import Dash, html

from dashboard.components.basics import card, message
from dashboard.components.forms import form, names, page_head
from dashboard.components.services import component_grid, component_rows
from dashboard.live import Drawing
from dashboard.pages.addresses import fields, fresh_data, unavailable
from dashboard.pages.live_page import Address, LivePage, Shown, join
from dashboard.queries.page_reader import PageReader
from dashboard.queries.search_reader import PERIODS_MS

_DEFAULT = "1h"


def register(app: Dash, reader: PageReader) -> None:
    """Add the page to the app."""

    def show(address: Address, _zone: str) -> Shown:
        period = address["period"]
        answer = reader.components(PERIODS_MS[period])
        fresh = fresh_data(answer, reader.clock.now_ms())
        head = page_head(
            "Components",
            form("/components", [names("period", "Within", [*PERIODS_MS], period)]),
        )
        if answer.value is None:
            return Shown(fresh, None, lambda: html.Div([head, unavailable()], className="page"))
        if answer.value.empty:
            return Shown(fresh, None, lambda: html.Div([head, _nothing()], className="page"))
        rows = component_rows(answer.value, period)
        drawing = Drawing(structure=f"components|{period}", grids={"components": rows})
        return Shown(fresh, drawing, lambda: _body(head, drawing))

    join(
        app,
        LivePage(
            name="components",
            path="/components",
            title="Components · Coalmine",
            address=lambda query: fields(query, period=_DEFAULT),
            show=show,
            interval_ms=5000,
        ),
        reader.clock,
    )


def _nothing() -> html.Div:
    return message("empty", "No service sent anything in this time", "Choose a longer one.")


def _body(head: html.Div, drawing: Drawing) -> html.Div:
    grid = component_grid(drawing.grids["components"])
    hint = (
        "the busiest first; a name compares its two newest releases, a number leads to its records"
    )
    return html.Div([head, card("Services", grid, hint=hint)], className="page")
