"""Fills the topics that the sides read."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaProducer

from benchmarks.throughput import events
from benchmarks.throughput.broker import Broker
from benchmarks.throughput.events import Batch, Columns, Line
from contracts import arrow
from contracts.records import RecordKind

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench" / "bin" / "python"
_IN_FLIGHT = 200


class Topic(NamedTuple):
    """A topic that is filled: what it carries, how Kafka compresses it, whether it is a short one.

    Slow sides read the short topics, which hold the first events of the long ones.
    """

    name: str
    form: str
    compression: str
    is_short: bool = False


ARROW = Topic("arrow", "agent", "zstd")
"""What our agent writes: its schema, its headers, its key, its compression."""
ARROW_LZ4 = Topic("arrow-lz4", "agent", "lz4")
ARROW_PLAIN = Topic("arrow-plain", "agent", "none")
ARROW_MIXED = Topic("arrow-mixed", "mixed", "zstd")
JSON = Topic("json", "json", "lz4")
JSON_SHORT = Topic("json-short", "json", "lz4", is_short=True)
JSON_ZSTD = Topic("json-zstd", "json", "zstd", is_short=True)
"""Read by nobody: for its size."""


def fill(broker: Broker, topic: Topic, columns: Columns) -> None:
    """Make the topic and write the events to it."""
    broker.make_topic(topic.name)
    if topic.form == "json":
        _send_lines(broker, topic, events.json_lines(columns))
    else:
        make = events.mixed_batches if topic.form == "mixed" else events.agent_batches
        _send_batches(broker, topic, make(columns))


def _send_batches(broker: Broker, topic: Topic, batches: Iterable[Batch]) -> None:
    compression = None if topic.compression == "none" else topic.compression
    options = {"compression_type": compression, "acks": "all", "linger_ms": 0, "batch_size": 1}
    with closing(KafkaProducer(**broker.options, **options)) as producer:
        sent = []
        for batch in batches:
            headers = [
                (arrow.SCHEMA_HEADER, arrow.schema_name(RecordKind.EVENTS).encode()),
                (arrow.AGENT_HEADER, batch.agent.encode()),
                (arrow.SEQ_HEADER, b"%d" % batch.seq),
            ]
            key = batch.agent.encode()
            sent.append(
                producer.send(
                    topic.name, batch.payload, key, headers=headers, timestamp_ms=batch.time
                )
            )
            if len(sent) == _IN_FLIGHT:
                sent.pop(0).get(timeout=30)
        for future in sent:
            future.get(timeout=30)


def _send_lines(broker: Broker, topic: Topic, lines: Iterable[Line]) -> None:
    command = [PEERS, "-m", "benchmarks.throughput.sides.load_json"]
    given = [broker.address, topic.name, topic.compression]
    with subprocess.Popen([*command, *given], stdin=subprocess.PIPE, cwd=ROOT) as loader:
        assert loader.stdin is not None
        for line in lines:
            loader.stdin.write(b"%s\t%d\t%s\n" % (line.key.encode(), line.time, line.value))
        loader.stdin.close()
        if loader.wait() != 0:
            raise SystemExit("the events could not be written")
