"""Prometheus' Alertmanager: an alert for each rollout, routed as all your alerts are."""

from __future__ import annotations

import msgspec

from alerting.auth import BASIC, BEARER, NONE
from alerting.integrations import preset
from alerting.integrations.asking import post
from alerting.integrations.conversation import Conversation, taken
from alerting.integrations.generic import rfc3339
from alerting.integrations.words import Wording, filled, words
from contracts.config import Seconds
from contracts.results import Decision, DecisionAction

_RESOLVED_BY = (DecisionAction.ROLLBACK_VERIFIED, DecisionAction.ABORTED)


class Options(preset.Options, frozen=True, kw_only=True):
    """What the alert is called."""

    labels: dict[str, Wording] = msgspec.field(
        default_factory=lambda: {"alertname": "CoalmineRollout", "severity": "critical"}
    )
    """Beside ``service``, ``rollout`` and ``release``. Labels say which alert it is, so they must
    not hold words that differ between a rollback and its end."""
    lasts: Seconds = Seconds(4 * 3600)
    """How long it fires unless the rollout ends before."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """One request: the same labels are the same alert."""
    is_over = decision.action in _RESOLVED_BY
    ends_at = decision.time + (0 if is_over else round(options.lasts * 1000))
    labels = {
        "service": decision.service,
        "rollout": decision.rollout,
        "release": decision.canary,
        **{name: filled(text, decision) for name, text in options.labels.items()},
    }
    if decision.undelivered_to:
        labels["undelivered_to"] = decision.undelivered_to
    alert: dict[str, object] = {
        "labels": labels,
        "annotations": {
            "summary": f"{decision.service} {decision.canary}: {decision.action.value}",
            "description": decision.reason,
            **{k: v for k, v in words(decision).items() if v and k not in labels},
        },
        # before its end also where it resolves an alert that began when this alerter was away
        "startsAt": rfc3339(decision.time - (1 if is_over else 0)),
        "endsAt": rfc3339(ends_at),
    }
    if pages := preset.links(decision, options):
        alert["generatorURL"] = pages["rollout"]
    answer = yield post("/api/v2/alerts", [alert])
    return taken(answer)


PRESET = preset.Preset(
    deliver=deliver,
    options=Options,
    auth=(NONE, BASIC, BEARER),
    actions=frozenset(DecisionAction) - {DecisionAction.PROMOTE},
    acts=False,
)
