"""Forms whose fields stand in the address: what a page shows can be sent as a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboard.components.basics import choice

ANY = "any"


def form(action: str, fields: Sequence[Any]) -> html.Form:
    """A form that opens its own page with its fields in the address."""
    button = html.Button("Show", type="submit", className="search-button")
    return html.Form([*fields, button], method="get", action=action, className="search-form")


def names(
    name: str, label: str, known: Sequence[str], chosen: str, *, empty: str = ""
) -> html.Label:
    """One of some names; the chosen one is there whether it is known or not.

    Args:
        name: of the field.
        label: what it is called.
        known: names, in order.
        chosen: the one that is shown.
        empty: words of a first option that stands for no choice; none without words.
    """
    options: Mapping[str, str] = {
        **({"": empty} if empty else {}),
        **{one: one for one in known},
        **({chosen: chosen} if chosen else {}),
    }
    return choice(name, label, options, chosen)


def text(name: str, label: str, value: str, hint: str = "") -> dmc.TextInput:
    """A field for words."""
    return dmc.TextInput(name=name, label=label, value=value, placeholder=hint, size="xs")


def page_head(title: str, *more: Any, note: Any = None) -> html.Div:  # noqa: ANN401 - Dash components are untyped
    """The head of a page: its title, and its form at the right."""
    return html.Div(
        [html.H1(title, className="page-title"), html.Span(note), *more], className="page-head"
    )
