"""ServiceNow: an incident for each decision that people have to know of."""

from __future__ import annotations

import msgspec

from alerting.auth import BASIC, BEARER
from alerting.integrations import preset
from alerting.integrations.asking import get, post, refused
from alerting.integrations.conversation import Conversation, Delivered
from alerting.integrations.words import Wording, filled, key, words
from contracts.results import Decision

_TABLE = "/api/now/table/incident"
_KEY_AT_MOST = 100
_SHORT_AT_MOST = 160


class Options(preset.Options, frozen=True, kw_only=True):
    """How the incident is filled in."""

    urgency: str = "1"
    impact: str = "1"
    fields: dict[str, Wording] = msgspec.field(default_factory=dict)
    """Further fields of the table, such as ``assignment_group``."""


def deliver(decision: Decision, options: Options) -> Conversation:
    """Look whether the incident is there, then open it."""
    correlation_id = key(decision.id, _KEY_AT_MOST)
    known = yield get(
        _TABLE,
        {
            "sysparm_query": f"correlation_id={correlation_id}",
            "sysparm_fields": "sys_id",
            "sysparm_limit": "1",
        },
    )
    if not known.is_ok:
        return refused(known, "error", "message")
    if known.json("result"):
        return Delivered()
    title = f"{decision.service} {decision.canary}: {decision.action.value}"
    facts = words(decision) | preset.links(decision, options)
    incident = {
        "short_description": f"{title}. {decision.reason}"[:_SHORT_AT_MOST],
        "description": "\n".join(f"{k}: {v}" for k, v in facts.items() if v),
        "urgency": options.urgency,
        "impact": options.impact,
        "correlation_id": correlation_id,
        "correlation_display": "Coalmine",
        **{name: filled(text, decision) for name, text in options.fields.items()},
    }
    answer = yield post(_TABLE, incident)
    return Delivered() if answer.is_ok else refused(answer, "error", "message")


PRESET = preset.Preset(deliver=deliver, options=Options, auth=(BASIC, BEARER), acts=False)
