"""A page that keeps itself current: one layout, one callback a beat, whatever it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import dash
from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, dcc, html, no_update

from contracts.clock import Clock
from dashboard.live import Drawing, Marks, changed, patch_of
from dashboard.queries.cache import Cache

Address = dict[str, str]
"""What the address of a page says, as plain words."""

_SHARED_S = 0.5


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows at one moment."""

    fresh: dict[str, Any]
    """What the browser needs to tell the age of the page."""
    drawing: Drawing | None
    """None where there is nothing to draw yet."""
    content: Callable[[], Any]
    """Builds the whole page, or the words that stand in its place."""


@dataclass(frozen=True, slots=True)
class LivePage:
    """One kind of page.

    Attributes:
        name: of its components.
        path: path, or template of paths.
        title: of the tab, or what makes it of the parts of the path.
        address: what a query means, by the names of its fields.
        show: what an address shows in a time zone; may read from Elasticsearch.
        interval_ms: milliseconds between two beats.
        above: components over what is shown, which no beat replaces; may ask who looks.
        beside: further components, which no beat replaces.
    """

    name: str
    path: str
    title: str | Callable[..., str]
    address: Callable[[dict[str, str]], Address]
    show: Callable[[Address, str], Shown]
    interval_ms: int = 1000
    above: Callable[[Shown], list[Any]] = lambda _shown: []
    beside: Callable[[], list[Any]] = list


def join(app: Dash, page: LivePage, clock: Clock) -> None:
    """Add a page and its callback to the app; all its viewers share what is drawn."""
    drawn = Cache(clock)
    name = page.name

    def read(address: Address, zone: str) -> tuple[Shown, Marks]:
        def load() -> tuple[Shown, Marks]:
            shown = page.show(address, zone)
            return shown, shown.drawing.marks() if shown.drawing else {}

        found = drawn.get((*address.items(), zone), _SHARED_S, load).value
        assert found is not None
        return found

    async def layout(**query: str) -> html.Div:
        zone = known_zone(ctx.cookies.get("coalmine_zone", "UTC"))
        address = page.address(query)
        shown, marks = await asyncio.to_thread(read, address, zone)
        return html.Div(
            [
                dcc.Interval(id=f"{name}-tick", interval=page.interval_ms),
                dcc.Store(id=f"{name}-beat"),
                dcc.Store(id=f"{name}-address", data=address),
                dcc.Store(id=f"{name}-seen", data=marks),
                dcc.Store(id=f"{name}-fresh", data=shown.fresh),
                *page.above(shown),
                html.Div(shown.content(), id=name),
                *page.beside(),
            ]
        )

    where = {"path_template" if "<" in page.path else "path": page.path}
    dash.register_page(name, **where, title=page.title, layout=layout)
    app.clientside_callback(
        ClientsideFunction("coalmine", "zoned_beat"),
        Output(f"{name}-beat", "data"),
        Input(f"{name}-tick", "n_intervals"),
        Input("zone", "value"),
        prevent_initial_call=True,
    )

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output(name, "children"),
        Output({"type": "slot", "name": ALL}, "children"),
        Output({"type": "figure", "name": ALL}, "figure"),
        Output({"type": "grid", "name": ALL}, "rowData"),
        Output(f"{name}-seen", "data"),
        Output(f"{name}-fresh", "data"),
        Input(f"{name}-beat", "data"),
        State(f"{name}-address", "data"),
        State(f"{name}-seen", "data"),
        running=[(Output(f"{name}-tick", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def update(beat: dict[str, Any], address: Address, seen: Marks) -> tuple[Any, ...]:
        shown, now = await asyncio.to_thread(read, address, known_zone(beat["zone"]))
        names = [[one["id"]["name"] for one in outputs] for outputs in ctx.outputs_list[1:4]]
        return (*_changes(shown, now, seen, names), now, shown.fresh)


def _changes(shown: Shown, now: Marks, seen: Marks, names: list[list[str]]) -> list[Any]:
    """The content as a whole where its structure is new, else the parts that are."""
    drawing = shown.drawing
    if drawing is None or seen.get("structure") != now["structure"]:
        content = shown.content() if now != seen or not now else no_update
        return [content, *([no_update] * len(each) for each in names)]
    slots, figures, grids = names
    patches = {
        name: patch_of(figure)
        for name, figure in drawing.figures.items()
        if seen.get(name) != now[name]
    }
    return [
        no_update,
        changed(slots, drawing.slots, now, seen),
        changed(figures, patches, now, seen),
        changed(grids, drawing.grids, now, seen),
    ]


def known_zone(name: str) -> str:
    """A time zone's name as it came from a browser, or UTC where it is none."""
    try:
        return ZoneInfo(unquote(name)).key
    except (KeyError, ValueError, OSError):
        return "UTC"
