"""What people ask to be sent again: requests from Kafka, one attempt each, one record each.

The command line's ``webhook resend`` does the same from Elasticsearch; the alerter has Kafka, and
reads back from there what was decided and who was told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import msgspec
import structlog
from kafka import KafkaConsumer
from kafka.errors import KafkaError

from alerting import metrics
from alerting.by_hand import check_action
from alerting.ledger import KafkaLedger
from alerting.parts import Ledger
from alerting.reading import read_since
from alerting.resend import History, Wish, insist, resend
from alerting.settings import Endpoint
from alerting.standing import Standing
from alerting.transport import Transport
from contracts.clock import Clock
from contracts.dead_letters import dead_letter
from contracts.errors import UNREADABLE, ConfigError, InvalidRecord, Recoverable
from contracts.results import Decision, Delivery, DeliveryOutcome, ResendRequest
from contracts.settings import KafkaSettings
from contracts.topics import DECISIONS, DELIVERIES, RESENDS
from health.vitals import Vitals

_log = structlog.get_logger()

GROUP = "coalmine-alerting-resends"
STAGE = "alerting.resend"
MOST_AGE_MS = 10 * 60_000
"""An older request is not acted on: whoever asked has gone on to something else."""
_POLL_MS = 500
_AGAIN_S = 2.0
_LOOP_LIMIT_S = 180.0
_SKEW_MS = 60_000

Recall = Callable[[ResendRequest], tuple[Decision | None, History]]


def decode(value: bytes | None) -> ResendRequest:
    """The request in a message.

    Raises:
        InvalidRecord: it is none.
    """
    try:
        return msgspec.json.decode(value or b"", type=ResendRequest)
    except UNREADABLE as error:
        raise InvalidRecord("not a request to send again", str(error)) from error


def answer(
    request: ResendRequest,
    endpoints: Sequence[Endpoint],
    recall: Recall,
    ledger: Ledger,
    transport: Transport,
    clock: Clock,
) -> Delivery | None:
    """Do what a request asks for, and record it: what was sent, or why nothing was.

    Returns:
        The record; None where the request was answered before.

    Raises:
        Recoverable: Kafka does not answer, or takes no record.
    """
    decision, history = recall(request)
    if any(record.request == request.id for record in history.attempts):
        return None
    endpoint = next((one for one in endpoints if one.name == request.endpoint), None)
    why = _refusal(request, decision, endpoint, clock.now_ms())
    if not why and decision is not None and endpoint is not None:
        wish = Wish(
            decision,
            [endpoint],
            request.reason,
            is_forced=request.is_forced,
            requested_by=request.requested_by,
            request=request.id,
        )
        (done,) = resend(wish, history, ledger, transport, clock)
        if done.delivery is not None:
            return done.delivery
        why = done.message.removeprefix("not sent: ")
    last = history.last(request.endpoint)
    record = _not_sent(request, why, last.attempt if last else 0, clock.now_ms())
    insist(ledger, record)
    return record


def _refusal(
    request: ResendRequest, decision: Decision | None, endpoint: Endpoint | None, now_ms: int
) -> str:
    if now_ms - request.time > MOST_AGE_MS:
        return "it was asked for too long ago, while no alerter ran"
    if decision is None:
        return "its decision is no longer kept in Kafka"
    if endpoint is None:
        return "the alerter's file has no endpoint of this name"
    try:
        check_action(endpoint, decision.action)
    except ConfigError as error:
        return str(error)
    return ""


def _not_sent(request: ResendRequest, why: str, attempts: int, now_ms: int) -> Delivery:
    return Delivery(
        id=f"{request.decision}/{request.endpoint}/{request.id}",
        time=now_ms,
        decision=request.decision,
        service=request.service,
        rollout=request.rollout,
        action=request.action,
        endpoint=request.endpoint,
        url="",
        attempt=attempts,
        outcome=DeliveryOutcome.NOT_SENT,
        reason=why,
        requested_by=request.requested_by,
        request_reason=request.reason,
        request=request.id,
    )


class Asked:
    """The loop of requests, on a thread of its own: an endpoint that hangs delays no decision.

    Args:
        settings: where Kafka is.
        endpoints: those of the alerter's file.
        ledger: takes the records.
        transport: sends.
        clock: the machine's.
        vitals: what tells whether it moves.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        endpoints: Sequence[Endpoint],
        ledger: KafkaLedger,
        transport: Transport,
        clock: Clock,
        vitals: Vitals,
    ) -> None:
        self._options = {**settings.client_options(), "reconnect_backoff_max_ms": 1_000}
        self._endpoints = endpoints
        self._ledger = ledger
        self._transport = transport
        self._clock = clock
        self._pulse = vitals.pulse("requests to send again", _LOOP_LIMIT_S)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; what is under way then is read again after the next start."""
        while not stop.is_set():
            self._pulse.beat()
            try:
                with closing(self._consumer()) as consumer:
                    self._follow(consumer, stop)
            except (KafkaError, Recoverable) as error:
                _log.warning("kafka_unavailable", reason=str(error))
            stop.wait(_AGAIN_S)

    def _consumer(self) -> Any:  # noqa: ANN401 - untyped library
        return KafkaConsumer(
            **self._options,
            group_id=GROUP,
            client_id="coalmine-alerter-resends",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_500,
        )

    def _follow(self, consumer: Any, stop: threading.Event) -> None:  # noqa: ANN401 - untyped library
        # a consumer that joins before it knows the topic is assigned no partition, for good
        if not consumer.partitions_for_topic(RESENDS.name):
            return
        consumer.subscribe([RESENDS.name])
        while not stop.is_set():
            self._pulse.beat()
            for records in consumer.poll(timeout_ms=_POLL_MS).values():
                for record in records:
                    self._take(record)
                consumer.commit()

    def _take(self, record: Any) -> None:  # noqa: ANN401 - untyped library
        try:
            request = decode(record.value)
        except InvalidRecord as error:
            origin = f"{record.topic}/{record.partition}/{record.offset}"
            _log.warning("request_invalid", origin=origin, reason=str(error))
            metrics.DEAD_LETTERS.labels(metrics.reason_label(error.reason)).inc()
            letter = dead_letter(
                error,
                stage=STAGE,
                origin=origin,
                payload=record.value or b"",
                time=self._clock.now_ms(),
            )
            self._ledger.set_aside(letter)
            return
        found = answer(
            request, self._endpoints, self._recall, self._ledger, self._transport, self._clock
        )
        if found is not None:
            metrics.RESENDS.labels(found.outcome.value).inc()
            _log.info(
                "sent_again",
                decision=found.decision,
                endpoint=found.endpoint,
                outcome=found.outcome.value,
                reason=found.reason,
                requested_by=found.requested_by,
            )

    def _recall(self, request: ResendRequest) -> tuple[Decision | None, History]:
        """The decision, who was told of it, and what was decided since, from Kafka."""
        standing, decisions, attempts = Standing(), list[Decision](), list[Delivery]()

        def decided(value: bytes | None) -> bool:
            try:
                decision = msgspec.json.decode(value or b"", type=Decision)
            except UNREADABLE:
                return False  # set aside where it is taken
            standing.note(decision)
            if decision.id == request.decision:
                decisions.append(decision)
            return True

        def told(value: bytes | None) -> bool:
            try:
                record = msgspec.json.decode(value or b"", type=Delivery)
            except UNREADABLE:
                return False
            if record.decision == request.decision:
                attempts.append(record)
            return True

        since_ms = request.decided_at - _SKEW_MS
        with closing(KafkaConsumer(**self._options, fetch_max_wait_ms=50)) as consumer:
            read_since(consumer, DECISIONS.name, since_ms, decided)
            read_since(consumer, DELIVERIES.name, since_ms, told)
        return next(iter(decisions), None), History(attempts, standing)
