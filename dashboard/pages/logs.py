"""The search for log lines; everything that it says stands in the address."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import dash
from dash import Dash, ctx, dcc, html

from dashboard.components.basics import card, message, plot
from dashboard.components.logs import log_form, log_table
from dashboard.figures.logs import lines_over_time
from dashboard.pages.live_page import known_zone
from dashboard.queries.cache import Answer
from dashboard.queries.logs import LogPage, LogSearch
from dashboard.queries.search_reader import PERIODS_MS, SearchReader
from dashboard.words import count

_DEFAULT = "1h"
_FIELDS = ("service", "release", "host", "severity", "trace", "text", "template")
_LONGEST = 2_000
"""Characters of a field: beyond it nobody typed it."""
_ROUND_MS = 1_000


def register(_app: Dash, reader: SearchReader) -> None:
    """Add the page to the app."""

    async def layout(**query: str) -> html.Div:
        zone = known_zone(ctx.cookies.get("coalmine_zone", "UTC"))
        wanted = search_of(query, reader.clock.now_ms())
        found = await asyncio.to_thread(reader.logs, wanted)
        asked = query.get("period", "")
        period = asked if asked in PERIODS_MS else _DEFAULT
        return html.Div(
            [
                dcc.Store(id="logs-fresh", data={"still": True}),
                html.Div(
                    [
                        html.H1("Logs", className="page-title"),
                        log_form(query, [*PERIODS_MS], period),
                        *_content(found, wanted, query, zone),
                    ],
                    className="page",
                ),
            ]
        )

    dash.register_page("logs", path="/logs", title="Logs · Coalmine", layout=layout)


def search_of(query: dict[str, str], now_ms: int) -> LogSearch:
    """What an address asks for; what makes no sense in it is left out.

    >>> found = search_of({"service": " shop ", "until": "2026-11-25 22:00", "period": "15m"}, 0)
    >>> found.service, found.end_ms - found.start_ms, found.end_ms
    ('shop', 900000, 1795644000000)
    """
    end_ms = _moment(query.get("until", ""))
    if end_ms is None:
        end_ms = now_ms // _ROUND_MS * _ROUND_MS + _ROUND_MS
    length = PERIODS_MS.get(query.get("period", ""), PERIODS_MS[_DEFAULT])
    fields = {name: query.get(name, "").strip()[:_LONGEST] for name in _FIELDS}
    return LogSearch(start_ms=end_ms - length, end_ms=end_ms, **fields)


def _moment(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text.strip())
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return int(found.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _content(
    found: Answer[LogPage], wanted: LogSearch, query: dict[str, str], zone: str
) -> list[Any]:
    page = found.value
    if page is None:
        return [message("alert", "Elasticsearch does not answer", "Search again later.")]
    span = (wanted.start_ms, wanted.end_ms)
    errors = sum(step[1] for step in page.steps)
    others = sum(step[2] for step in page.steps)
    hint = f"{count(errors)} errors, about {count(others)} other lines"
    if wanted.template:
        hint += ", counted by the words of the template"
    return [
        card(
            "Lines over time",
            plot("lines", lines_over_time(page.steps, span=span, zone=zone), height=170),
            hint=hint,
        ),
        card(
            "Newest lines",
            log_table(page.rows),
            *([_older(page, query)] if page.is_cut and page.rows else []),
            hint="all errors; of other lines the share that the indexer keeps",
        ),
    ]


def _older(page: LogPage, query: dict[str, str]) -> dcc.Link:
    # its own millisecond again: no line between two pages is left out
    last = datetime.fromtimestamp((page.rows[-1].time + 1) / 1000, UTC)
    until = last.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return dcc.Link("Older lines", href=f"/logs?{urlencode({**query, 'until': until})}")
