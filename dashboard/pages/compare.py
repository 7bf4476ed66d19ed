"""Any two releases, or arms of a flag, over any stretch of time."""

from __future__ import annotations

from typing import Any

from dash import Dash, html

from dashboard.components.basics import card, message, plot, slot
from dashboard.components.comparison import difference_table, group_table
from dashboard.components.forms import form, names, page_head, text
from dashboard.figures.base import Figure, renamed
from dashboard.figures.latency import tail
from dashboard.figures.rates import rates
from dashboard.figures.traffic import traffic
from dashboard.live import Drawing
from dashboard.pages.addresses import fields, fresh_data, span_of, unavailable
from dashboard.pages.live_page import Address, LivePage, Shown, join
from dashboard.queries.page_reader import Comparison, ComparisonView, PageReader
from dashboard.queries.search_reader import PERIODS_MS

_DEFAULT = "24h"


def register(app: Dash, reader: PageReader) -> None:
    """Add the page to the app."""

    def show(address: Address, zone: str) -> Shown:
        now = reader.clock.now_ms()
        span = span_of(address, now)
        services = reader.components(PERIODS_MS[address["period"]])
        known = [] if services.value is None else [*map(str, services.value["service"])]
        service = address["service"] or next(iter(known), "")
        releases = reader.releases(service, *span)
        wanted = _sides(address, service, [*(releases.value or {})], span)
        head = _head({**address, "service": service}, known, [*(releases.value or {})], wanted)
        if not wanted.here or not wanted.there:
            failed = services if services.error else releases
            told = unavailable() if failed.value is None else _too_few(service)
            fresh = fresh_data(failed, now)
            return Shown(fresh, None, lambda: html.Div([head, told], className="page"))
        answer = reader.comparison(wanted, key=f"{address['period']} {address['until']}")
        fresh = fresh_data(answer, now)
        if (view := answer.value) is None:
            return Shown(fresh, None, lambda: html.Div([head, unavailable()], className="page"))
        drawing = _draw(view, wanted, zone)
        return Shown(fresh, drawing, lambda: _body(head, drawing))

    join(
        app,
        LivePage(
            name="compare",
            path="/compare",
            title="Compare · Coalmine",
            address=lambda query: fields(
                query, "service", "this", "with", "until", period=_DEFAULT
            ),
            show=show,
            interval_ms=5000,
        ),
        reader.clock,
    )


def _sides(address: Address, service: str, known: list[str], span: tuple[int, int]) -> Comparison:
    """What is compared: without a word of the reader the two newest releases."""
    here = address["this"] or next((r for r in known if r != address["with"]), "")
    there = address["with"] or next((r for r in known if r != here), "")
    return Comparison(service, here, there, *span)


def _head(
    address: Address, services: list[str], releases: list[str], wanted: Comparison
) -> html.Div:
    return page_head(
        "Compare",
        form(
            "/compare",
            [
                names("service", "Service", sorted(services), address["service"]),
                names("this", "This release or arm", releases, wanted.here),
                names("with", "Beside", releases, wanted.there),
                names("period", "Within", [*PERIODS_MS], address["period"]),
                text("until", "Until (UTC)", address["until"], "now, or 2026-11-25 22:00"),
            ],
        ),
    )


def _too_few(service: str) -> html.Div:
    if not service:
        return message("empty", "No service sent anything in this time", "Choose a longer one.")
    return message(
        "empty",
        f"Fewer than two releases of {service} in this time",
        "Choose a longer one, or name the releases in the address: ?this=…&with=….",
    )


def _draw(view: ComparisonView, wanted: Comparison, zone: str) -> Drawing:
    sides = {
        "canary": wanted.here,
        "baseline": wanted.there,
        "canary's share": f"share of {wanted.here}",
    }
    common: dict[str, Any] = {"span": (wanted.start_ms, wanted.end_ms), "zone": zone}
    figures: dict[str, Figure] = {
        "compare errors": rates(view.counts, bad="request.bad", **common),
        "compare traffic": traffic(view.counts, bucket_s=view.bucket_s, **common),
        "compare tail": tail(view.histograms),
        "compare crashes": rates(view.counts, bad="crash", **common),
    }
    shown = (wanted.here, wanted.there)
    return Drawing(
        structure="|".join(["compare", wanted.service, *shown, zone]),
        slots={
            "compare differences": difference_table(view, *shown),
            "compare groups": group_table(view, wanted.service, *shown),
        },
        figures={name: renamed(figure, sides) for name, figure in figures.items()},
    )


def _body(head: html.Div, drawing: Drawing) -> html.Div:
    titles = {
        "compare errors": ("Error rate", "bad requests per request"),
        "compare traffic": ("Traffic", "requests per second, and the first one's share"),
        "compare tail": ("Tail: share of requests slower than x", "both axes logarithmic"),
        "compare crashes": ("Crash rate", "crashes per request"),
    }
    cards = [
        card(title, plot(name, drawing.figures[name], height=250), hint=hint)
        for name, (title, hint) in titles.items()
    ]
    return html.Div(
        [
            head,
            card(
                "What differs",
                slot("compare differences", drawing.slots["compare differences"]),
                hint="95 % intervals for one look at a time that was chosen beforehand",
            ),
            html.Div(cards[:2], className="pair"),
            html.Div(cards[2:], className="pair"),
            card(
                "Crash groups that differ", slot("compare groups", drawing.slots["compare groups"])
            ),
        ],
        className="page",
    )
