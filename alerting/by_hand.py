"""One attempt through the alerter's own pipeline, made by hand: nothing is retried or escalated."""

from __future__ import annotations

from random import Random

from alerting.breaker import Breaker
from alerting.integrations import PRESETS
from alerting.ledger import DeliveryMemory
from alerting.notice import Notice
from alerting.parts import Parts
from alerting.pipeline import build_pipeline, run_stages
from alerting.settings import Endpoint
from alerting.standing import Standing
from alerting.transport import Transport
from contracts.clock import Clock
from contracts.errors import ConfigError, Recoverable
from contracts.results import Decision, DecisionAction, Delivery

_LEFT_OUT = frozenset({"escalate", "record"})


class _Unrecorded(DeliveryMemory):
    """The ledger of an attempt whose record, if any, is its caller's."""

    def announce(self, decision: Decision) -> None:
        raise Recoverable(f"{decision.id} is announced by nobody")

    def record(self, delivery: Delivery) -> None:
        raise Recoverable(f"{delivery.id} is recorded by nobody")


def check_action(endpoint: Endpoint, action: DecisionAction) -> None:
    """Keep from a tool what it would misunderstand: a call for people is no reason to start a job.

    Raises:
        ConfigError: the endpoint's preset does not act on it.
    """
    known = PRESETS[endpoint.preset].actions
    if action not in known:
        names = ", ".join(one.value for one in DecisionAction if one in known)
        raise ConfigError(endpoint.name, f"{endpoint.preset} acts on {names}", value=action.value)


def attempt(notice: Notice, transport: Transport, clock: Clock) -> Notice:
    """The notice as it comes out of every stage but those that tell others of it."""
    parts = Parts(
        clock=clock,
        transport=transport,
        ledger=_Unrecorded(),
        random=Random(0),  # noqa: S311 - there is no second attempt whose delay it would spread
        standing=Standing(),
        breaker=Breaker(notice.endpoint.name),
    )
    stages = [stage for stage in build_pipeline(parts) if stage.name not in _LEFT_OUT]
    return run_stages(stages, notice)
