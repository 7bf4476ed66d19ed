"""The callbacks behind a rollout's buttons: a question, a command, the judge's answer."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, ctx, html, no_update

from contracts.errors import Recoverable
from contracts.results import RolloutCommandAction
from dashboard import words
from dashboard.components.asking import needs_reason, stored
from dashboard.components.basics import told
from dashboard.components.controls import asked, other_phases
from dashboard.components.trail import ANSWERS
from dashboard.pages.live_page import Address
from dashboard.queries.page_reader import PageReader
from dashboard.steering import Steering, operator_of
from dashboard.words import Label

_ANSWER_WITHIN_S = 20.0


def register(app: Dash, reader: PageReader, steering: Steering) -> None:
    """Add the callbacks to the app; each asks anew whether the user may."""
    app.clientside_callback(
        ClientsideFunction("coalmine", "offered"),
        Output({"type": "steer", "action": ALL}, "hidden"),
        Input("rollout-fresh", "data"),
        State({"type": "steer", "action": ALL}, "id"),
    )
    needs_reason(app, "steer")

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("steer-modal", "opened"),
        Output("steer-question", "children"),
        Output("steer-action", "data"),
        Output("steer-reason", "value"),
        Output("steer-phase", "options"),
        Output("steer-phase", "value"),
        Input({"type": "steer", "action": ALL}, "n_clicks"),
        Input("steer-cancel", "n_clicks"),
        State("rollout-address", "data"),
        State("rollout-fresh", "data"),
        prevent_initial_call=True,
    )
    async def question(
        clicks: list[int | None], _cancel: int | None, address: Address, fresh: dict[str, Any]
    ) -> tuple[Any, ...]:
        if ctx.triggered_id == "steer-cancel":
            return False, no_update, None, "", [], None
        if not any(clicks) or not operator_of(ctx.headers):
            return (no_update,) * 6
        action = RolloutCommandAction(ctx.triggered_id["action"])
        phases = other_phases(fresh) if action is RolloutCommandAction.PHASE else ([], None)
        words_of_it = asked(action, address["service"], address["release"])
        return True, words_of_it, action.value, "", *phases

    @app.callback(  # type: ignore[untyped-decorator]  # Dash ships no types
        Output("steer-modal", "opened", allow_duplicate=True),
        Output("steer-answer", "children"),
        Input("steer-confirm", "n_clicks"),
        State("steer-action", "data"),
        State("steer-reason", "value"),
        State("steer-phase", "value"),
        State("rollout-address", "data"),
        running=[(Output("steer-confirm", "disabled"), True, False)],
        prevent_initial_call=True,
    )
    async def confirm(
        clicks: int | None,
        action: str | None,
        reason: str | None,
        phase: str | None,
        address: Address,
    ) -> tuple[Any, Any]:
        user = operator_of(ctx.headers)
        if not clicks or not action or not (reason or "").strip():
            return no_update, no_update
        if not user:
            return False, "Your user may not steer rollouts."
        try:
            command = await asyncio.to_thread(
                steering.ask,
                RolloutCommandAction(action),
                address["service"],
                address["release"],
                user=user,
                reason=reason or "",
                phase=phase or "",
            )
        except Recoverable as error:
            return False, told(Label("Not sent", "alert", "bad"), f"{error}.")
        return False, await _answered(reader, command.id, words.REQUESTS[command.action].word)


async def _answered(reader: PageReader, command: str, word: str) -> html.Span:
    """The judge's answer, once it can be read."""
    answer = await stored(partial(reader.answer, command), _ANSWER_WITHIN_S)
    if answer is not None:
        code = str(answer.get("code", ""))
        refused = Label(words.metric_title(code), "stop", "bad")
        return told(ANSWERS.get(code, refused), str(answer.get("message", "")))
    return told(
        Label("Sent", "dots", "open"),
        f"{word} was sent, but no answer is stored yet: it will stand among the decisions. "
        "A worker and the indexer have to run.",
    )
