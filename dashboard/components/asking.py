"""The question before what cannot be taken back, and the wait for what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import dash_mantine_components as dmc
from dash import ClientsideFunction, Dash, Input, Output, html

from dashboard.queries.cache import Answer
from dashboard.queries.elastic import Source

_EVERY_S = 0.5


def question(name: str, *more: Any) -> dmc.Modal:  # noqa: ANN401 - Dash components are untyped
    """A question that needs a reason; its parts are ``<name>-modal``, ``-question``, ``-reason``,
    ``-cancel`` and ``-confirm``.

    Args:
        name: of its parts.
        more: further components of the form.
    """
    buttons = [
        html.Button("Cancel", id=f"{name}-cancel", className="steer", n_clicks=0),
        html.Button(
            "Confirm",
            id=f"{name}-confirm",
            className="steer steer-main",
            disabled=True,
            n_clicks=0,
        ),
    ]
    return dmc.Modal(
        [
            html.Div(id=f"{name}-question"),
            dmc.Textarea(
                id=f"{name}-reason",
                label="Why",
                description="Kept with the record, under your name.",
                required=True,
                autosize=True,
                minRows=2,
                value="",
                **{"data-autofocus": True},
            ),
            *more,
            html.Div(buttons, className="steers steers-end"),
        ],
        id=f"{name}-modal",
        title="Are you sure?",
        opened=False,
        centered=True,
        closeButtonProps={"aria-label": "Close"},
    )


def needs_reason(app: Dash, name: str) -> None:
    """Let a question be confirmed once it has a reason."""
    app.clientside_callback(
        ClientsideFunction("coalmine", "reasoned"),
        Output(f"{name}-confirm", "disabled"),
        Input(f"{name}-reason", "value"),
    )


async def stored(read: Callable[[], Answer[Source | None]], within_s: float) -> Source | None:
    """What answers a request, once it can be read; None where it does not come in time."""
    for _ in range(round(within_s / _EVERY_S)):
        record = (await asyncio.to_thread(read)).value
        if record is not None:
            return record
        await asyncio.sleep(_EVERY_S)
    return None
