"""The record of deliveries on ``coalmine.deliveries``: written after each attempt, read at start.

It is what makes a restart safe: what is recorded is not sent again, what is not recorded is sent
again with the same id. It is read back as far as a decision may live, and no further; and so are
the decisions, because one that was overruled meanwhile must not be sent.
"""

from __future__ import annotations

import threading

import msgspec
import structlog
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError

from alerting.notice import FINAL
from alerting.reading import read_since
from alerting.standing import Standing
from alerting.storing import Store
from contracts.clock import Clock
from contracts.errors import UNREADABLE, Recoverable
from contracts.results import DeadLetter, Decision, Delivery, DeliveryOutcome
from contracts.settings import KafkaSettings
from contracts.topics import DEADLETTERS, DECISIONS, DELIVERIES

_log = structlog.get_logger()

LOOK_BACK_MS = 24 * 3_600_000
"""Decisions live for minutes; one that lives longer than this may be sent twice."""

_BLOCKED_AT_MOST_MS = 1_000
"""An endpoint's thread that records while Kafka is away has other decisions to send."""


class DeliveryMemory:
    """What the records say, in memory: attempts so far and whether it is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[int, int, bool]] = {}
        self._told: dict[str, int] = {}
        """Decisions that any endpoint heard of, with the time of it."""

    def note(self, delivery: Delivery) -> None:
        """Take one record into account; the order of records does not matter."""
        key = (delivery.decision, delivery.endpoint)
        with self._lock:
            time, attempts, is_over = self._seen.get(key, (0, 0, False))
            self._seen[key] = (
                max(time, delivery.time),
                max(attempts, delivery.attempt),
                is_over or delivery.outcome in FINAL,
            )
            if delivery.outcome is DeliveryOutcome.DELIVERED:
                self._told[delivery.decision] = delivery.time

    def is_settled(self, decision_id: str, endpoint: str) -> bool:
        """See ``Ledger``."""
        with self._lock:
            return self._seen.get((decision_id, endpoint), (0, 0, False))[2]

    def attempts(self, decision_id: str, endpoint: str) -> int:
        """See ``Ledger``."""
        with self._lock:
            return self._seen.get((decision_id, endpoint), (0, 0, False))[1]

    def has_reached_anyone(self, decision_id: str) -> bool:
        """See ``Ledger``."""
        with self._lock:
            return decision_id in self._told

    def forget_before(self, time_ms: int) -> None:
        """Drop what is older: its decisions have expired."""
        with self._lock:
            self._seen = {key: seen for key, seen in self._seen.items() if seen[0] >= time_ms}
            self._told = {key: time for key, time in self._told.items() if time >= time_ms}


class KafkaLedger:
    """The ledger of production, see ``Ledger``.

    Args:
        settings: where Kafka is.
        clock: the machine's.
        standing: learns, when the ledger is read, which decisions were made.

    Raises:
        Recoverable: Kafka cannot be reached.
    """

    def __init__(self, settings: KafkaSettings, clock: Clock, standing: Standing) -> None:
        self._options = {**settings.client_options(), "reconnect_backoff_max_ms": 1_000}
        self._clock = clock
        self._standing = standing
        self._memory = DeliveryMemory()
        try:
            self._producer = KafkaProducer(
                **self._options,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_block_ms=_BLOCKED_AT_MOST_MS,
            )
        except KafkaError as error:
            raise Recoverable(f"Kafka cannot be reached: {error}") from error
        self._store = Store(self._producer)

    def is_settled(self, decision_id: str, endpoint: str) -> bool:
        """See ``Ledger``."""
        return self._memory.is_settled(decision_id, endpoint)

    def attempts(self, decision_id: str, endpoint: str) -> int:
        """See ``Ledger``."""
        return self._memory.attempts(decision_id, endpoint)

    def has_reached_anyone(self, decision_id: str) -> bool:
        """See ``Ledger``."""
        return self._memory.has_reached_anyone(decision_id)

    def announce(self, decision: Decision) -> None:
        """See ``Ledger``."""
        self._store.put(DECISIONS.name, decision.service, decision)

    def record(self, delivery: Delivery) -> None:
        """See ``Ledger``."""
        self._store.put(DELIVERIES.name, delivery.decision, delivery)
        self._memory.note(delivery)

    def set_aside(self, letter: DeadLetter) -> bool:
        """Store a dead letter; true once it is acknowledged.

        Raises:
            Recoverable: it could not be stored now.
        """
        self._store.put(DEADLETTERS.name, letter.origin, letter)
        return True

    def catch_up(self) -> None:
        """Read every record and decision of the last day, other alerters' records included.

        Raises:
            Recoverable: Kafka cannot be reached.
        """
        since_ms = self._clock.now_ms() - LOOK_BACK_MS
        self._memory.forget_before(since_ms)
        self._standing.forget_before(since_ms)
        try:
            consumer = KafkaConsumer(**self._options, fetch_max_wait_ms=50)
            try:
                count = read_since(consumer, DELIVERIES.name, since_ms, self._note)
                read_since(consumer, DECISIONS.name, since_ms, self._note_decision)
            finally:
                consumer.close(autocommit=False)
        except KafkaError as error:
            raise Recoverable(f"deliveries cannot be read: {error}") from error
        _log.info("deliveries_read", records=count)

    def close(self) -> None:
        """Send what waits, for at most two seconds."""
        self._producer.close(timeout=2)

    def _note(self, value: bytes | None) -> bool:
        try:
            self._memory.note(msgspec.json.decode(value or b"", type=Delivery))
        except UNREADABLE:
            return False  # not ours: whoever wrote it, it tells nothing of a delivery
        return True

    def _note_decision(self, value: bytes | None) -> bool:
        try:
            self._standing.note(msgspec.json.decode(value or b"", type=Decision))
        except UNREADABLE:
            return False  # set aside where it is taken
        return True
