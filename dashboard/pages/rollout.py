"""One rollout: the page that people keep open while they deploy."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import dash
import dash_mantine_components as dmc
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update

from dashboard.components.basics import message
from dashboard.components.rollout import Drawing, body, crash_sample, draw
from dashboard.live import changed, checksum, checksums, patch_of
from dashboard.pages.fleet import freshness_data
from dashboard.queries.cache import Cache
from dashboard.queries.reader import Reader, RolloutAnswer

Address = dict[str, str]


def register(app: Dash, reader: Reader) -> None:
    """Add the page and its callbacks to the app."""
    drawings = Cache(reader.clock)

    def read(address: Address, zone: str) -> tuple[RolloutAnswer, Drawing | None, dict[str, int]]:
        """The view and its drawing; all viewers of a rollout and zone share one drawing."""

        def load() -> tuple[RolloutAnswer, Drawing | None, dict[str, int]]:
            found = reader.rollout(address["service"], address["release"], address["rollout"])
            if found.view is None:
                return found, None, {}
            drawing = draw(found.view, zone)
            return found, drawing, _marks(drawing)

        drawn = drawings.get((*address.values(), zone), 0.5, load).value
        assert drawn is not None
        return drawn

    async def layout(
        service: str = "", release: str = "", rollout: str = "", **_query: str
    ) -> html.Div:
        address = {"service": unquote(service), "release": unquote(release), "rollout": rollout}
        zone = known_zone(ctx.cookies.get("coalmine_zone", "UTC"))
        found, drawing, marks = await asyncio.to_thread(read, address, zone)
        return html.Div(
            [
                dcc.Interval(id="rollout-tick", interval=1000),
                dcc.Store(id="rollout-beat"),
                dcc.Store(id="rollout-address", data=address),
                dcc.Store(id="rollout-seen", data=marks),
                dcc.Store(id="rollout-fresh", data=_fresh(found, reader)),
                html.Div(_content(found, drawing, address), id="rollout"),
                dmc.Drawer(
                    id="sample", position="right", size="xl", title="Crash sample", opened=False
                ),
            ]
        )

    dash.register_page(
        "rollout",
        path_template="/s/<service>/r/<release>",
        title=_title,
        layout=layout,
    )

    app.clientside_callback(
        ClientsideFunction("coalmine", "zoned_beat"),
        Output("rollout-beat", "data"),
        Input("rollout-tick", "n_intervals"),
        Input("zone", "value"),
        prevent_initial_call=True,
    )

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("rollout", "children"),
        Output({"type": "slot", "name": ALL}, "children"),
        Output({"type": "figure", "name": ALL}, "figure"),
        Output({"type": "grid", "name": ALL}, "rowData"),
        Output("rollout-seen", "data"),
        Output("rollout-fresh", "data"),
        Input("rollout-beat", "data"),
        State("rollout-address", "data"),
        State("rollout-seen", "data"),
        running=[(Output("rollout-tick", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def update(
        beat: dict[str, Any], address: Address, seen: dict[str, int]
    ) -> tuple[Any, ...]:
        zone = known_zone(beat["zone"])
        slots, figures, grids = (_names(outputs) for outputs in ctx.outputs_list[1:4])
        found, drawing, now = await asyncio.to_thread(read, address, zone)
        fresh = _fresh(found, reader)
        if drawing is None or seen.get("structure") != now["structure"]:
            content = _content(found, drawing, address) if now != seen or not now else no_update
            kept = [[no_update] * len(names) for names in (slots, figures, grids)]
            return content, *kept, now, fresh
        patches = {name: patch_of(figure) for name, figure in drawing.figures.items()}
        return (
            no_update,
            changed(slots, drawing.slots, now, seen),
            changed(figures, patches, now, seen),
            changed(grids, {"crashes": drawing.crashes}, now, seen),
            now,
            fresh,
        )

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


def known_zone(name: str) -> str:
    """A time zone's name as it came from a browser, or UTC where it is none."""
    try:
        return ZoneInfo(unquote(name)).key
    except (KeyError, ValueError, OSError):
        return "UTC"


def _title(service: str = "", release: str = "") -> str:
    return f"{unquote(service)} {unquote(release)} · Coalmine"


def _names(outputs: list[dict[str, Any]]) -> list[str]:
    """Names of the slots or figures that a browser has, in its order."""
    return [output["id"]["name"] for output in outputs]


def _marks(drawing: Drawing) -> dict[str, int]:
    return {
        **checksums(drawing.slots),
        **checksums(drawing.figures),
        "crashes": checksum(drawing.crashes),
        "structure": checksum(drawing.structure),
    }


def _fresh(found: RolloutAnswer, reader: Reader) -> dict[str, Any]:
    data = freshness_data(found.freshness, reader)
    if found.view is not None and found.view.verdict.status.is_open:
        data["last_look"] = found.view.verdict.processed_time
    return data


def _content(found: RolloutAnswer, drawing: Drawing | None, address: Address) -> Any:  # noqa: ANN401 - Dash components are untyped
    if found.view is not None and drawing is not None:
        return body(found.view, drawing)
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
