"""Keeping a page current: what has changed since the browser last asked, as small patches.

A full figure on a tick would lose the reader's zoom (dash 4.4.1 writes axis ranges back into the
figure property), so ticks replace only data, shapes and annotations; the frame of a figure is sent
when the page is built.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, Patch, no_update
from dash._utils import to_json

from dashboard.figures.base import Figure

DATA_KEYS = ("x", "y", "customdata", "mode")
LAYOUT_KEYS = ("shapes", "annotations")

Marks = dict[str, int]
"""Checksum of each named part that a browser has."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything that changes on a page, by name."""

    structure: str
    """Changes when the page needs other slots or figures: then the body is built anew."""
    slots: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    grids: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def marks(self) -> Marks:
        """What a browser keeps, so that it gets only what it lacks."""
        return {
            **checksums(self.slots),
            **checksums(self.figures),
            **checksums(self.grids),
            "structure": checksum(self.structure),
        }


def beating(app: Dash, name: str) -> None:
    """Let a page's ``<name>-tick`` beat in ``<name>-beat`` while its tab can be seen."""
    app.clientside_callback(
        ClientsideFunction("coalmine", "beat"),
        Output(f"{name}-beat", "data"),
        Input(f"{name}-tick", "n_intervals"),
        prevent_initial_call=True,
    )


def checksum(part: Any) -> int:  # noqa: ANN401 - anything that Dash can send
    """A number that changes when a part does."""
    return zlib.crc32(str(to_json(part)).encode())


def checksums(parts: Mapping[str, Any]) -> Marks:
    """Checksum of every part."""
    return {name: checksum(part) for name, part in parts.items()}


def patch_of(figure: Figure) -> Patch:
    """A patch that brings any earlier figure of the same kind up to this one, zoom untouched."""
    patch = Patch()
    for number, trace in enumerate(figure["data"]):
        for key in DATA_KEYS:
            if key in trace:
                patch["data"][number][key] = trace[key]
    for key in LAYOUT_KEYS:
        patch["layout"][key] = figure["layout"].get(key, [])
    for axis in ("xaxis", "yaxis"):
        options = figure["layout"].get(axis, {}).get("autorangeoptions")
        if options:
            # only what an axis shows by itself: a range that a reader chose is another property
            patch["layout"][axis]["autorangeoptions"] = options
    return patch


def changed(
    names: list[str], parts: Mapping[str, Any], now: Marks, seen: Mapping[str, int]
) -> list[Any]:
    """The parts that a browser lacks, in the order of its outputs; ``no_update`` for the rest."""
    return [
        parts[name] if name in parts and seen.get(name) != now[name] else no_update
        for name in names
    ]
