"""One crash group: what broke, since when, for how many, and what was logged around it."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, unquote

import dash
from dash import Dash, dcc, html

from dashboard.components.basics import message
from dashboard.components.crashes import group_body
from dashboard.queries.cache import Answer
from dashboard.queries.search_reader import GroupView, SearchReader

_PERIOD = "30d"


def register(_app: Dash, reader: SearchReader) -> None:
    """Add the page to the app."""

    async def layout(service: str = "", group: str = "", **_query: str) -> html.Div:
        service, group = unquote(service), unquote(group)
        found = await asyncio.to_thread(reader.group, service, group, _PERIOD)
        return html.Div(
            [
                dcc.Store(id="crash-fresh", data={"still": True}),
                html.Div(_content(found, service), className="page"),
            ]
        )

    dash.register_page(
        "crash_group",
        path_template="/s/<service>/crashes/<group>",
        title=_title,
        layout=layout,
    )


def _title(service: str = "", **_rest: str) -> str:
    return f"Crash of {unquote(service)} · Coalmine"


def _content(found: Answer[GroupView | None], service: str) -> Any:  # noqa: ANN401 - Dash components are untyped
    if found.value is not None:
        return group_body(service, found.value)
    if found.error:
        return message("alert", "Elasticsearch does not answer", "Load this page again later.")
    href = f"/crashes?service={quote(service, safe='')}"
    return message(
        "empty",
        f"No such crash group of {service} is kept",
        dcc.Link("All crashes of it", href=href),
    )
