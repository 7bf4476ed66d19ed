"""The buttons that steer a rollout, and the question before each."""

from __future__ import annotations

from typing import Any

from dash import dcc, html

from contracts.results import RolloutCommandAction, RolloutStatus
from dashboard import words
from dashboard.components.asking import question
from dashboard.components.basics import icon
from dashboard.steering import ASKED

_OPEN = (RolloutStatus.RUNNING, RolloutStatus.HOLDING, RolloutStatus.WATCHING)
OFFERED: dict[RolloutCommandAction, tuple[RolloutStatus, ...]] = {
    RolloutCommandAction.PROMOTE: (RolloutStatus.RUNNING, RolloutStatus.HOLDING),
    RolloutCommandAction.HOLD: (RolloutStatus.RUNNING,),
    RolloutCommandAction.RESUME: (RolloutStatus.HOLDING,),
    RolloutCommandAction.PHASE: (RolloutStatus.RUNNING, RolloutStatus.HOLDING),
    RolloutCommandAction.ROLLBACK: _OPEN,
    RolloutCommandAction.ABORT: (*_OPEN, RolloutStatus.ROLLING_BACK, RolloutStatus.TRAFFIC_STOPPED),
}
"""In which states each request makes sense; the judge has the last word."""


def controls(status: RolloutStatus | None) -> html.Div:
    """The buttons, of which the browser shows those that the rollout's state allows."""
    return html.Div(
        [
            html.Div(
                [
                    html.Button(
                        [icon(words.REQUESTS[action].icon), words.REQUESTS[action].word],
                        id={"type": "steer", "action": action.value},
                        className=f"steer steer-{words.REQUESTS[action].tone}",
                        hidden=status not in states,
                        n_clicks=0,
                    )
                    for action, states in OFFERED.items()
                ],
                className="steers",
                role="group",
                **{"aria-label": "Steer this rollout"},
            ),
            html.Div(id="steer-answer", className="steer-answer", role="status"),
            dcc.Store(id="steer-action"),
            question("steer", dcc.RadioItems([], id="steer-phase", className="choices")),
        ],
        className="controls",
    )


def offered(status: RolloutStatus) -> dict[str, bool]:
    """For each request, whether its button is shown."""
    return {action.value: status in states for action, states in OFFERED.items()}


def other_phases(fresh: dict[str, Any]) -> tuple[list[str], str | None]:
    """Where a rollout may be sent, and what is proposed: the next phase, else the one before.

    Args:
        fresh: of the rollout's page: ``phases`` in their order, and ``phase``, the present one.
    """
    names, here = [*fresh.get("phases", [])], fresh.get("phase")
    others = [name for name in names if name != here]
    if not others or here not in names:
        return others, None
    return others, others[min(names.index(here), len(others) - 1)]


def asked(action: RolloutCommandAction, service: str, canary: str) -> list[Any]:
    """What a request would do, before it is confirmed."""
    label = words.REQUESTS[action]
    return [
        html.P([html.B(f"{label.word}: {service} {canary}"), f" {ASKED[action]}."]),
    ]
