"""PagerDuty Events v2: an alert for each rollout, resolved when the bad release is gone."""

from __future__ import annotations

from typing import Literal

from alerting.auth import NONE
from alerting.integrations import preset
from alerting.integrations.asking import post, refused
from alerting.integrations.conversation import Conversation, Delivered
from alerting.integrations.generic import rfc3339
from alerting.integrations.words import key, words
from contracts.config import Secret
from contracts.results import Decision, DecisionAction

_KEY_AT_MOST = 255
_SUMMARY_AT_MOST = 1024
_RESOLVED_BY = (DecisionAction.ROLLBACK_VERIFIED, DecisionAction.ABORTED)


class Options(preset.Options, frozen=True, kw_only=True):
    """Whom it calls."""

    routing_key: Secret
    """The integration key of the service."""
    severity: Literal["critical", "error", "warning", "info"] = "critical"


def deliver(decision: Decision, options: Options) -> Conversation:
    """One request: PagerDuty itself knows the key, so it calls nobody twice."""
    event: dict[str, object] = {
        "routing_key": options.routing_key,
        "event_action": "resolve" if decision.action in _RESOLVED_BY else "trigger",
        "dedup_key": key(_subject(decision), _KEY_AT_MOST),
        "client": "Coalmine",
        "links": [
            {"href": address, "text": name}
            for name, address in preset.links(decision, options).items()
        ],
        "payload": {
            "summary": _summary(decision),
            "source": decision.service,
            "severity": options.severity,
            "timestamp": rfc3339(decision.time),
            "component": decision.canary,
            "class": decision.action.value,
            "custom_details": {k: v for k, v in words(decision).items() if v},
        },
    }
    answer = yield post("/v2/enqueue", event)
    return Delivered() if answer.is_ok else refused(answer, "message")


def _subject(decision: Decision) -> str:
    """The rollout, which its end resolves; but an endpoint that was not told stays so."""
    return decision.id if decision.undelivered_to else decision.rollout


def _summary(decision: Decision) -> str:
    text = f"{decision.service} {decision.canary}, {decision.action.value}: {decision.reason}"
    return text[:_SUMMARY_AT_MOST]


PRESET = preset.Preset(
    deliver=deliver,
    options=Options,
    auth=(NONE,),
    actions=frozenset(DecisionAction) - {DecisionAction.PROMOTE},
    acts=False,
)
