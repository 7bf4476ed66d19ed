"""How the pipeline itself is: how new everything is, how far behind, and what was set aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from dash import Dash, html

from dashboard import words
from dashboard.components.basics import badge, card, moment, plot, slot
from dashboard.components.forms import form, names, page_head
from dashboard.components.tables import table
from dashboard.figures.delays import delays
from dashboard.live import Drawing
from dashboard.pages.addresses import fields, fresh_data, unavailable
from dashboard.pages.live_page import Address, LivePage, Shown, join
from dashboard.queries.elastic import Source
from dashboard.queries.frames import records
from dashboard.queries.page_reader import PageReader, PipelineView
from dashboard.queries.parts import PartHealth, PartsReader
from dashboard.queries.search_reader import PERIODS_MS

_DEFAULT = "1h"


def register(app: Dash, reader: PageReader, parts: PartsReader) -> None:
    """Add the page to the app."""

    def show(address: Address, zone: str) -> Shown:
        now, length = reader.clock.now_ms(), PERIODS_MS[address["period"]]
        answer = reader.pipeline(length)
        fresh = fresh_data(answer, now)
        head = page_head(
            "Pipeline health",
            form("/pipeline", [names("period", "Within", [*PERIODS_MS], address["period"])]),
        )
        if answer.value is None:
            return Shown(fresh, None, lambda: html.Div([head, unavailable()], className="page"))
        drawing = _draw(answer.value, parts.read(), (now - length, now), address, zone)
        return Shown(fresh, drawing, lambda: _body(head, drawing))

    join(
        app,
        LivePage(
            name="pipeline",
            path="/pipeline",
            title="Pipeline health · Coalmine",
            address=lambda query: fields(query, period=_DEFAULT),
            show=show,
            interval_ms=5000,
        ),
        reader.clock,
    )


def _draw(
    view: PipelineView,
    parts: Sequence[PartHealth],
    span: tuple[int, int],
    address: Address,
    zone: str,
) -> Drawing:
    return Drawing(
        structure=f"pipeline|{address['period']}|{zone}",
        slots={
            "kinds": _kinds(view.kinds),
            "parts": _parts(parts),
            "reasons": _reasons(view.reasons),
            "letters": _letters(view.letters),
        },
        figures={"delays": delays(view.delays, span=span, zone=zone)},
    )


def _body(head: html.Div, drawing: Drawing) -> html.Div:
    slots = drawing.slots
    return html.Div(
        [
            head,
            card(
                "Processes",
                slot("parts", slots["parts"]),
                hint="as their health ports tell it; lag is what waits in Kafka",
            ),
            html.Div(
                [
                    card(
                        "How far the judge is behind",
                        plot("delays", drawing.figures["delays"], height=250),
                        hint="from the end of a second to the look at it",
                    ),
                    card(
                        "What is stored",
                        slot("kinds", slots["kinds"]),
                        hint="newest by its own time; in the last five minutes",
                    ),
                ],
                className="pair pair-tables",
            ),
            html.Div(
                [
                    card("Set aside, by reason", slot("reasons", slots["reasons"])),
                    card(
                        "Newest dead letters",
                        slot("letters", slots["letters"]),
                        hint=html.Code("coalmine deadletters list"),
                    ),
                ],
                className="pair pair-tables",
            ),
        ],
        className="page",
    )


def _kinds(frame: pd.DataFrame) -> Any:  # noqa: ANN401 - Dash components are untyped
    rows = [
        [
            words.metric_title(str(row["name"])),
            moment(None if pd.isna(row["newest"]) else int(row["newest"]), "ago"),
            words.count(row["recent"]),
        ]
        for row in records(frame)
    ]
    return table(["", "Newest", "Last 5 min"], rows, class_name="narrow")


def _parts(parts: Sequence[PartHealth]) -> Any:  # noqa: ANN401 - Dash components are untyped
    if not parts:
        return html.P(
            [
                "The dashboard was not told where the processes are: ",
                html.Code("coalmine dashboard --targets prometheus-targets.json"),
                ", the file that coalmine up writes.",
            ],
            className="quiet",
        )
    rows = [
        [
            part.name,
            badge(part.label),
            "–" if part.lag_s is None else words.duration(part.lag_s),
            "–" if part.lag_messages is None else words.count(part.lag_messages),
            "–" if part.late is None else words.count(part.late),
            words.count(part.dead),
        ]
        for part in parts
    ]
    head = ["Process", "State", "Lag", "Messages that wait", "Late records", "Set aside"]
    return table(head, rows)


def _reasons(frame: pd.DataFrame) -> Any:  # noqa: ANN401 - Dash components are untyped
    if frame.empty:
        return html.P("Nothing was set aside in this time.", className="quiet")
    rows = [
        [
            str(row["stage"]),
            str(row["reason"]),
            words.count(row["count"]),
            moment(int(row["last"]), "ago"),
        ]
        for row in records(frame)
    ]
    return table(["Stage", "Reason", "Records", "Last"], rows)


def _letters(letters: Sequence[Source]) -> Any:  # noqa: ANN401 - Dash components are untyped
    if not letters:
        return html.P("Nothing was set aside in this time.", className="quiet")
    rows = [
        [
            moment(int(one["@timestamp"]), "date"),
            html.Span(
                [
                    html.B(str(one.get("reason", ""))),
                    html.Span(str(one.get("detail", ""))[:300], className="dim-line"),
                ]
            ),
            str(one.get("origin", "")),
            "sent again" if one.get("replayed_at") else "",
        ]
        for one in letters
    ]
    return table(["Time", "Reason", "Origin", ""], rows)
