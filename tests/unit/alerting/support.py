"""Parts that tests put between a pipeline and the world: plain values, no mock of what can run."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from alerting.auth import SIGNATURE
from alerting.breaker import Breaker
from alerting.intake import Place
from alerting.integrations.conversation import Answer, HttpRequest, Request
from alerting.integrations.preset import Options
from alerting.ledger import DeliveryMemory
from alerting.outbox import Outbox
from alerting.parts import Parts
from alerting.settings import Endpoint
from alerting.standing import Standing
from alerting.transport import Limits
from contracts.clock import ManualClock
from contracts.config import Secret
from contracts.errors import Recoverable
from contracts.results import (
    Decision,
    DecisionAction,
    Delivery,
)
from tests.support.alerting import decision_of

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjU"
NOW_MS = 1_795_472_520_123


class ScriptedTransport:
    """A receiver of which only the answers matter: each once, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = answers
        self.requests: list[Request] = []

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Answer:
        """See ``Transport``."""
        assert endpoint.name
        assert limits.timeout_s <= endpoint.timeout_s
        self.requests.append(request)
        return self.answers[min(len(self.requests), len(self.answers)) - 1]


class MemoryLedger(DeliveryMemory):
    """A ledger that keeps its records in a list, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__()
        self.failures = failures
        self.records: list[Delivery] = []
        self.announced: list[Decision] = []

    def announce(self, decision: Decision) -> None:
        """See ``Ledger``."""
        self._fail_or_not()
        self.announced.append(decision)

    def record(self, delivery: Delivery) -> None:
        """See ``Ledger``."""
        self._fail_or_not()
        self.records.append(delivery)
        self.note(delivery)

    def _fail_or_not(self) -> None:
        if self.failures:
            self.failures -= 1
            raise Recoverable("the broker is away")


def endpoint(**changes: Any) -> Endpoint:
    """An endpoint of which only the fields given matter."""
    fields: dict[str, Any] = {
        "name": "deploy-tool",
        "preset": "generic",
        "url": Secret("https://deploy.example/hook"),
        "shown_url": "https://deploy.example/hook",
        "auth": SIGNATURE,
        "secrets": (Secret(SECRET),),
        "options": Options(),
        "actions": frozenset({DecisionAction.ROLLBACK}),
        "services": ("*",),
        "timeout_s": 10.0,
        "private_networks": (),
        "ca_file": None,
        "delays_s": (1.0, 2.0, 5.0),
        "jitter": 0.0,
        "verify_within_s": 30.0,
    }
    return Endpoint(**{**fields, **changes})


def decision(**changes: Any) -> Decision:
    """A rollback of checkout 1.5.0, decided at ``NOW_MS``, alive for a minute."""
    fixed: dict[str, Any] = {
        "service": "checkout",
        "id": "checkout/1.5.0/canary/rollback",
        "time": NOW_MS,
        "processed_time": NOW_MS,
        "expires_at": NOW_MS + 60_000,
        "rollout": "checkout/1.5.0",
    }
    return decision_of(**{**fixed, **changes})


def parts(
    *answers: Answer, clock: ManualClock | None = None, ledger: MemoryLedger | None = None
) -> Parts:
    """What a pipeline needs, with a receiver that answers so."""
    return Parts(
        clock=clock or ManualClock(NOW_MS),
        transport=ScriptedTransport(*answers),
        ledger=ledger or MemoryLedger(),
        random=Random(7),
        standing=Standing(),
        breaker=Breaker("deploy-tool"),
    )


class House:
    """An outbox on a manual clock; ``let`` turns the clock and runs what became due."""

    def __init__(self, *answers: Answer, failures: int = 0, to: Endpoint | None = None) -> None:
        self.clock = ManualClock(NOW_MS)
        self.ledger = MemoryLedger(failures)
        self.settled: list[Place] = []
        self.parts = parts(*answers, clock=self.clock, ledger=self.ledger)
        self.outbox = Outbox(to or endpoint(), self.parts, self.settled.append)

    def take(self, one: Decision, offset: int = 0) -> None:
        """Put a decision in, as the alerter does, and run what is due at once."""
        self.parts.standing.note(one)
        self.outbox.put(one, Place("coalmine.decisions", 0, offset))
        self.let(0)

    def let(self, seconds: float) -> None:
        """Let time pass in eighths of a second, which add up exactly, as far as ``seconds``."""
        self._run_what_is_due()
        for _ in range(round(seconds * 8)):
            self.clock.advance(0.125)
            self._run_what_is_due()

    def _run_what_is_due(self) -> None:
        while self.outbox.step() == 0:
            pass

    @property
    def transport(self) -> ScriptedTransport:
        """The receiver."""
        assert isinstance(self.parts.transport, ScriptedTransport)
        return self.parts.transport

    @property
    def http_requests(self) -> Sequence[HttpRequest]:
        """What the receiver was asked over HTTP."""
        return [one for one in self.transport.requests if isinstance(one, HttpRequest)]

    @property
    def outcomes(self) -> Sequence[tuple[int, str]]:
        """Attempt and outcome of every record."""
        return [(record.attempt, record.outcome.value) for record in self.ledger.records]
