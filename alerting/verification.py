"""The look afterwards: did the tool do what it took on? Some looks, ever further apart.

A tool that answers 200 and does nothing is the failure that a webhook cannot see. Where a preset
can ask its tool, it is asked until the effect is there, cannot come, or ``verify_within`` is over.
Then the record of the delivery is written once more, with what was found; and where the effect is
missing people are called. A crash in between only loses the look: ``verified`` stays unknown.
"""

from __future__ import annotations

import math
from dataclasses import replace

import structlog

from alerting import metrics
from alerting.conversing import Exchange, converse
from alerting.escalation import call_for_missing_effect
from alerting.integrations import PRESETS
from alerting.integrations.conversation import Answer, Delivered, HttpRequest, Refused, Request
from alerting.integrations.preset import Say
from alerting.notice import Notice, delivery_of
from alerting.parts import Parts
from alerting.retry import may_pass
from alerting.settings import Endpoint
from alerting.transport import Limits
from contracts.results import DecisionAction

_log = structlog.get_logger()

_LOOKS_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Between looks; the last one repeats."""
_LOOK_LASTS_S = 5.0
"""At most: the endpoint's next decision waits for it."""


def hold(
    say: Say, notice: Notice, parts: Parts, *, within_s: float, most_s: float = math.inf
) -> Exchange:
    """A conversation with the endpoint's tool, as a whole within its timeout.

    Args:
        say: the preset's.
        notice: signed: it knows the credentials.
        parts: what carries the requests.
        within_s: seconds after which nothing is sent any more.
        most_s: how long it may take where that is less than the timeout.
    """
    endpoint, sign, clock = notice.endpoint, notice.signer, parts.clock
    assert sign is not None, "signed before sent"
    began_s = clock.monotonic_s()

    def ask(request: Request) -> Answer:
        gone_s = clock.monotonic_s() - began_s
        limits = Limits(within_s - gone_s, min(endpoint.timeout_s, most_s) - gone_s)
        if isinstance(request, HttpRequest):
            request = sign(request)
        return parts.transport.send(endpoint, request, limits)

    return converse(say(notice.decision, endpoint.options), ask)


def first_look_s(endpoint: Endpoint) -> float | None:
    """Seconds from a delivery to the first look; ``None`` where the preset cannot look."""
    if PRESETS[endpoint.preset].verify is None or endpoint.verify_within_s <= 0:
        return None
    return min(_LOOKS_S[0], endpoint.verify_within_s)


def look(notice: Notice, parts: Parts) -> Notice:
    """Ask the tool once; says when to look again, or records what was found.

    Raises:
        Recoverable: Kafka does not take the record or the call now; look again.
    """
    later = parts.standing.overruled_by(notice.decision)
    if later is not None and later.action is not DecisionAction.ROLLBACK_VERIFIED:
        return replace(notice, look_in_s=None)  # another decision changed what was to be seen
    say = PRESETS[notice.endpoint.preset].verify
    assert say is not None, "only where there is something to look with"
    exchange = hold(say, notice, parts, within_s=_LOOK_LASTS_S, most_s=_LOOK_LASTS_S)
    if isinstance(exchange.ending, Delivered):
        return _found(replace(notice, verified=True), parts)
    missing = "" if _was_not_answered(exchange) else exchange.ending.reason
    seen = replace(notice, looks=notice.looks + 1, missing=missing or notice.missing)
    wait_s = _LOOKS_S[min(seen.looks, len(_LOOKS_S) - 1)]
    left_s = notice.delivered_at_s + notice.endpoint.verify_within_s - parts.clock.monotonic_s()
    if isinstance(exchange.ending, Refused) or left_s <= 0:
        return _found(replace(seen, verified=False if seen.missing else None), parts)
    return replace(seen, look_in_s=min(wait_s, left_s))


def _was_not_answered(exchange: Exchange) -> bool:
    return exchange.answer is None or may_pass(exchange.answer)


def _found(notice: Notice, parts: Parts) -> Notice:
    decision, endpoint = notice.decision, notice.endpoint
    missing = endpoint.redacted(notice.missing)
    if notice.verified is False and decision.action is not DecisionAction.ESCALATE:
        now_ms = parts.clock.now_ms()
        call = call_for_missing_effect(decision, endpoint.name, missing, now_ms)
        parts.ledger.announce(call)
    if notice.verified is not None:
        parts.ledger.record(delivery_of(replace(notice, reason=missing)))
    result = {True: "there", False: "missing", None: "unknown"}[notice.verified]
    metrics.VERIFICATIONS.labels(endpoint.name, result).inc()
    tell = _log.info if notice.verified else _log.warning
    tell("effect_looked_for", decision=decision.id, endpoint=endpoint.name, result=result)
    return replace(notice, look_in_s=None)
