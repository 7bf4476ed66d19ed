"""Agents whose clocks are wrong, on real Kafka: what others tell stays evidence."""

from __future__ import annotations

import time
from base64 import b64decode
from contextlib import closing

import msgspec
import pytest
from kafka import KafkaProducer

from contracts import topics
from contracts.records import RecordKind
from contracts.results import DeadLetter
from contracts.settings import KafkaSettings
from tests.support.canary import canary_exposures
from tests.support.stack import consume, unique
from tests.support.telemetry import EVENTS_TOPIC, batch_message, events
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

BASELINE, CANARY = "1.4.2", "1.5.0"
SECONDS, CANARY_SINCE = 25, 10
OF_BASELINE, OF_CANARY = 15, 5
AHEAD_MS = {"right": 0, "fast": 300_000}


@pytest.mark.usefixtures("worker")
def test_a_clock_that_is_five_minutes_fast_makes_nothing_late(
    kafka_settings: KafkaSettings,
) -> None:
    """By its events everybody else's would be long over; they are taken to happen as they come."""
    service = unique("clocks")
    with closing(KafkaProducer(**kafka_settings.client_options())) as producer:
        for second in range(SECONDS):
            began = time.monotonic()
            for agent, ahead_ms in AHEAD_MS.items():
                at = time.time_ns() // 1_000_000 - 1_000 + ahead_ms
                records = events(second, service, BASELINE, second_ms=at, count=OF_BASELINE)
                if second >= CANARY_SINCE:
                    records += events(second, service, CANARY, second_ms=at, count=OF_CANARY)
                name = f"{service}-{agent}"
                key, value, headers = batch_message(RecordKind.EVENTS, name, second + 1, [*records])
                producer.send(
                    EVENTS_TOPIC,
                    value,
                    key=key.encode(),
                    headers=headers,
                    timestamp_ms=at + 1_000,  # as the agent's clock has it
                )
            producer.flush()
            time.sleep(max(0.0, began + 1 - time.monotonic()))
    # of the second in which the canary appears, what another agent told of it may be before that
    expected = len(AHEAD_MS) * OF_CANARY * (SECONDS - CANARY_SINCE)

    seen = 0.0

    def all_of_it() -> bool:
        nonlocal seen
        time.sleep(1)
        seen = canary_exposures(kafka_settings, service)
        return expected - OF_CANARY <= seen <= expected

    try:
        wait_until(all_of_it, timeout_s=30)
    except AssertionError as error:
        raise AssertionError(f"{expected} exposures expected, not {seen}") from error


@pytest.mark.usefixtures("worker")
def test_what_is_hours_ahead_is_set_aside(kafka_settings: KafkaSettings) -> None:
    """A clock that is two hours fast: Kafka takes what it sent, and the dead letter says why."""
    service = unique("hours")
    at = time.time_ns() // 1_000_000 + 2 * 3_600_000
    records = events(1, service, BASELINE, second_ms=at, count=3)
    key, value, headers = batch_message(RecordKind.EVENTS, service, 1, [*records])
    with closing(KafkaProducer(**kafka_settings.client_options())) as producer:
        sent = producer.send(
            EVENTS_TOPIC, value, key=key.encode(), headers=headers, timestamp_ms=at
        )
        sent.get(timeout=30)

    def reasons() -> list[str]:
        letters = consume(kafka_settings, topics.DEADLETTERS.name, at_least=0)
        found = [msgspec.json.decode(one.value, type=DeadLetter) for one in letters]
        return [one.reason for one in found if service.encode() in b64decode(one.payload)]

    wait_until(lambda: len(reasons()) == len(records), timeout_s=30)
    assert set(reasons()) == {"time in the future"}
