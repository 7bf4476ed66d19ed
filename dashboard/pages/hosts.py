"""Load of hosts, by release and by host."""

from __future__ import annotations

from dash import Dash, html

from dashboard.components.basics import card, message, plot, slot
from dashboard.components.forms import form, names, page_head
from dashboard.components.services import host_grid, host_rows, restart_sentence
from dashboard.figures.hosts import TITLES, load
from dashboard.live import Drawing
from dashboard.pages.addresses import fields, fresh_data, unavailable
from dashboard.pages.live_page import Address, LivePage, Shown, join
from dashboard.queries.page_reader import HostsView, PageReader
from dashboard.queries.search_reader import PERIODS_MS

_DEFAULT = "1h"
_LONGEST = 7
"""Days that samples are kept."""


def register(app: Dash, reader: PageReader) -> None:
    """Add the page to the app."""

    def show(address: Address, zone: str) -> Shown:
        now, length = reader.clock.now_ms(), PERIODS_MS[address["period"]]
        answer = reader.hosts(address["service"], length)
        fresh = fresh_data(answer, now)
        services = reader.components(length).value
        known = [] if services is None else [*map(str, services["service"])]
        head = _head(address, known)
        if answer.value is None:
            return Shown(fresh, None, lambda: html.Div([head, unavailable()], className="page"))
        if answer.value.hosts.empty:
            return Shown(fresh, None, lambda: html.Div([head, _nothing()], className="page"))
        drawing = _draw(answer.value, address, (now - length, now), zone)
        return Shown(fresh, drawing, lambda: _body(head, drawing))

    join(
        app,
        LivePage(
            name="hosts",
            path="/hosts",
            title="Hosts · Coalmine",
            address=lambda query: fields(query, "service", period=_DEFAULT),
            show=show,
            interval_ms=5000,
        ),
        reader.clock,
    )


def _head(address: Address, known: list[str]) -> html.Div:
    day = 86_400_000
    periods = [name for name, length in PERIODS_MS.items() if length <= _LONGEST * day]
    return page_head(
        "Hosts",
        form(
            "/hosts",
            [
                names("service", "Service", sorted(known), address["service"], empty="all"),
                names("period", "Within", periods, address["period"]),
            ],
        ),
    )


def _nothing() -> html.Div:
    return message(
        "empty",
        "No host told its load in this time",
        ["An agent does when its file has a source of ", html.Code("kind: host"), "."],
    )


def _draw(view: HostsView, address: Address, span: tuple[int, int], zone: str) -> Drawing:
    return Drawing(
        structure=f"hosts|{address['service']}|{address['period']}|{zone}",
        figures={
            f"hosts {value}": load(view.load, value, span=span, zone=zone) for value in TITLES
        },
        slots={"restarts": restart_sentence(view.hosts)},
        grids={"hosts": host_rows(view.hosts)},
    )


def _body(head: html.Div, drawing: Drawing) -> html.Div:
    cards = [
        card(
            title,
            plot(f"hosts {value}", drawing.figures[f"hosts {value}"], height=200),
            hint="middle host of each release; thin: one host in ten is above",
        )
        for value, (title, _) in TITLES.items()
    ]
    return html.Div(
        [
            head,
            html.Div(cards[:2], className="pair"),
            html.Div(cards[2:], className="pair"),
            card(
                "Hosts",
                slot("restarts", drawing.slots["restarts"], className="dim-line"),
                host_grid(drawing.grids["hosts"]),
                hint="means of this time, the busiest first; a name leads to its log lines",
            ),
        ],
        className="page",
    )
