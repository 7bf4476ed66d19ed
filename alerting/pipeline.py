"""The way of a decision, as one list: read ``build_pipeline`` and you know the order.

A notice is one decision on its way to one endpoint. Stages take a notice and give it back changed;
the first stage that knows how the attempt ended sets ``outcome``, and what comes after is left out,
except ``record``: every ending is recorded. ``outbox.py`` calls the list again when a retry is due.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Protocol

import structlog

from alerting import metrics
from alerting.integrations import PRESETS
from alerting.integrations.message import Message
from alerting.retry import delay_s, may_pass
from alerting.settings import Endpoint
from alerting.signing import signed_headers, webhook_id
from alerting.transport import Answer, Request, Transport
from contracts.clock import Clock
from contracts.errors import Recoverable
from contracts.results import Decision, Delivery, DeliveryOutcome

_log = structlog.get_logger()

FINAL = frozenset(DeliveryOutcome) - {DeliveryOutcome.RETRYING}
"""Outcomes after which an endpoint is not told of this decision again."""


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
    retry_at: int | None = None
    """Wall time of the next attempt, epoch milliseconds, where the outcome is retrying."""
    is_recorded: bool = False


class Ledger(Protocol):
    """What was delivered, durably; the alerter's memory across crashes."""

    def is_settled(self, decision_id: str, endpoint: str) -> bool:
        """Whether this endpoint needs no further attempt."""
        ...

    def attempts(self, decision_id: str, endpoint: str) -> int:
        """How many attempts were recorded so far."""
        ...

    def record(self, delivery: Delivery) -> None:
        """Returns once the record is safe.

        Raises:
            Recoverable: it could not be stored now; offer it again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stage:
    """A named step; ``sees_endings`` where it also runs for a notice that has an outcome."""

    name: str
    run: Callable[[Notice], Notice]
    sees_endings: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """What the stages need from outside."""

    clock: Clock
    transport: Transport
    ledger: Ledger
    random: Random


def build_pipeline(parts: Parts) -> tuple[Stage, ...]:
    """Every stage between a decision and its record, in order.

    Before it, ``intake.py`` decodes the message and selects the endpoints; after it the offset is
    committed, once all endpoints of all earlier decisions are settled.
    """
    return (
        Stage("begin", lambda n: replace(n, started_at=parts.clock.now_ms())),
        Stage("refuse_stale", _refuse_stale),
        Stage("render", _render),
        Stage("sign", lambda n: _sign(n, parts.clock)),
        Stage("send", lambda n: _send(n, parts.transport)),
        Stage("settle", lambda n: _settle(n, parts.clock, parts.random)),
        Stage("record", lambda n: _record(n, parts.ledger), sees_endings=True),
    )


def run_stages(stages: Sequence[Stage], notice: Notice) -> Notice:
    """One attempt from its first stage to its record.

    A fault of our own in a stage ends this notice, visibly, and never the worker. A notice that
    comes back with an outcome but unrecorded is given in again: only ``record`` runs then.
    """
    for stage in stages:
        if notice.outcome is None or stage.sees_endings:
            notice = _run_guarded(stage, notice)
    return notice


def _run_guarded(stage: Stage, notice: Notice) -> Notice:
    try:
        return stage.run(notice)
    except Exception as error:  # noqa: BLE001 - logged and recorded: one notice ends, not its worker
        _log.exception("stage_failed", stage=stage.name, decision=notice.decision.id)
        if notice.outcome is not None:
            return notice
        reason = f"internal: {type(error).__name__} in {stage.name}"
        return replace(notice, outcome=DeliveryOutcome.EXHAUSTED, reason=reason)


def _refuse_stale(notice: Notice) -> Notice:
    """A rollback that comes late hits a release that nobody meant: it is told to people instead."""
    if notice.started_at < notice.decision.expires_at:
        return notice
    was_tried = notice.attempt > 1
    return replace(
        notice,
        outcome=DeliveryOutcome.EXHAUSTED if was_tried else DeliveryOutcome.EXPIRED,
        reason="decision expired",
    )


def _render(notice: Notice) -> Notice:
    return replace(notice, message=PRESETS[notice.endpoint.preset](notice.decision))


def _sign(notice: Notice, clock: Clock) -> Notice:
    message = notice.message
    assert message is not None, "rendered before signed"
    headers = signed_headers(
        webhook_id(notice.decision.id), message.body, clock.now_ms(), notice.endpoint.secrets
    )
    request = Request(
        method=message.method,
        headers=(*message.headers.items(), *headers),
        body=message.body,
    )
    return replace(notice, request=request)


def _send(notice: Notice, transport: Transport) -> Notice:
    assert notice.request is not None, "signed before sent"
    return replace(notice, answer=transport.send(notice.endpoint, notice.request))


def _settle(notice: Notice, clock: Clock, random: Random) -> Notice:
    """What the answer means: delivered, refused for good, to be tried again, or out of time."""
    answer = notice.answer
    assert answer is not None, "sent before settled"
    reason = answer.failure or f"http {answer.status}"
    if answer.status is not None and 200 <= answer.status < 300:
        return replace(notice, outcome=DeliveryOutcome.DELIVERED)
    if not may_pass(answer):
        return replace(notice, outcome=DeliveryOutcome.REFUSED, reason=reason)
    now_ms = clock.now_ms()
    wait_s = delay_s(notice.endpoint, notice.attempt, answer, random, now_ms)
    retry_at = now_ms + round(wait_s * 1000)
    if retry_at >= notice.decision.expires_at:
        return replace(notice, outcome=DeliveryOutcome.EXHAUSTED, reason=reason)
    return replace(notice, outcome=DeliveryOutcome.RETRYING, reason=reason, retry_at=retry_at)


def _record(notice: Notice, ledger: Ledger) -> Notice:
    try:
        ledger.record(delivery_of(notice))
    except Recoverable as error:
        _log.warning("record_failed", decision=notice.decision.id, reason=str(error))
        return notice
    _report(notice)
    return replace(notice, is_recorded=True)


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
        body=notice.message.body.decode() if notice.message else "",
    )


def _report(notice: Notice) -> None:
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
    else:
        # people must act now: nobody else will tell this endpoint
        _log.error("delivery_exhausted", **fields)
