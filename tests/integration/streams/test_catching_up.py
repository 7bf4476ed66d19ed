"""A worker that was away judges what waited as if it had been there, on real Kafka."""

from __future__ import annotations

import time
from contextlib import closing

import msgspec
import pytest
from kafka import KafkaProducer

from contracts import topics
from contracts.records import RecordKind
from contracts.results import Verdict
from contracts.settings import KafkaSettings
from tests.integration.streams.conftest import WorkerProcess
from tests.support.stack import consume, unique
from tests.support.telemetry import EVENTS_TOPIC, batch_message, events
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

BASELINE, CANARY = "1.4.2", "1.5.0"
SECONDS, CANARY_SINCE = 300, 30
OF_BASELINE, OF_CANARY = 15, 5
PARTITION_OF = (0, 0, 0, 0, 1, 1, 2)
"""By agent: where there is less to read, a reader is soon far ahead."""


def produce_five_minutes(kafka: KafkaSettings, service: str) -> None:
    """What seven agents sent in the last five minutes, each of both releases."""
    start_ms = time.time_ns() // 1_000_000 - SECONDS * 1000
    with closing(KafkaProducer(**kafka.client_options())) as producer:
        for second in range(SECONDS):
            second_ms = start_ms + second * 1000
            for agent, partition in enumerate(PARTITION_OF):
                records = events(agent, service, BASELINE, second_ms=second_ms, count=OF_BASELINE)
                if second >= CANARY_SINCE:
                    records += events(agent, service, CANARY, second_ms=second_ms, count=OF_CANARY)
                key, value, headers = batch_message(
                    RecordKind.EVENTS, f"{service}-{agent}", second + 1, [*records]
                )
                producer.send(
                    EVENTS_TOPIC,
                    value,
                    key=key.encode(),
                    headers=headers,
                    partition=partition,
                    timestamp_ms=second_ms + 1_200,
                )
        producer.flush()


def test_minutes_that_waited_are_evidence_to_the_last_event(
    worker: WorkerProcess, kafka_settings: KafkaSettings
) -> None:
    """Partitions with more and with less to read go in step, so nothing comes late."""
    service = unique("away")
    worker.kill()
    produce_five_minutes(kafka_settings, service)
    worker.start()

    def judged() -> list[Verdict]:
        said = consume(kafka_settings, topics.VERDICTS.name, at_least=0)
        of_service = [m for m in said if m.key == service.encode()]
        return [msgspec.json.decode(message.value, type=Verdict) for message in of_service]

    expected = len(PARTITION_OF) * OF_CANARY * (SECONDS - CANARY_SINCE)
    seen: list[float] = []

    def all_of_it() -> bool:
        time.sleep(1)  # verdicts are large, and all of them are read
        found = [m for v in judged()[-1:] for m in v.metrics if m.name == "error_rate"]
        seen[:] = [m.exposures.canary for m in found]
        return bool(seen) and seen[0] == expected

    try:
        wait_until(all_of_it, timeout_s=90)
    except AssertionError as error:
        raise AssertionError(f"{expected} exposures expected, not {seen}") from error
