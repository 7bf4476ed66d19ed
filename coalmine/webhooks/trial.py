"""A sample for one endpoint, and what came of it, as ``coalmine webhook test`` tells it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from alerting.by_hand import attempt, check_action
from alerting.carrier import Carrier
from alerting.integrations import PRESETS
from alerting.notice import Notice
from alerting.settings import Endpoint
from alerting.transport import Transport
from coalmine.webhooks.attempt import NOT_SENT, Careful, Keeping, Nowhere
from coalmine.webhooks.explain import explained
from coalmine.webhooks.shown import Shown, shown
from contracts.clock import Clock
from contracts.results import Decision, DeliveryOutcome


class Mode(StrEnum):
    """How far a trial goes."""

    DRY_RUN = "dry-run"
    """Nothing is sent."""
    LOOK = "look"
    """What would change something at a tool that acts is not sent."""
    ACT = "act"
    """As the alerter would."""


class Trial(msgspec.Struct, kw_only=True, frozen=True):
    """How one sample went."""

    endpoint: str
    is_taken: bool
    """Also where the tool answered all that it was asked, and the rest was held back."""
    status: int | None
    """Of the last answer; None where none came."""
    reason: str
    """Named cause of a failure, as a delivery's record has it."""
    explanation: list[str]
    """Sentences for people."""
    requests: list[Shown]
    """What was asked, without secrets."""


def tried(endpoint: Endpoint, sample: Decision, mode: Mode, clock: Clock) -> Trial:
    """Send the sample once.

    Args:
        endpoint: to whom.
        sample: see ``coalmine.webhooks.attempt.sample``.
        mode: how far to go.
        clock: the machine's.

    Raises:
        ConfigError: the endpoint's preset does not act on what it says.
    """
    check_action(endpoint, sample.action)
    keeping = Keeping(_transport(endpoint, mode))
    done = attempt(Notice(sample, endpoint, 1), keeping, clock)
    exchange = done.exchange
    sentences = explained(endpoint, exchange) if exchange else [f"Not sent: {done.reason}."]
    if sample.action not in endpoint.actions:
        sentences.append(f"Its actions leave {sample.action.value} out: it is not told otherwise.")
    is_held_back = bool(exchange and exchange.answer and exchange.answer.failure == NOT_SENT)
    return Trial(
        endpoint=endpoint.name,
        is_taken=done.outcome is DeliveryOutcome.DELIVERED or is_held_back,
        status=exchange.status if exchange else None,
        reason=done.reason,
        explanation=sentences,
        requests=[shown(endpoint, request) for request, _ in keeping.exchanges],
    )


def _transport(endpoint: Endpoint, mode: Mode) -> Transport:
    if mode is Mode.DRY_RUN:
        return Nowhere()
    is_harmless = mode is Mode.ACT or not PRESETS[endpoint.preset].acts
    return Carrier() if is_harmless else Careful(Carrier())
