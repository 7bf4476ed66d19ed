"""A stored decision sent again by hand: same ``webhook-id``, next attempt, a record of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from alerting.by_hand import attempt
from alerting.notice import Notice, delivery_of
from alerting.parts import Ledger
from alerting.settings import Endpoint
from alerting.standing import Standing
from alerting.transport import Transport
from contracts.clock import Clock
from contracts.errors import Recoverable
from contracts.results import Decision, Delivery, DeliveryOutcome

RENEWED_MS = 5 * 60_000
"""How long a decision that had expired lives again when a person sends it anyway."""
_RECORD_TRIES = 15


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for."""

    decision: Decision
    endpoints: Sequence[Endpoint]
    reason: str = ""
    is_forced: bool = False
    """Whether it is to be sent although it expired or was overruled."""
    requested_by: str = "cli"
    request: str = ""
    """Id of the request that the records answer; empty where it came from the command."""


class Resent(msgspec.Struct, kw_only=True, frozen=True):
    """How it went at one endpoint."""

    endpoint: str
    is_taken: bool
    message: str
    """One sentence for people."""
    delivery: Delivery | None = None
    """The record, where it was sent."""


@dataclass(frozen=True, slots=True)
class History:
    """Who was told of a decision so far, and which decisions still stand."""

    attempts: Sequence[Delivery]
    standing: Standing

    def last(self, endpoint: str) -> Delivery | None:
        """The latest attempt to tell this endpoint."""
        sent = (a for a in self.attempts if a.outcome is not DeliveryOutcome.NOT_SENT)
        mine = [record for record in sent if record.endpoint == endpoint]
        return max(mine, key=lambda record: record.attempt, default=None)


def refusal(wish: Wish, endpoint: Endpoint, history: History, now_ms: int) -> str:
    """Why the decision must not be sent, or an empty text.

    What expired or was overruled goes only by force; what the alerter still tries never goes twice
    at the same time.
    """
    last = history.last(endpoint.name)
    is_alive = now_ms < wish.decision.expires_at
    if is_alive and last is not None and last.outcome is DeliveryOutcome.RETRYING:
        return "not sent: the alerter still tries by itself"
    if wish.is_forced:
        return ""
    if later := history.standing.overruled_by(wish.decision):
        return f"not sent: overruled by {later.action.value}; --force sends it anyway"
    return "" if is_alive else "not sent: it has expired; --force sends it anyway"


def resend(
    wish: Wish, history: History, ledger: Ledger, transport: Transport, clock: Clock
) -> list[Resent]:
    """Send it once to each endpoint, through the alerter's own stages, and record each attempt.

    Args:
        wish: what, to whom, why.
        history: attempts so far, as they are indexed.
        ledger: attempts so far of the last day; the index may lag behind. Takes the records.
        transport: sends it.
        clock: the machine's.

    Raises:
        Recoverable: a record could not be stored; that attempt was made nevertheless.
    """
    results = []
    for endpoint in wish.endpoints:
        if why := refusal(wish, endpoint, history, clock.now_ms()):
            results.append(Resent(endpoint=endpoint.name, is_taken=False, message=why))
            continue
        last = history.last(endpoint.name)
        indexed = last.attempt if last else 0
        made = max(indexed, ledger.attempts(wish.decision.id, endpoint.name))
        decision = _alive(wish.decision, clock.now_ms())
        done = attempt(Notice(decision, endpoint, made + 1), transport, clock)
        results.append(_recorded(done, wish, ledger))
    return results


def _alive(decision: Decision, now_ms: int) -> Decision:
    if now_ms < decision.expires_at:
        return decision
    return msgspec.structs.replace(decision, expires_at=now_ms + RENEWED_MS)


def _recorded(done: Notice, wish: Wish, ledger: Ledger) -> Resent:
    if done.outcome is DeliveryOutcome.RETRYING:  # nobody will try again
        done = replace(done, outcome=DeliveryOutcome.EXHAUSTED)
    record = msgspec.structs.replace(
        delivery_of(done),
        requested_by=wish.requested_by,
        request_reason=wish.reason,
        request=wish.request,
    )
    insist(ledger, record)
    how = f"{record.outcome.value}, attempt {record.attempt}"
    return Resent(
        endpoint=record.endpoint,
        is_taken=record.outcome is DeliveryOutcome.DELIVERED,
        message=f"{how}: {record.reason}" if record.reason else how,
        delivery=record,
    )


def insist(ledger: Ledger, record: Delivery) -> None:
    """Store a record; the ledger itself waits a second each time that it is asked.

    Raises:
        Recoverable: Kafka did not take it for so long.
    """
    for _ in range(_RECORD_TRIES - 1):
        try:
            ledger.record(record)
        except Recoverable:
            continue
        return
    ledger.record(record)
