"""Any tool that takes a Standard Webhook: the decision as a CloudEvents 1.0 JSON document.

The document is described, with an example that a test verifies, in ``docs/webhooks.md``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

from alerting.integrations.conversation import (
    Body,
    Conversation,
    HttpRequest,
    json_body,
    taken,
)
from alerting.integrations.preset import Options, Preset, links
from contracts.results import Decision

TYPE = "coalmine.decision.v1"


def deliver(decision: Decision, options: Options) -> Conversation:
    """One request, and any 2xx is a yes."""
    answer = yield HttpRequest(
        method="POST",
        headers={"content-type": "application/json", "user-agent": "coalmine"},
        body=render(decision, options),
    )
    return taken(answer)


def render(decision: Decision, options: Options = Options()) -> Body:  # noqa: B008 - frozen
    """The decision as every generic receiver sees it; equal decisions give equal bytes."""
    time = rfc3339(decision.time)
    document = {
        "specversion": "1.0",
        "type": TYPE,
        "id": decision.id,
        "source": f"/coalmine/{quote(decision.service, safe='')}",
        "subject": decision.rollout,
        "time": time,
        "timestamp": time,
        "datacontenttype": "application/json",
        "data": {
            "id": decision.id,
            "action": decision.action,
            "service": decision.service,
            "rollout": decision.rollout,
            "phase": decision.phase,
            "canary": decision.canary,
            "baseline": decision.baseline,
            "outcome": decision.outcome,
            "reason": decision.reason,
            "guilty_metric": decision.guilty_metric,
            "guilty_group": decision.guilty_group,
            "relative_risk": decision.relative_risk,
            "evidence_log10": decision.evidence_log10,
            "policy_hash": decision.policy_hash,
            "decided_at": rfc3339(decision.processed_time),
            "expires_at": rfc3339(decision.expires_at),
            "next_phase": decision.next_phase,
            "exposure": decision.exposure,
            "hosts": decision.hosts,
            "users": decision.users,
            "flag": decision.flag,
            "requested_by": decision.requested_by,
            "undelivered_to": decision.undelivered_to,
            "links": links(decision, options),
        },
    }
    return json_body(document)


def rfc3339(time_ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC, milliseconds kept.

    >>> rfc3339(1_795_472_520_123)
    '2026-11-23T22:22:00.123Z'
    """
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


PRESET = Preset(deliver=deliver, acts=False)
