"""One rollout: the page that people keep open while they deploy."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from contracts.results import RolloutStatus
from dashboard.components.basics import message
from dashboard.components.controls import controls, offered
from dashboard.components.rollout import body, crash_sample, draw
from dashboard.pages.fleet import freshness_data
from dashboard.pages.live_page import Address, LivePage, Shown, join
from dashboard.queries.reader import Reader, RolloutAnswer
from dashboard.steering import operator_of


def register(app: Dash, reader: Reader) -> None:
    """Add the page and its callbacks to the app."""

    def show(address: Address, zone: str) -> Shown:
        found = reader.rollout(address["service"], address["release"], address["rollout"])
        if found.view is None:
            return Shown(_fresh(found, reader), None, lambda: _nothing(found, address))
        view, drawing = found.view, draw(found.view, zone)
        return Shown(_fresh(found, reader), drawing, lambda: body(view, drawing))

    page = LivePage(
        name="rollout",
        path="/s/<service>/r/<release>",
        title=_title,
        address=_address,
        show=show,
        above=_controls,
        beside=lambda: [
            dmc.Drawer(id="sample", position="right", size="xl", title="Crash sample", opened=False)
        ],
    )
    join(app, page, reader.clock)

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("sample", "opened"),
        Output("sample", "children"),
        Input({"type": "grid", "name": ALL}, "cellClicked"),
        State("rollout-address", "data"),
        prevent_initial_call=True,
    )
    async def show_sample(clicks: list[dict[str, Any] | None], address: Address) -> tuple[Any, Any]:
        clicked = next(iter(clicks), None)
        if clicked is None:
            return no_update, no_update
        answer = await asyncio.to_thread(
            reader.sample, address["service"], clicked["rowId"], address["release"]
        )
        if answer.value is None:
            return True, html.P(answer.error or "No sample of this crash is kept any more.")
        return True, crash_sample(answer.value)


def _controls(shown: Shown) -> list[Any]:
    """The buttons, for those who may use them."""
    if not operator_of(ctx.headers):
        return []
    status = shown.fresh.get("status")
    return [controls(RolloutStatus(status) if status else None)]


def _address(query: dict[str, str]) -> Address:
    named = {name: unquote(query.get(name, "")) for name in ("service", "release")}
    return {**named, "rollout": query.get("rollout", "")}


def _title(service: str = "", release: str = "") -> str:
    return f"{unquote(service)} {unquote(release)} · Coalmine"


def _fresh(found: RolloutAnswer, reader: Reader) -> dict[str, Any]:
    data = freshness_data(found.freshness, reader)
    if found.view is not None and found.view.verdict.status.is_open:
        data["last_look"] = found.view.verdict.processed_time
    if found.view is not None:
        verdict = found.view.verdict
        data |= {
            "status": verdict.status.value,
            "offered": offered(verdict.status),
            "phase": verdict.phase,
            "phases": [phase.name for phase in verdict.phases],
        }
    return data


def _nothing(found: RolloutAnswer, address: Address) -> html.Div:
    if found.freshness.error:
        return message(
            "alert", "Elasticsearch does not answer", "This page shows itself as soon as it does."
        )
    return message(
        "empty",
        f"No rollout of {address['release']} in {address['service']} yet",
        [
            "This page fills itself when it starts. ",
            dcc.Link("All rollouts", href="/"),
        ],
    )
