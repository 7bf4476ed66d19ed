"""The thread that reads the results topics from their beginning onto the board, for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from coalmine.api import metrics
from coalmine.api.board import FED_BY, Board
from contracts.clock import Clock
from contracts.errors import InvalidRecord
from contracts.settings import KafkaSettings
from health import heap
from health.vitals import Pulse, Vitals

log = structlog.get_logger()

SILENT_S = 15.0
"""What was heard of Kafka longer ago than this may be out of date."""
_LOOP_LIMIT_S = 60.0
_POLL_MS = 200
_LOOK_S = 1.0
_ANSWER_MS = 5_000
_AGAIN_S = 1.0


class Feed:
    """Reads without a consumer group, so that any number of APIs know the same.

    Args:
        settings: where Kafka is.
        board: is told.
        clock: the machine's.
        vitals: what tells whether it moves, and can work.
    """

    def __init__(self, settings: KafkaSettings, board: Board, clock: Clock, vitals: Vitals) -> None:
        self._settings = settings
        self._board = board
        self._clock = clock
        self._pulse = vitals.pulse("reading", _LOOP_LIMIT_S)
        self._kafka = Pulse(SILENT_S, clock)
        self._looked_at_s = 0.0
        self._is_caught_up = False
        self._is_heard = False
        vitals.need("kafka answers", lambda: self._is_heard and not self._kafka.is_stuck)
        vitals.need("all results are read", lambda: self._is_caught_up)

    @property
    def is_current(self) -> bool:
        """Whether the board shows what Kafka had a few seconds ago."""
        return self._is_caught_up and self._is_heard and not self._kafka.is_stuck

    def run(self, stop: threading.Event) -> None:
        """Thread body: read until ``stop`` is set, whatever happens to Kafka."""
        while not stop.is_set():
            try:
                self._read(stop)
            except KafkaError as error:
                log.warning("kafka_unavailable", reason=str(error))
            self._pulse.beat()
            stop.wait(_AGAIN_S)
        self._pulse.rest()

    def _read(self, stop: threading.Event) -> None:
        consumer = KafkaConsumer(
            **self._settings.client_options(),
            client_id="coalmine-api",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            reconnect_backoff_max_ms=1_000,
            fetch_min_bytes=1,
            fetch_max_wait_ms=500,
        )
        try:
            partitions = self._partitions(consumer, stop)
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            while not stop.is_set():
                self._pulse.beat()
                try:
                    self._turn(consumer, partitions)
                except KafkaError as error:  # it is asked again, and goes on where it was
                    log.warning("kafka_unavailable", reason=str(error))
                    stop.wait(_AGAIN_S)
        finally:
            consumer.close(autocommit=False, timeout_ms=2_000)

    def _partitions(self, consumer: Any, stop: threading.Event) -> list[Any]:  # noqa: ANN401 - untyped library
        """All of them; a topic that is not there yet is waited for."""
        partitions: list[Any] = []
        for topic in FED_BY:
            while not (numbers := consumer.partitions_for_topic(topic.name)) and not stop.is_set():
                self._pulse.beat()
                log.warning("topic_missing", topic=topic.name)
                stop.wait(_AGAIN_S)
            partitions += [TopicPartition(topic.name, number) for number in numbers or ()]
        return partitions

    def _turn(self, consumer: Any, partitions: list[Any]) -> None:  # noqa: ANN401 - untyped library
        for partition, records in consumer.poll(timeout_ms=_POLL_MS).items():
            self._kafka.beat()
            metrics.MESSAGES.labels(partition.topic).inc(len(records))
            for record in records:
                self._take(record)
        if self._clock.monotonic_s() - self._looked_at_s >= _LOOK_S:
            self._look(consumer, partitions)

    def _take(self, record: Any) -> None:  # noqa: ANN401 - untyped library
        try:
            self._board.take(record.topic, record.value or b"")
        except InvalidRecord as error:
            metrics.UNREADABLE.inc()
            log.warning("result_unreadable", topic=record.topic, reason=str(error))

    def _look(self, consumer: Any, partitions: list[Any]) -> None:  # noqa: ANN401 - untyped library
        """Ask Kafka how far its topics are: also the sign that it is there."""
        ends = consumer.end_offsets(partitions, timeout_ms=_ANSWER_MS)
        self._looked_at_s = self._clock.monotonic_s()
        self._kafka.beat()
        self._is_heard = True
        lag = sum(max(0, ends[p] - (consumer.position(p, 100) or 0)) for p in partitions)
        metrics.LAG_MESSAGES.set(lag)
        for kind, count in self._board.sizes().items():
            metrics.HELD.labels(kind).set(count)
        if lag == 0 and not self._is_caught_up:
            self._is_caught_up = True
            heap.freeze()
            log.info("results_read", **self._board.sizes())


def start(feed: Feed) -> Callable[[], None]:
    """Run a feed in a thread of its own; what is returned ends it."""
    stop = threading.Event()
    thread = threading.Thread(target=feed.run, args=(stop,), name="feed", daemon=True)
    thread.start()

    def end() -> None:
        stop.set()
        thread.join(3)

    return end
