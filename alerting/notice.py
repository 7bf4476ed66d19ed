"""One decision on its way to one endpoint, and what is told of how it went: record, log, metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from alerting import metrics
from alerting.conversing import Exchange
from alerting.integrations.conversation import HttpRequest
from alerting.settings import Endpoint
from contracts.results import Decision, DecisionAction, Delivery, DeliveryOutcome

_log = structlog.get_logger()

FINAL = frozenset(DeliveryOutcome) - {DeliveryOutcome.RETRYING, DeliveryOutcome.NOT_SENT}
"""Outcomes after which an endpoint is not told of this decision again."""

_BODY_KEPT = 64 * 1024
"""Characters of a body that its record keeps: a record must fit into a message."""


Signer: TypeAlias = Callable[[HttpRequest], HttpRequest]
"""Adds the endpoint's credentials to a request."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One decision on its way to one endpoint, and how far it came in this attempt."""

    decision: Decision
    endpoint: Endpoint
    attempt: int
    """From 1; goes on counting after a restart."""
    started_at: int = 0
    signer: Signer | None = None
    exchange: Exchange | None = None
    outcome: DeliveryOutcome | None = None
    reason: str = ""
    """Why this attempt failed; before it, why the last one did."""
    overruled_by: DecisionAction | None = None
    is_circuit_open: bool = False
    retry_in_s: float = 0.0
    """Seconds to the next attempt, where the outcome is retrying."""
    is_recorded: bool = False
    delivered_at_s: float = 0.0
    """Monotonic seconds of the delivery, from which on the effect is looked for."""
    looks: int = 0
    """How often it was looked for."""
    missing: str = ""
    """What the tool last said is not there yet; empty where it was not heard of."""
    verified: bool | None = None
    look_in_s: float | None = None
    """Seconds to the next look for the effect; ``None`` where there is none."""


def delivery_of(notice: Notice) -> Delivery:
    """The record of a notice that has an outcome."""
    assert notice.outcome is not None, "settled before recorded"
    decision, exchange = notice.decision, notice.exchange
    return Delivery(
        id=f"{decision.id}/{notice.endpoint.name}/{notice.attempt}",
        time=notice.started_at,
        decision=decision.id,
        service=decision.service,
        rollout=decision.rollout,
        action=decision.action,
        endpoint=notice.endpoint.name,
        url=notice.endpoint.shown_url,
        attempt=notice.attempt,
        outcome=notice.outcome,
        status=exchange.status if exchange else None,
        reason=notice.reason,
        duration_ms=round(exchange.duration_ms, 3) if exchange else 0.0,
        body=exchange.body[:_BODY_KEPT] if exchange else "",
        verified=notice.verified,
        steps=list(exchange.steps) if exchange and len(exchange.steps) > 1 else [],
        is_circuit_open=notice.is_circuit_open,
    )


def report(notice: Notice) -> None:
    """Tell of an attempt that is over, in the log and the metrics."""
    metrics.count(notice)
    fields = {
        "decision": notice.decision.id,
        "service": notice.decision.service,
        "action": notice.decision.action.value,
        "endpoint": notice.endpoint.name,
        "attempt": notice.attempt,
        "outcome": str(notice.outcome),
        "reason": notice.reason,
        "duration_ms": round(notice.exchange.duration_ms, 1) if notice.exchange else 0.0,
    }
    if notice.outcome is DeliveryOutcome.DELIVERED:
        _log.info("delivered", **fields)
    elif notice.outcome is DeliveryOutcome.RETRYING:
        _log.warning("delivery_failed", **fields)
    elif notice.outcome is DeliveryOutcome.OBSOLETE:
        _log.warning("delivery_obsolete", **fields)
    elif notice.outcome is DeliveryOutcome.SILENCED:
        _log.info("delivery_silenced", **fields)
    else:
        # people must act now: nobody else will tell this endpoint
        _log.error("delivery_exhausted", **fields)
