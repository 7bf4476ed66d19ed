"""What is tried by hand: a decision about nothing that exists, and transports that hold back."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerting.integrations.conversation import Answer, HttpRequest, ReadFile, Request
from alerting.settings import Endpoint
from alerting.transport import Limits, Transport
from contracts.results import (
    Decision,
    DecisionAction,
    Outcome,
    RelativeRisk,
    decision_id,
)

_SAMPLE_LIVES_MS = 60_000
SAMPLE_SERVICE = "coalmine-webhook-test"
NOT_SENT = "not sent"
"""The failure of a request that ``Careful`` held back."""


@dataclass
class Keeping:
    """A transport that keeps what it was asked to send, and what came back.

    Args:
        transport: sends it.
    """

    transport: Transport
    exchanges: list[tuple[Request, Answer]] = field(default_factory=list)

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Answer:
        """See ``Transport``."""
        answer = self.transport.send(endpoint, request, limits)
        self.exchanges.append((request, answer))
        return answer


class Nowhere:
    """The transport of a dry run: nothing is sent, and everything answered with an empty object."""

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Answer:  # noqa: ARG002
        """See ``Transport``."""
        return Answer(status=200, body=b"{}")


@dataclass(frozen=True)
class Careful:
    """A transport that only looks: the first request that would change something is not sent.

    Args:
        transport: sends the others.
    """

    transport: Transport

    def send(self, endpoint: Endpoint, request: Request, limits: Limits) -> Answer:
        """See ``Transport``."""
        looks = isinstance(request, ReadFile) or (
            isinstance(request, HttpRequest) and request.method == "GET"
        )
        return self.transport.send(endpoint, request, limits) if looks else Answer(failure=NOT_SENT)


def sample(action: DecisionAction, service: str, flag: str, now_ms: int) -> Decision:
    """A decision about a release that does not exist, so that a receiver has nothing to undo.

    Args:
        action: what it says.
        service: which service it is said of.
        flag: the flag whose variants it is about; empty for releases.
        now_ms: wall time; it also makes the id a new one.
    """
    rollout = f"{SAMPLE_SERVICE}/{now_ms}"
    return Decision(
        id=decision_id(rollout, "canary", action),
        time=now_ms,
        processed_time=now_ms,
        expires_at=now_ms + _SAMPLE_LIVES_MS,
        service=service,
        flag=flag,
        rollout=rollout,
        canary="0.0.0-webhook-test",
        baseline="0.0.0",
        phase="canary",
        action=action,
        outcome=Outcome.NO_DATA,
        reason="This is a test by coalmine webhook test: nothing has to be done.",
        relative_risk=RelativeRisk(),
        evidence_log10=0.0,
        exposure=0.0 if action is DecisionAction.ROLLBACK else None,
    )
