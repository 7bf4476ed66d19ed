"""Send again: the question before it, the request to the alerter, and what became of it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from contracts.errors import Recoverable
from dashboard import words
from dashboard.components.asking import needs_reason, question, stored
from dashboard.components.basics import told
from dashboard.queries.page_reader import PageReader
from dashboard.steering import Steering, operator_of
from dashboard.words import Label

_ANSWER_WITHIN_S = 30.0
_FORCED = "forced"
_NOT_SENT = Label("Not sent", "alert", "bad")


def above() -> list[Any]:
    """The mark by which the style sheet shows the buttons to those who may press them."""
    return [html.Div(className="may-resend")] if operator_of(ctx.headers) else []


def beside() -> list[Any]:
    """The question, and the place of its answer."""
    forced = dcc.Checklist(
        {_FORCED: "Also if it expired or was overruled: it then lives for five minutes more"},
        id="resend-force",
        value=[],
        className="resend-force",
    )
    return [
        question("resend", forced),
        html.Div(id="resend-answer", className="steer-answer resend-answer", role="status"),
        dcc.Store(id="resend-what"),
    ]


def register(app: Dash, reader: PageReader, steering: Steering) -> None:
    """Add the callbacks to the app; each asks anew whether the user may."""
    needs_reason(app, "resend")
    pressed = {"type": "resend", "decision": ALL, "endpoint": ALL, "record": ALL}

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("resend-modal", "opened"),
        Output("resend-question", "children"),
        Output("resend-what", "data"),
        Output("resend-reason", "value"),
        Output("resend-force", "value"),
        Input(pressed, "n_clicks"),
        Input("resend-cancel", "n_clicks"),
        prevent_initial_call=True,
    )
    async def ask(_clicks: list[int | None], _cancel: int | None) -> tuple[Any, ...]:
        if ctx.triggered_id == "resend-cancel":
            return False, no_update, None, "", []
        # a list that is drawn anew has buttons that nobody pressed
        if not ctx.triggered[0]["value"] or not operator_of(ctx.headers):
            return (no_update,) * 5
        what = ctx.triggered_id
        asked = html.P(
            [
                html.B(f"Send again: {what['decision']} to {what['endpoint']}"),
                " is tried once more, under the same webhook-id.",
            ]
        )
        return True, asked, dict(what), "", []

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("resend-modal", "opened", allow_duplicate=True),
        Output("resend-answer", "children"),
        Input("resend-confirm", "n_clicks"),
        State("resend-what", "data"),
        State("resend-reason", "value"),
        State("resend-force", "value"),
        running=[(Output("resend-confirm", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def confirm(
        clicks: int | None, what: dict[str, str] | None, reason: str | None, ticked: list[str]
    ) -> tuple[Any, Any]:
        user = operator_of(ctx.headers)
        if not clicks or not what or not (reason or "").strip():
            return no_update, no_update
        if not user:
            return False, "Your user may not send anything again."
        found = await asyncio.to_thread(reader.decision, what["decision"])
        if found.value is None:
            return False, told(_NOT_SENT, found.error or "The decision is no longer stored.")
        try:
            request = await asyncio.to_thread(
                steering.send_again,
                found.value,
                what["endpoint"],
                user=user,
                reason=reason or "",
                is_forced=_FORCED in ticked,
            )
        except Recoverable as error:
            return False, told(_NOT_SENT, f"{error}.")
        return False, await _answered(reader, request.decision, request.id)


async def _answered(reader: PageReader, decision: str, request: str) -> html.Span:
    """What the alerter recorded, once it can be read."""
    record = await stored(partial(reader.resent, decision, request), _ANSWER_WITHIN_S)
    if record is not None:
        labels = {str(outcome): label for outcome, label in words.DELIVERIES.items()}
        label = words.label_of(labels, str(record.get("outcome", "")))
        reason = str(record.get("reason") or "")
        return told(label, f"{record.get('endpoint', '')}{': ' if reason else ''}{reason}")
    return told(
        Label("Asked for", "dots", "open"),
        "No answer is stored yet: it will stand among the deliveries. An alerter and the indexer "
        "have to run.",
    )
