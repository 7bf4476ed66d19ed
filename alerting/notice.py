"""One decision on its way to one endpoint, and what is told of how it went: record, log, metric."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from alerting import metrics
from alerting.integrations.message import Message
from alerting.settings import Endpoint
from alerting.transport import Answer, Request
from contracts.results import Decision, DecisionAction, Delivery, DeliveryOutcome

_log = structlog.get_logger()

FINAL = frozenset(DeliveryOutcome) - {DeliveryOutcome.RETRYING}
"""Outcomes after which an endpoint is not told of this decision again."""

_BODY_KEPT = 64 * 1024
"""Characters of a body that its record keeps: a record must fit into a message."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One decision on its way to one endpoint, and how far it came in this attempt."""

    decision: Decision
    endpoint: Endpoint
    attempt: int
    """From 1; goes on counting after a restart."""
    started_at: int = 0
    message: Message | None = None
    request: Request | None = None
    answer: Answer | None = None
    outcome: DeliveryOutcome | None = None
    reason: str = ""
    """Why this attempt failed; before it, why the last one did."""
    overruled_by: DecisionAction | None = None
    is_circuit_open: bool = False
    retry_in_s: float = 0.0
    """Seconds to the next attempt, where the outcome is retrying."""
    is_recorded: bool = False


def delivery_of(notice: Notice) -> Delivery:
    """The record of a notice that has an outcome."""
    assert notice.outcome is not None, "settled before recorded"
    decision, answer = notice.decision, notice.answer
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
        status=answer.status if answer else None,
        reason=notice.reason,
        duration_ms=round(answer.duration_ms, 3) if answer else 0.0,
        body=notice.message.body.decode()[:_BODY_KEPT] if notice.message else "",
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
        "duration_ms": round(notice.answer.duration_ms, 1) if notice.answer else 0.0,
    }
    if notice.outcome is DeliveryOutcome.DELIVERED:
        _log.info("delivered", **fields)
    elif notice.outcome is DeliveryOutcome.RETRYING:
        _log.warning("delivery_failed", **fields)
    elif notice.outcome is DeliveryOutcome.OBSOLETE:
        _log.warning("delivery_obsolete", **fields)
    else:
        # people must act now: nobody else will tell this endpoint
        _log.error("delivery_exhausted", **fields)
