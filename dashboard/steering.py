"""What a person asks for, written to Kafka for the judge or the alerter, who alone act on it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import closing

import msgspec
import structlog

from contracts.clock import Clock
from contracts.errors import Recoverable
from contracts.results import Decision, ResendRequest, RolloutCommand, RolloutCommandAction
from contracts.settings import KafkaSettings
from contracts.topics import RESENDS, ROLLOUTS, Topic
from dashboard.access.gate import ROLE_HEADER, USER_HEADER
from dashboard.access.users import Role

log = structlog.get_logger()

_TIMEOUT_S = 5
LONGEST_REASON = 500

ASKED = {
    RolloutCommandAction.HOLD: "stays in its phase until somebody resumes it; a rollback can still "
    "happen",
    RolloutCommandAction.RESUME: "goes on by its evidence",
    RolloutCommandAction.PROMOTE: "leaves its phase for the next one now, whatever the evidence "
    "says",
    RolloutCommandAction.PHASE: "goes to the phase that you choose, forward or back; its exposure "
    "goes out as a decision",
    RolloutCommandAction.ROLLBACK: "is rolled back now, whatever the evidence says",
    RolloutCommandAction.ABORT: "is no longer watched; nothing is rolled back or promoted",
}
"""What each request means for the rollout."""


def operator_of(headers: Mapping[str, str]) -> str:
    """The user who asks, if they may steer rollouts; empty otherwise.

    Args:
        headers: of a request that came through the gate, which alone sets who asks.
    """
    named = {name.lower(): value for name, value in headers.items()}
    return named.get(USER_HEADER, "") if named.get(ROLE_HEADER) == Role.OPERATE else ""


class Steering:
    """Writes commands to the topic of rollouts, and requests to that of resends.

    Args:
        kafka: where the topics are.
        clock: dates the commands.
    """

    def __init__(self, kafka: KafkaSettings, clock: Clock) -> None:
        self._kafka = kafka
        self._clock = clock

    def ask(
        self,
        action: RolloutCommandAction,
        service: str,
        canary: str,
        *,
        user: str,
        reason: str,
        phase: str = "",
    ) -> RolloutCommand:
        """Write one command and wait until Kafka has it.

        Raises:
            Recoverable: Kafka does not take it.
        """
        command = RolloutCommand(
            id=str(uuid.uuid4()),
            time=self._clock.now_ms(),
            service=service,
            action=action,
            canary=canary,
            phase=phase,
            reason=reason.strip()[:LONGEST_REASON],
            requested_by=user,
        )
        self._send(ROLLOUTS, service, command)
        log.info("rollout_command", id=command.id, action=action, service=service, user=user)
        return command

    def send_again(
        self, decision: Decision, endpoint: str, *, user: str, reason: str, is_forced: bool
    ) -> ResendRequest:
        """Ask the alerter to tell an endpoint of a decision once more; wait until Kafka has it.

        Raises:
            Recoverable: Kafka does not take it.
        """
        request = ResendRequest(
            id=str(uuid.uuid4()),
            time=self._clock.now_ms(),
            decision=decision.id,
            decided_at=decision.processed_time,
            service=decision.service,
            rollout=decision.rollout,
            action=decision.action,
            endpoint=endpoint,
            reason=reason.strip()[:LONGEST_REASON],
            requested_by=user,
            is_forced=is_forced,
        )
        self._send(RESENDS, decision.id, request)
        log.info(
            "resend_request", id=request.id, decision=decision.id, endpoint=endpoint, user=user
        )
        return request

    def _send(self, topic: Topic, key: str, message: RolloutCommand | ResendRequest) -> None:
        from kafka import KafkaProducer  # noqa: PLC0415 - slow to import, and seldom needed
        from kafka.errors import KafkaError  # noqa: PLC0415 - see above

        options = {"max_block_ms": _TIMEOUT_S * 1000, "bootstrap_timeout_ms": _TIMEOUT_S * 1000}
        try:
            with closing(KafkaProducer(**self._kafka.client_options(), **options)) as producer:
                value = msgspec.json.encode(message)
                producer.send(topic.name, value, key=key.encode()).get(timeout=_TIMEOUT_S)
        except KafkaError as error:
            raise Recoverable(f"Kafka did not take the request: {error}") from error
