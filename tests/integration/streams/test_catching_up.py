"""What waited for a worker, or in spools, is judged as if nothing had waited, on real Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest
from kafka import KafkaProducer

from contracts.records import RecordKind
from contracts.settings import KafkaSettings
from tests.integration.streams.conftest import WorkerProcess
from tests.support.canary import canary_exposures
from tests.support.stack import unique
from tests.support.telemetry import EVENTS_TOPIC, batch_message, events
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

BASELINE, CANARY = "1.4.2", "1.5.0"
SECONDS, CANARY_SINCE = 240, 30
OF_BASELINE, OF_CANARY = 15, 5
PARTITION_OF = (0, 0, 0, 0, 1, 1, 2)
"""By agent: where there is less to read, a reader is soon far ahead."""
EXPECTED = len(PARTITION_OF) * OF_CANARY * (SECONDS - CANARY_SINCE)


class Batch(msgspec.Struct):
    """What an agent sends of one second, and when it does if nothing is in the way."""

    agent: int
    sent_at: int
    value: bytes
    headers: list[tuple[str, bytes]]


def batches_of(service: str, agent: int, start_ms: int) -> Iterator[Batch]:
    """Four minutes of an agent whose machine has both releases."""
    for second in range(SECONDS):
        at = start_ms + second * 1000
        records = events(agent, service, BASELINE, second_ms=at, count=OF_BASELINE)
        if second >= CANARY_SINCE:
            records += events(agent, service, CANARY, second_ms=at, count=OF_CANARY)
        _, value, headers = batch_message(
            RecordKind.EVENTS, f"{service}-{agent}", second + 1, [*records]
        )
        yield Batch(agent, at + 1_200, value, headers)


def send(producer: KafkaProducer, batch: Batch, timestamp_ms: int | None) -> None:
    """Into the agent's partition."""
    producer.send(
        EVENTS_TOPIC,
        batch.value,
        key=f"{batch.agent}".encode(),
        headers=batch.headers,
        partition=PARTITION_OF[batch.agent],
        timestamp_ms=timestamp_ms,
    )


def test_minutes_that_waited_are_evidence_to_the_last_event(
    worker: WorkerProcess, kafka_settings: KafkaSettings
) -> None:
    """While a worker is away seven agents send; then those of a second service send what waited.

    The second one's agents had no broker, and empty their spools one after the other.
    """
    away, spooled = unique("away"), unique("spooled")
    start_ms = (time.time_ns() // 1_000_000_000 - SECONDS) * 1000
    worker.kill()
    with closing(KafkaProducer(**kafka_settings.client_options())) as producer:
        agents = range(len(PARTITION_OF))
        waiting = [one for agent in agents for one in batches_of(away, agent, start_ms)]
        for batch in sorted(waiting, key=lambda one: one.sent_at):
            send(producer, batch, timestamp_ms=batch.sent_at)
        producer.flush()
        worker.start()
        for agent in agents:
            for batch in batches_of(spooled, agent, start_ms):
                send(producer, batch, timestamp_ms=None)
            producer.flush()
            time.sleep(1)

    seen: dict[str, float] = {}

    def all_of_it() -> bool:
        time.sleep(1)  # verdicts are large, and all of them are read
        seen.update({name: canary_exposures(kafka_settings, name) for name in (away, spooled)})
        return all(count == EXPECTED for count in seen.values())

    try:
        wait_until(all_of_it, timeout_s=90)
    except AssertionError as error:
        raise AssertionError(f"{EXPECTED} exposures expected, not {seen}") from error
