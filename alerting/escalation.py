"""What an endpoint will never hear of is told to people: as a decision of its own.

It goes the way of every decision, so it is stored, shown, and sent to each endpoint that wants
escalations, the one that failed left out.
"""

from __future__ import annotations

import msgspec

from contracts.results import Decision, DecisionAction, DeliveryOutcome

LIVES_MS = 15 * 60_000
"""How long people are tried to be told."""
_HISTORY_MS = 24 * 3_600_000
"""What expired before that belongs to a time when nobody was to be told."""


def is_called_for(
    decision: Decision,
    outcome: DeliveryOutcome,
    *,
    now_ms: int,
    ended_by: DecisionAction | None = None,
    has_reached_anyone: bool = False,
) -> bool:
    """Whether people must know that a delivery ended so.

    Args:
        decision: what was to be delivered; that an escalation did not arrive raises no other.
        outcome: how its delivery to one endpoint ended.
        now_ms: wall time.
        ended_by: the decision that made it obsolete. A rollback that nobody heard of before the
            canary's traffic was gone calls people: the traffic may come back.
        has_reached_anyone: whether any endpoint heard of the decision.
    """
    if decision.action is DecisionAction.ESCALATE:
        return False
    if outcome is DeliveryOutcome.OBSOLETE:
        is_rollback = decision.action is DecisionAction.ROLLBACK
        is_gone = ended_by is DecisionAction.ROLLBACK_VERIFIED
        return is_rollback and is_gone and not has_reached_anyone
    if outcome is DeliveryOutcome.EXPIRED:
        return now_ms - decision.expires_at < _HISTORY_MS
    return outcome in (DeliveryOutcome.EXHAUSTED, DeliveryOutcome.REFUSED)


def escalation_of(decision: Decision, endpoint: str, why: str, now_ms: int) -> Decision:
    """The call for people; the same delivery that fails twice gives the same id.

    Args:
        decision: what was not delivered.
        endpoint: to whom not.
        why: the reason of its last record, and how often it was tried.
        now_ms: wall time.
    """
    what = f"{endpoint} was not told of the decision {decision.action.value} on {decision.canary}"
    return _call(decision, endpoint, f"{what} ({why}): people must act.", now_ms)


def call_for_missing_effect(decision: Decision, endpoint: str, why: str, now_ms: int) -> Decision:
    """The call for people where a tool took a decision on, and nothing came of it."""
    what = f"{endpoint} took the decision {decision.action.value} on {decision.canary}"
    return _call(
        decision, endpoint, f"{what}, but it had no effect ({why}): people must act.", now_ms
    )


def _call(decision: Decision, endpoint: str, reason: str, now_ms: int) -> Decision:
    return msgspec.structs.replace(
        decision,
        id=f"{decision.id}/{endpoint}/escalate",
        time=now_ms,
        processed_time=now_ms,
        expires_at=now_ms + LIVES_MS,
        action=DecisionAction.ESCALATE,
        reason=reason,
        undelivered_to=endpoint,
        notify=[],  # whom the phase names may be just the one that failed
        exposure=None,
    )
