"""Decisions and deliveries: what was decided, what people asked for, and who was told."""

from __future__ import annotations

from dash import Dash, html

from dashboard.components.basics import choice, message, slot
from dashboard.components.forms import form, names, page_head, text
from dashboard.components.trail import KINDS, trail
from dashboard.live import Drawing
from dashboard.pages import resending
from dashboard.pages.addresses import fields, fresh_data, span_of, unavailable
from dashboard.pages.live_page import Address, LivePage, Shown, join
from dashboard.queries.audit import MOST_ENTRIES, AuditSearch
from dashboard.queries.page_reader import PageReader
from dashboard.queries.search_reader import PERIODS_MS
from dashboard.words import ACTIONS, DELIVERIES, OUTCOMES, REQUESTS, count

_DEFAULT = "7d"
_FILTERS = ("service", "rollout", "kind", "action", "outcome", "who")


def register(app: Dash, reader: PageReader) -> None:
    """Add the page to the app."""

    def show(address: Address, _zone: str) -> Shown:
        now = reader.clock.now_ms()
        start_ms, end_ms = span_of(address, now)
        wanted = AuditSearch(start_ms, end_ms, **{name: address[name] for name in _FILTERS})
        answer = reader.trail(wanted, key=f"{address['period']} {address['until']}")
        fresh, head = fresh_data(answer, now), _head(address)
        if (entries := answer.value) is None:
            return Shown(fresh, None, lambda: html.Div([head, unavailable()], className="page"))
        if not entries:
            return Shown(fresh, None, lambda: html.Div([head, _nothing()], className="page"))
        told = f"{count(len(entries))} entries"
        if len(entries) >= MOST_ENTRIES:
            told += f"; the newest {MOST_ENTRIES} of each kind are shown, earlier ones with Until"
        drawing = Drawing(
            structure="audit|" + "|".join(address.values()),
            slots={"trail": trail(entries), "trail count": told},
        )
        return Shown(fresh, drawing, lambda: _body(head, drawing))

    join(
        app,
        LivePage(
            name="audit",
            path="/decisions",
            title="Decisions and deliveries · Coalmine",
            address=lambda query: {
                **fields(query, *_FILTERS, "until", period=_DEFAULT),
                "kind": query.get("kind", "") if query.get("kind") in KINDS else "",
            },
            show=show,
            interval_ms=2000,
            above=lambda _shown: resending.above(),
            beside=resending.beside,
        ),
        reader.clock,
    )


def _head(address: Address) -> html.Div:
    kinds = {"": "everything"} | {name: label.word for name, label in KINDS.items()}
    actions = [*dict.fromkeys([*map(str, ACTIONS), *map(str, REQUESTS)])]
    outcomes = [*dict.fromkeys([*map(str, OUTCOMES), *map(str, DELIVERIES), "accepted"])]
    return html.Div(
        [
            page_head("Decisions and deliveries"),
            form(
                "/decisions",
                [
                    text("service", "Service", address["service"]),
                    text("rollout", "Rollout", address["rollout"]),
                    choice("kind", "Kind", kinds, address["kind"]),
                    names("action", "Action", actions, address["action"], empty="any"),
                    names("outcome", "Result", outcomes, address["outcome"], empty="any"),
                    text("who", "Asked by", address["who"]),
                    names("period", "Within", [*PERIODS_MS], address["period"]),
                    text("until", "Until (UTC)", address["until"], "now, or 2026-11-25 22:00"),
                ],
            ),
        ]
    )


def _nothing() -> html.Div:
    return message(
        "empty",
        "Nothing was decided, asked for or told",
        "Choose a longer time or fewer filters to see more.",
    )


def _body(head: html.Div, drawing: Drawing) -> html.Div:
    return html.Div(
        [
            head,
            slot("trail count", drawing.slots["trail count"], className="dim"),
            slot("trail", drawing.slots["trail"], className="card trail-card"),
        ],
        className="page",
    )
