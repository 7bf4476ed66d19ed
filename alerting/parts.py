"""What the stages of one endpoint need from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from alerting.breaker import Breaker
from alerting.silences import Silence
from alerting.standing import Standing
from alerting.transport import Transport
from contracts.clock import Clock
from contracts.results import Decision, Delivery


class Ledger(Protocol):
    """What was delivered, durably; the alerter's memory across crashes."""

    def is_settled(self, decision_id: str, endpoint: str) -> bool:
        """Whether this endpoint needs no further attempt."""
        ...

    def attempts(self, decision_id: str, endpoint: str) -> int:
        """How many attempts were recorded so far."""
        ...

    def has_reached_anyone(self, decision_id: str) -> bool:
        """Whether any endpoint heard of this decision."""
        ...

    def announce(self, decision: Decision) -> None:
        """Put a decision of ours on the topic; returns once it is safe.

        Raises:
            Recoverable: it could not be stored now; offer it again.
        """
        ...

    def record(self, delivery: Delivery) -> None:
        """Returns once the record is safe.

        Raises:
            Recoverable: it could not be stored now; offer it again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the stages of one endpoint need from outside; ``breaker`` alone is that endpoint's."""

    clock: Clock
    transport: Transport
    ledger: Ledger
    random: Random
    standing: Standing
    breaker: Breaker
    silences: Sequence[Silence] = ()
