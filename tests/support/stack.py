"""Helpers of tests on the real Kafka and Elasticsearch of the run (fixtures: tests/conftest.py)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable
from contextlib import closing
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from coalmine.stack.topics import ensure_topics
from contracts.settings import KafkaSettings
from contracts.topics import Topic

Headers = list[tuple[str, bytes]]


def unique(name: str) -> str:
    """A name that no other test has: services, groups and topics share one broker."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def own_topic(settings: KafkaSettings, name: str = "test") -> Topic:
    """A new topic that only the calling test uses."""
    topic = Topic(unique(name), "anything", "anything", 3_600_000)
    ensure_topics(settings, [topic])
    return topic


def produce(
    settings: KafkaSettings,
    topic: str,
    values: Iterable[bytes | tuple[str, bytes] | tuple[str, bytes, Headers]],
) -> None:
    """Send values, (key, value) or (key, value, headers), and wait for the acknowledgements."""
    with closing(
        KafkaProducer(**settings.client_options(), max_request_size=8_000_000)
    ) as producer:
        sent = []
        for value in values:
            key, body, headers = _message(value)
            sent.append(producer.send(topic, body, key=key, headers=headers))
        for future in sent:
            future.get(timeout=30)


def consume(
    settings: KafkaSettings, topic: str, *, at_least: int = 1, timeout_s: float = 30.0
) -> list[Any]:
    """Every message of ``topic`` so far, from the beginning, once there are ``at_least`` so many.

    Without a consumer group, so it disturbs none. Fails when none comes for ``timeout_s``.
    """
    messages: list[Any] = []
    deadline = time.monotonic() + timeout_s
    with closing(KafkaConsumer(**settings.client_options(), fetch_max_wait_ms=100)) as consumer:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        assert partitions, f"no topic {topic}"
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        while True:
            for batch in consumer.poll(timeout_ms=200).values():
                messages.extend(batch)
                deadline = time.monotonic() + timeout_s
            ends = consumer.end_offsets(partitions)
            is_at_end = all(consumer.position(p) >= ends[p] for p in partitions)
            if is_at_end and len(messages) >= at_least:
                return messages
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"{len(messages)} messages in {topic} after {timeout_s:g} s, "
                    f"expected {at_least}"
                )


def _message(
    value: bytes | tuple[str, bytes] | tuple[str, bytes, Headers],
) -> tuple[bytes | None, bytes, Headers]:
    if isinstance(value, bytes):
        return None, value, []
    key, body, *headers = value
    return key.encode(), body, headers[0] if headers else []
