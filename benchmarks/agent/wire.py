"""Bytes per event in Kafka, 1,000 events to a batch of Kafka's in each form and compression."""

from __future__ import annotations

from benchmarks.throughput import events, load
from benchmarks.throughput.broker import Broker
from benchmarks.throughput.load import Form, Topic

TOPICS = (
    load.ARROW,
    load.ARROW_LZ4,
    load.ARROW_PLAIN,
    Topic("json-zstd", Form.JSON, "zstd"),
    Topic("json-lz4", Form.JSON, "lz4"),
    Topic("json-plain", Form.JSON, "none"),
)


def measure(broker: Broker, count: int, seed: int) -> dict[str, float]:
    """Bytes per event of each topic: the events of ``make bench``."""
    columns = events.generate(count, seed)
    found = {}
    for topic in TOPICS:
        load.fill(broker, topic, columns)
        found[topic.name] = broker.bytes_of(topic.name) / count
        broker.remove_topics(topic.name)
    return found
