"""What a worker reads at once: not more than it should, and no later than it can."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import KafkaProducer

from coalmine.stack.topics import ensure_topics
from contracts import topics
from contracts.settings import KafkaSettings
from streams import consuming
from streams.durable import new_app
from streams.outlet import raw_topic
from tests.support.stack import produce, unique

pytestmark = pytest.mark.integration

MESSAGES = 48
WORK_S = 0.01


class Came(NamedTuple):
    """One stretch: when, how many messages, and of which partition."""

    at: float
    messages: int
    partition: int


async def read_all(kafka: KafkaSettings, state: Path, topic: str, waiting: int) -> list[Came]:
    """Every stretch, with room for so many in the queue."""
    app = new_app(unique("queue"), kafka)
    app.conf.datadir = state
    app.conf.broker_max_poll_records = 1  # before the size of a message is known
    app.conf.stream_buffer_maxsize = waiting
    found: list[Came] = []
    is_done = asyncio.Event()

    async def work(stream: Any) -> None:
        async for events in stream.noack_take(1, within=0.01):
            messages = events[0].message.value.messages
            found.append(Came(time.monotonic(), len(messages), messages.partition))
            await asyncio.sleep(WORK_S)
            if sum(one.messages for one in found) == MESSAGES:
                is_done.set()

    app.agent(raw_topic(app, topic))(work)
    await app.start()
    try:
        await asyncio.wait_for(is_done.wait(), 120)
    finally:
        await app.stop()
    return found


def filled(kafka: KafkaSettings, value: bytes) -> str:
    """A topic with so many messages of this value."""
    name = unique("queue")
    ensure_topics(kafka, [replace(topics.PARTIALS, name=name)])
    produce(kafka, name, [value] * MESSAGES)
    return name


async def test_a_full_queue_goes_on_when_it_has_room(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust leaves its partition out, and polls the idle ones for a second each time."""
    monkeypatch.setattr(consuming, "POLL_BYTES", 1)  # each message is a stretch
    name = filled(kafka_settings, b"some")
    never_full = await read_all(kafka_settings, tmp_path, name, 10 * MESSAGES)
    often_full = await read_all(kafka_settings, tmp_path, name, 8)
    assert len(often_full) == MESSAGES
    assert often_full[-1].at - often_full[0].at < 3 * (never_full[-1].at - never_full[0].at)


async def test_few_large_messages_are_read_at_once(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as have the bytes that may wait; more of them wait in what was fetched."""
    monkeypatch.setattr(consuming, "POLL_BYTES", 350_000)
    name = filled(kafka_settings, b"x" * 100_000)
    stretches = await read_all(kafka_settings, tmp_path, name, 4)
    assert max(one.messages for one in stretches) == 3


async def test_many_small_messages_are_read_at_once(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Faust's price is per stretch, so one holds all that was fetched, once sizes are known."""
    stretches = await read_all(kafka_settings, tmp_path, filled(kafka_settings, b"some"), 4)
    assert len(stretches) < MESSAGES / 4


async def test_partitions_are_read_in_turn(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of what waits in one of them is not read before the next one's begins."""
    monkeypatch.setattr(consuming, "POLL_BYTES", 1)  # each message is a stretch
    name = unique("turns")
    ensure_topics(kafka_settings, [replace(topics.PARTIALS, name=name)])
    partitions = range(3)
    with closing(KafkaProducer(**kafka_settings.client_options())) as producer:
        for partition in partitions:
            for _ in range(MESSAGES // len(partitions)):
                producer.send(name, b"some", partition=partition)
        producer.flush()
    stretches = await read_all(kafka_settings, tmp_path, name, 4)
    half = Counter(one.partition for one in stretches[: len(stretches) // 2])
    assert min(half[partition] for partition in partitions) > MESSAGES / 12


async def test_messages_larger_than_what_is_fetched_ahead_come_all_the_same(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Each by itself: Kafka gives the first message of a fetch whole, whatever it was asked for."""
    name = unique("large")
    ensure_topics(kafka_settings, [replace(topics.PARTIALS, name=name)])
    partitions, value = range(3), b"x" * (consuming.FETCH_BYTES + 100_000)
    largest = {"max_request_size": 2 * len(value)}
    with closing(KafkaProducer(**kafka_settings.client_options(), **largest)) as producer:
        for number in range(MESSAGES):
            producer.send(name, value, partition=number % len(partitions))
        producer.flush()
    stretches = await read_all(kafka_settings, tmp_path, name, 4)
    found = Counter[int]()
    for one in stretches:
        found[one.partition] += one.messages
    assert found == dict.fromkeys(partitions, MESSAGES // len(partitions))
