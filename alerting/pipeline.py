"""The way of a decision, as one list: read ``build_pipeline`` and you know the order.

A notice is one decision on its way to one endpoint. Stages take a notice and give it back changed;
the first stage that knows how the attempt ended sets ``outcome``, and what comes after is left out,
except ``record``: every ending is recorded. ``outbox.py`` calls the list again when a retry is due.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from alerting.auth import Occasion
from alerting.escalation import escalation_of, is_called_for
from alerting.integrations import PRESETS
from alerting.integrations.conversation import HttpRequest, Refused, Retry
from alerting.notice import Notice, delivery_of, report
from alerting.parts import Ledger, Parts
from alerting.retry import delay_s, retry_after_s
from alerting.signing import webhook_id
from alerting.silences import Silence
from alerting.standing import Standing
from alerting.verification import first_look_s, hold, look
from contracts.clock import Clock
from contracts.errors import Recoverable
from contracts.results import DeliveryOutcome

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stage:
    """A named step; ``sees_endings`` where it also runs for a notice that has an outcome."""

    name: str
    run: Callable[[Notice], Notice]
    sees_endings: bool = False
    sees_records: bool = False
    """Where it runs for a delivery that is recorded, and only there."""

    def is_due(self, notice: Notice) -> bool:
        """Whether it has anything to do with a notice that came so far."""
        if notice.is_recorded or self.sees_records:
            return False
        return notice.outcome is None or self.sees_endings


def build_pipeline(parts: Parts) -> tuple[Stage, ...]:
    """Every stage between a decision and its record, in order.

    Before it, ``intake.py`` decodes the message and selects the endpoints; after it the offset is
    committed, once all endpoints of all earlier decisions are settled.
    """
    return (
        Stage("begin", lambda n: replace(n, started_at=parts.clock.now_ms())),
        Stage("inhibit", lambda n: _refuse_stale(n, parts.standing)),
        Stage("silence", lambda n: _silence(n, parts.silences)),
        Stage("dedup", lambda n: _dedup(n, parts.ledger)),
        Stage("sign", lambda n: _sign(n, parts.clock)),
        Stage("send", lambda n: _send(n, parts)),
        Stage("retry", lambda n: _settle(n, parts)),
        # before the record: a crash in between raises it again, under the same id
        Stage("escalate", lambda n: _escalate(n, parts), sees_endings=True),
        Stage("record", lambda n: _record(n, parts.ledger), sees_endings=True),
        # its turn comes later, when the outbox gives the notice in again
        Stage("verify", lambda n: look(n, parts), sees_records=True),
    )


def run_stages(stages: Sequence[Stage], notice: Notice) -> Notice:
    """One attempt from its first stage to its record.

    A fault of our own in a stage ends this notice, visibly, and never the worker. A notice that
    comes back with an outcome but unrecorded is given in again: only the last stages run then. So
    is one whose effect is to be looked for, when it is time.
    """
    is_looked_for = notice.is_recorded and notice.look_in_s is not None
    for stage in stages:
        if stage.sees_records if is_looked_for else stage.is_due(notice):
            try:
                notice = _run_guarded(stage, notice)
            except Recoverable as error:
                _log.warning("record_failed", decision=notice.decision.id, reason=str(error))
                break
    return notice


def _run_guarded(stage: Stage, notice: Notice) -> Notice:
    try:
        return stage.run(notice)
    except Recoverable:
        raise
    except Exception as error:  # noqa: BLE001 - logged and recorded: one notice ends, not its worker
        _log.exception("stage_failed", stage=stage.name, decision=notice.decision.id)
        if notice.outcome is not None:
            return replace(notice, look_in_s=None)
        reason = f"internal: {type(error).__name__} in {stage.name}"
        return replace(notice, outcome=DeliveryOutcome.EXHAUSTED, reason=reason)


def _refuse_stale(notice: Notice, standing: Standing) -> Notice:
    """A rollback that comes late hits a release that nobody meant: it is told to people instead."""
    if later := standing.overruled_by(notice.decision):
        return replace(
            notice,
            outcome=DeliveryOutcome.OBSOLETE,
            reason=f"overruled: {later.action.value}",
            overruled_by=later.action,
        )
    if notice.started_at < notice.decision.expires_at:
        return notice
    was_tried = notice.attempt > 1
    return replace(
        notice,
        outcome=DeliveryOutcome.EXHAUSTED if was_tried else DeliveryOutcome.EXPIRED,
        reason=notice.reason or "decision expired",
    )


def _silence(notice: Notice, silences: Sequence[Silence]) -> Notice:
    """What a person silenced is recorded as such, and nobody is called for it."""
    for silence in silences:
        if silence.covers(notice.decision, notice.endpoint.name, notice.started_at):
            return replace(notice, outcome=DeliveryOutcome.SILENCED, reason=f"silenced {silence}")
    return notice


def _dedup(notice: Notice, ledger: Ledger) -> Notice:
    """A decision that another alerter settled meanwhile is over; its record is there already."""
    if ledger.is_settled(notice.decision.id, notice.endpoint.name):
        return replace(notice, outcome=DeliveryOutcome.DELIVERED, is_recorded=True)
    return notice


def _sign(notice: Notice, clock: Clock) -> Notice:
    """Have the endpoint's credentials ready: each request of the conversation gets its own."""
    endpoint, message_id = notice.endpoint, webhook_id(notice.decision.id)

    def sign(request: HttpRequest) -> HttpRequest:
        occasion = Occasion(message_id, request.body.sent, clock.now_ms())
        credentials = endpoint.auth.headers(endpoint.secrets, occasion)
        return replace(request, headers={**request.headers, **credentials})

    return replace(notice, signer=sign)


def _send(notice: Notice, parts: Parts) -> Notice:
    """The preset's conversation with its tool, as a whole within the endpoint's timeout."""
    left_s = (notice.decision.expires_at - parts.clock.now_ms()) / 1000
    say = PRESETS[notice.endpoint.preset].deliver
    return replace(notice, exchange=hold(say, notice, parts, within_s=left_s))


def _settle(notice: Notice, parts: Parts) -> Notice:
    """What the ending means: delivered, refused for good, to be tried again, or out of time."""
    exchange, breaker = notice.exchange, parts.breaker
    assert exchange is not None, "sent before settled"
    if not isinstance(exchange.ending, Retry):
        breaker.passed()
        if isinstance(exchange.ending, Refused):
            return replace(
                notice,
                outcome=DeliveryOutcome.REFUSED,
                reason=notice.endpoint.redacted(exchange.ending.reason),
            )
        now_s = parts.clock.monotonic_s()
        delivered = replace(notice, outcome=DeliveryOutcome.DELIVERED, reason="")
        return replace(delivered, delivered_at_s=now_s, look_in_s=first_look_s(notice.endpoint))
    now_ms, answer = parts.clock.now_ms(), exchange.answer
    reason = notice.endpoint.redacted(exchange.ending.reason)
    asked_s = retry_after_s(answer.headers.get("retry-after", ""), now_ms) if answer else 0.0
    tried = max(notice.attempt, breaker.probes + 1)
    wait_s = max(delay_s(notice.endpoint, tried, parts.random), asked_s)
    breaker.failed(reason, parts.clock.monotonic_s(), wait_s)
    failed = replace(notice, reason=reason, is_circuit_open=breaker.is_open)
    if now_ms + wait_s * 1000 >= notice.decision.expires_at:
        return replace(failed, outcome=DeliveryOutcome.EXHAUSTED)
    if breaker.is_open:  # the probe says when; what the receiver asked for holds anyway
        wait_s = asked_s
    return replace(failed, outcome=DeliveryOutcome.RETRYING, retry_in_s=wait_s)


def _escalate(notice: Notice, parts: Parts) -> Notice:
    """Call people where an endpoint will never hear of this decision.

    Raises:
        Recoverable: Kafka does not take the call now; nothing is recorded until it does.
    """
    decision, ledger = notice.decision, parts.ledger
    assert notice.outcome is not None, "settled before escalated"
    if is_called_for(
        decision,
        notice.outcome,
        now_ms=notice.started_at,
        ended_by=notice.overruled_by,
        has_reached_anyone=ledger.has_reached_anyone(decision.id),
    ):
        why = f"{notice.outcome.value}: {notice.reason}, attempt {notice.attempt}"
        ledger.announce(escalation_of(decision, notice.endpoint.name, why, notice.started_at))
    return notice


def _record(notice: Notice, ledger: Ledger) -> Notice:
    """Store how the attempt ended.

    Raises:
        Recoverable: Kafka does not take it now; but where there will be another attempt, that one
            does not wait for the record of this one.
    """
    try:
        ledger.record(delivery_of(notice))
    except Recoverable as error:
        if notice.outcome is not DeliveryOutcome.RETRYING:
            raise
        _log.warning("record_failed", decision=notice.decision.id, reason=str(error))
    report(notice)
    return replace(notice, is_recorded=True)
