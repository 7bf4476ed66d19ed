"""The alerter's process: Kafka in, webhooks out, and one loop that ties the parts together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from alerting import metrics
from alerting.asked import Asked
from alerting.breaker import Breaker
from alerting.carrier import Carrier
from alerting.intake import STAGE, Place, decode, select_endpoints
from alerting.ledger import KafkaLedger
from alerting.offsets import OffsetTracker, Partition
from alerting.outbox import Outbox
from alerting.parts import Parts
from alerting.settings import Alerting, Endpoint, load_alerting
from alerting.standing import Standing
from alerting.watchdog import StallWatch
from contracts import journal
from contracts.clock import Clock, SystemClock
from contracts.dead_letters import dead_letter
from contracts.errors import InvalidRecord, Recoverable
from contracts.settings import KafkaSettings, kafka_settings
from contracts.topics import DECISIONS
from health import heap
from health.address import Address
from health.server import serve
from health.vitals import Pulse, Vitals

_log = structlog.get_logger()

GROUP = "coalmine-alerting"
_POLL_MS = 200
_AGAIN_S = 1.0
_ANSWER_MS = 2_000
"""How long Kafka may take for an answer; while it is away the loop must not stand still."""
_STOP_S = 2.0
_WATCH_S = 0.5
_PATIENCE_S = 2.0
"""How long a consumer may stand still before decisions that wait for it."""
_IDLE_PATIENCE_S = 3.0
_IDLE_PATIENCE_LIMIT_S = 300.0
_LOOP_LIMIT_S = 60.0
_RECORDING_S = 50.0
"""What an attempt may take beyond the request itself: its record waits for Kafka."""
_SILENT_S = 15.0
"""Kafka counts as away when it was not heard of for so long."""
_PENDING_LIMIT = 10_000
"""Decisions under way; beyond it none are taken on until some are settled."""

T = TypeVar("T")


def run(config: Path, health: Address | None = None) -> None:
    """Deliver decisions to the endpoints of ``config`` until SIGTERM or SIGINT.

    Args:
        config: the endpoints file.
        health: where it tells of its health.

    Raises:
        ConfigError: the file or the environment is wrong; nothing was started.
    """
    journal.configure()
    alerting = load_alerting(config)
    endpoints = alerting.endpoints
    settings = kafka_settings()
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    _log.info("alerter_starting", endpoints=[e.name for e in endpoints], kafka=settings.bootstrap)
    clock = SystemClock()
    vitals, standing = Vitals(clock), Standing()
    with serve(health, vitals, metrics.REGISTRY):
        ledger = _insist(lambda: KafkaLedger(settings, clock, standing), stop)
        if ledger is not None:
            asked = Asked(settings, endpoints, ledger, Carrier(), clock, vitals)
            thread = threading.Thread(target=asked.run, args=(stop,), name="asked", daemon=True)
            thread.start()
            consume = partial(_consumer, settings)
            Alerter(alerting, consume, ledger, clock, vitals, standing).run(stop)
            thread.join(_STOP_S)  # it leaves its group, so that another takes over at once
    _log.info("alerter_stopped")


class Alerter:
    """The loop: messages to outboxes, settled offsets to Kafka. One thread, plus one per endpoint.

    Args:
        alerting: whom to tell, and of what not.
        make_consumer: gives one that is not subscribed yet.
        ledger: what was delivered.
        clock: the machine's.
        vitals: what tells whether it moves, and can work.
        standing: which decisions still stand; the ledger adds what it reads back.
    """

    def __init__(
        self,
        alerting: Alerting,
        make_consumer: Callable[[], Any],
        ledger: KafkaLedger,
        clock: Clock,
        vitals: Vitals,
        standing: Standing,
    ) -> None:
        self._endpoints = alerting.endpoints
        self._silences = alerting.silences
        self._make_consumer = make_consumer
        self._consumer: Any = None
        self._watch = StallWatch(_PATIENCE_S)
        self._watched_at_s = 0.0
        self._joined_at_s = 0.0
        self._idle_patience_s = _IDLE_PATIENCE_S
        self._ledger = ledger
        self._clock = clock
        self._offsets = OffsetTracker()
        self._standing = standing
        self._outboxes = {endpoint.name: self._outbox(endpoint) for endpoint in self._endpoints}
        self._must_catch_up = True
        self._pulse = vitals.pulse("reading", _LOOP_LIMIT_S)
        self._kafka = Pulse(_SILENT_S, clock)
        self._is_member = False
        for name, outbox in self._outboxes.items():
            limit_s = outbox.endpoint.timeout_s + _RECORDING_S
            outbox.pulse = vitals.pulse(f"endpoint {name}", limit_s)
        vitals.need("kafka answers", lambda: self._is_member and not self._kafka.is_stuck)
        metrics.PENDING.set_function(self._offsets.pending)
        metrics.PENDING_SECONDS.set_function(self._pending_s)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set; what is under way then is sent again after the next start."""
        threads = [
            threading.Thread(target=outbox.run, args=(stop,), name=name, daemon=True)
            for name, outbox in self._outboxes.items()
        ]
        for thread in threads:
            thread.start()
        while not stop.is_set():
            self._pulse.beat()
            try:
                if self._consumer is None:
                    self._join()
                self._turn(stop)
            except (KafkaError, Recoverable) as error:
                _log.warning("kafka_unavailable", reason=str(error))
                stop.wait(_AGAIN_S)
        for outbox in self._outboxes.values():
            outbox.wake()
        for thread in threads:
            thread.join(_STOP_S / len(threads))
        self._close()

    def revoked(self) -> None:
        """A rebalance begins: commit what is settled. What is under way goes on until it ends."""
        self._commit()

    def assigned(self, partitions: set[Partition]) -> None:
        """A rebalance is over: forget what others answer for now.

        What stays here keeps its place, and its decisions under way: kafka-python goes on reading
        a partition that stays where it was, and does not go back to the committed offset.
        """
        gone = self._offsets.partitions() - partitions
        self._offsets.drop(gone)
        for outbox in self._outboxes.values():
            outbox.drop(gone)
        self._must_catch_up = True
        self._is_member = True
        self._kafka.beat()
        heap.freeze()
        _log.info("alerter_ready", partitions=sorted(number for _, number in partitions))

    def _outbox(self, endpoint: Endpoint) -> Outbox:
        breaker = Breaker(endpoint.name)
        metrics.CIRCUIT_OPEN.labels(endpoint.name).set_function(lambda: breaker.is_open)
        parts = Parts(
            clock=self._clock,
            transport=Carrier(),
            ledger=self._ledger,
            random=Random(),  # noqa: S311 - only the jitter of retries comes from it
            standing=self._standing,
            breaker=breaker,
            silences=self._silences,
        )
        return Outbox(endpoint, parts, self._offsets.settled)

    def _pending_s(self) -> float:
        waiting = [outbox.waiting_since for outbox in self._outboxes.values()]
        since = min((made for made in waiting if made is not None), default=None)
        return 0.0 if since is None else (self._clock.now_ms() - since) / 1000

    def _join(self) -> None:
        self._consumer = self._make_consumer()
        # a consumer that joins before it knows the topic is assigned no partition, for good
        if not self._consumer.partitions_for_topic(DECISIONS.name):
            _log.warning("topic_missing", topic=DECISIONS.name)
        self._joined_at_s = self._clock.monotonic_s()
        self._consumer.subscribe([DECISIONS.name], listener=_Rebalance(self))

    def _leave(self) -> None:
        """Drop the consumer; the next one reads again what is not committed."""
        self._is_member = False
        consumer, self._consumer = self._consumer, None
        consumer.close(autocommit=False, timeout_ms=2_000)

    def _look_after(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s - self._watched_at_s < _WATCH_S or self._consumer.paused():
            return
        self._watched_at_s = now_s
        partitions = list(self._consumer.assignment())
        if not partitions:
            self._join_again_when_idle(now_s)
            return
        self._idle_patience_s = _IDLE_PATIENCE_S
        self._joined_at_s = now_s
        ends = self._consumer.end_offsets(partitions, timeout_ms=_ANSWER_MS)
        positions = {(p.topic, p.partition): self._consumer.position(p, 100) for p in partitions}
        self._kafka.beat()
        known = {(p.topic, p.partition): end for p, end in ends.items()}
        metrics.LAG_MESSAGES.set(
            sum(known[place] - (position or 0) for place, position in positions.items())
        )
        if self._watch.is_stalled(positions, known, now_s):
            _log.error("consumer_stalled", positions={str(k): v for k, v in positions.items()})
            self._leave()

    def _join_again_when_idle(self, now_s: float) -> None:
        """No partition may mean that others have them all, so each time it waits longer."""
        if now_s - self._joined_at_s >= self._idle_patience_s:
            _log.warning("consumer_idle", waited_s=self._idle_patience_s)
            self._idle_patience_s = min(2 * self._idle_patience_s, _IDLE_PATIENCE_LIMIT_S)
            self._leave()

    def _turn(self, stop: threading.Event) -> None:
        batches = self._consumer.poll(timeout_ms=_POLL_MS)
        if batches:
            self._kafka.beat()
        if batches and self._must_catch_up:
            _insist(self._ledger.catch_up, stop, self._pulse)
            self._must_catch_up = False
        for records in batches.values():
            for record in records:
                if not stop.is_set():
                    self._take(record, stop)
        self._commit()
        self._hold_back()
        if not batches:
            self._look_after()

    def _take(self, record: Any, stop: threading.Event) -> None:  # noqa: ANN401 - untyped library
        place = Place(record.topic, record.partition, record.offset)
        if self._offsets.is_under_way(place):
            return  # read again after a rebalance
        try:
            decision = decode(record.value)
        except InvalidRecord as error:
            _log.warning("decision_invalid", origin=str(place), reason=str(error))
            metrics.DEAD_LETTERS.labels(metrics.reason_label(error.reason)).inc()
            letter = dead_letter(
                error,
                stage=STAGE,
                origin=str(place),
                payload=record.value or b"",
                time=self._clock.now_ms(),
            )
            self._offsets.began(place, waits_for=1)
            if _insist(lambda: self._ledger.set_aside(letter), stop, self._pulse):
                self._offsets.settled(place)
            return
        self._standing.note(decision)
        chosen = select_endpoints(decision, self._endpoints, self._ledger)
        _log.info("decision_taken", decision=decision.id, endpoints=[e.name for e in chosen])
        metrics.DECISIONS.labels(decision.action).inc()
        self._offsets.began(place, waits_for=len(chosen))
        for endpoint in chosen:
            self._outboxes[endpoint.name].put(decision, place)

    def _commit(self) -> None:
        offsets = self._offsets.committable()
        if offsets and self._consumer is not None:
            try:
                self._consumer.commit(
                    {
                        TopicPartition(*partition): OffsetAndMetadata(offset, "", -1)
                        for partition, offset in offsets.items()
                    },
                    timeout_ms=_ANSWER_MS,
                )
            except KafkaError as error:
                # Kafka is away, or the partitions went to another process: the ledger knows
                _log.warning("commit_refused", reason=str(error))

    def _hold_back(self) -> None:
        partitions = self._consumer.assignment()
        if self._offsets.pending() > _PENDING_LIMIT:
            self._consumer.pause(*partitions)
        elif paused := self._consumer.paused():
            self._consumer.resume(*paused)

    def _close(self) -> None:
        try:
            self._commit()
            if self._consumer is not None:
                self._consumer.close(autocommit=False, timeout_ms=2_000)
        except KafkaError as error:
            _log.warning("kafka_unavailable", reason=str(error))
        self._ledger.close()


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped library
    def __init__(self, alerter: Alerter) -> None:
        self._alerter = alerter

    def on_partitions_revoked(self, revoked: set[Any]) -> None:  # noqa: ARG002 - library's signature
        """Called by the consumer inside ``poll``."""
        self._alerter.revoked()

    def on_partitions_assigned(self, assigned: set[Any]) -> None:
        """Called by the consumer inside ``poll``."""
        self._alerter.assigned({(p.topic, p.partition) for p in assigned})


def _consumer(settings: KafkaSettings) -> Any:  # noqa: ANN401 - untyped library
    try:
        return KafkaConsumer(
            **settings.client_options(),
            group_id=GROUP,
            client_id="coalmine-alerter",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # one that was away is asked again soon, not after half a minute
            reconnect_backoff_max_ms=1_000,
            # one byte is enough for an answer: a decision waits for nothing
            fetch_min_bytes=1,
            fetch_max_wait_ms=500,
            # a killed alerter's decisions are taken over after these
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_500,
        )
    except KafkaError as error:
        raise Recoverable(f"Kafka cannot be reached: {error}") from error


def _insist(
    attempt: Callable[[], T], stop: threading.Event, pulse: Pulse | None = None
) -> T | None:
    """The result of ``attempt``, tried until it works; None when stopped before."""
    while not stop.is_set():
        if pulse is not None:
            pulse.beat()
        try:
            return attempt()
        except Recoverable as error:
            _log.warning("kafka_unavailable", reason=str(error))
            stop.wait(_AGAIN_S)
    return None
