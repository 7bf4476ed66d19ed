"""The releases of a service in the wild: adoption, crash-free sessions and users, support."""

from __future__ import annotations

from dash import Dash, html

from dashboard.components.basics import card, message, plot, slot
from dashboard.components.forms import form, names, page_head
from dashboard.components.releases import release_table, support_table
from dashboard.figures.adoption import adoption
from dashboard.live import Drawing
from dashboard.pages.addresses import fields, fresh_data, unavailable
from dashboard.pages.live_page import Address, LivePage, Shown, join
from dashboard.queries.page_reader import PageReader
from dashboard.queries.release_records import ReleaseReport
from dashboard.queries.search_reader import PERIODS_MS

_DEFAULT = "7d"
_LONGEST_MS = PERIODS_MS["30d"]
"""Windows are kept for so long."""


def register(app: Dash, reader: PageReader) -> None:
    """Add the page to the app."""

    def show(address: Address, zone: str) -> Shown:
        now, length = reader.clock.now_ms(), min(PERIODS_MS[address["period"]], _LONGEST_MS)
        services = reader.components(length)
        known = [] if services.value is None else [*map(str, services.value["service"])]
        service = address["service"] or next(iter(known), "")
        head = _head(address, known, service)
        if not service:
            told = unavailable() if services.value is None else _nothing()
            fresh = fresh_data(services, now)
            return Shown(fresh, None, lambda: html.Div([head, told], className="page"))
        answer = reader.report(service, length)
        fresh = fresh_data(answer, now)
        report = answer.value
        if report is None or not report.releases:
            told = unavailable() if report is None else _nothing()
            return Shown(fresh, None, lambda: html.Div([head, told], className="page"))
        drawing = _draw(report, (now - length, now), address, zone)
        return Shown(fresh, drawing, lambda: _body(head, drawing))

    join(
        app,
        LivePage(
            name="releases",
            path="/releases",
            title="Releases · Coalmine",
            address=lambda query: fields(query, "service", period=_DEFAULT),
            show=show,
            interval_ms=10_000,
        ),
        reader.clock,
    )


def _head(address: Address, known: list[str], service: str) -> html.Div:
    periods = [name for name, length in PERIODS_MS.items() if length <= _LONGEST_MS]
    return page_head(
        "Releases in the wild",
        form(
            "/releases",
            [
                names("service", "Service", sorted(known), service),
                names("period", "Within", periods, address["period"]),
            ],
        ),
    )


def _nothing() -> html.Div:
    return message("empty", "No release had traffic in this time", "Choose a longer one.")


def _draw(report: ReleaseReport, span: tuple[int, int], address: Address, zone: str) -> Drawing:
    points = [(point.time, point.release, point.exposures) for point in report.adoption]
    return Drawing(
        structure=f"releases|{report.service}|{address['period']}|{zone}",
        slots={
            "release summary": report.summary,
            "releases": release_table(report),
            "support": support_table(report),
        },
        figures={"adoption": adoption(points, span=span, zone=zone)},
    )


def _body(head: html.Div, drawing: Drawing) -> html.Div:
    slots = drawing.slots
    return html.Div(
        [
            head,
            slot("release summary", slots["release summary"], className="reason"),
            card(
                "Adoption",
                plot("adoption", drawing.figures["adoption"], height=280),
                hint="share of each release of all sessions, or requests where none are told",
            ),
            card(
                "Releases",
                slot("releases", slots["releases"]),
                hint="the newest first; each beside the one before it, from first traffic to the "
                "same age, with a 95 % interval for one look",
            ),
            card(
                "If support ended",
                slot("support", slots["support"]),
                hint="those that used nothing newer, with a 95 % interval",
            ),
        ],
        className="page",
    )
