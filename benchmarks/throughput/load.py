"""Fills the topics that the sides read."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.throughput import events
from benchmarks.throughput.broker import Broker
from benchmarks.throughput.events import Batch, Columns
from benchmarks.throughput.sides.common import LENGTH, Loaded
from contracts import arrow
from contracts.records import RecordKind

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench" / "bin" / "python"


class Form(StrEnum):
    """What one message is."""

    AGENT = "an Arrow batch of one host"
    LARGE = "a large Arrow batch of one host"
    MIXED = "an Arrow batch of all hosts"
    JSON = "a JSON object"


class Topic(NamedTuple):
    """A topic that is filled, and how Kafka compresses it.

    Slow sides read the short topics, which hold the first events of the long ones.
    """

    name: str
    form: Form
    compression: str
    is_short: bool = False

    @property
    def together(self) -> int:
        """Messages to a batch of Kafka's: 1,000 events in each form; our agent sends alone."""
        return events.BATCH if self.form is Form.JSON else 1


ARROW = Topic("arrow", Form.AGENT, "zstd")
"""What our agent writes: its schema, its headers, its key, its compression."""
ARROW_LZ4 = Topic("arrow-lz4", Form.AGENT, "lz4")
ARROW_PLAIN = Topic("arrow-plain", Form.AGENT, "none")
ARROW_LARGE = Topic("arrow-large", Form.LARGE, "zstd")
ARROW_MIXED = Topic("arrow-mixed", Form.MIXED, "zstd")
JSON = Topic("json", Form.JSON, "lz4")
JSON_SHORT = Topic("json-short", Form.JSON, "lz4", is_short=True)
JSON_ZSTD = Topic("json-zstd", Form.JSON, "zstd", is_short=True)
"""Read by nobody: for its size."""


_BATCHES: dict[Form, Callable[[Columns], Iterator[Batch]]] = {
    Form.AGENT: events.agent_batches,
    Form.LARGE: partial(events.agent_batches, size=events.LARGE_BATCH),
    Form.MIXED: events.mixed_batches,
}


def fill(broker: Broker, topic: Topic, columns: Columns) -> None:
    """Make the topic and write the events to it."""
    broker.make_topic(topic.name)
    command = [str(PEERS), "-m", "benchmarks.throughput.sides.loader"]
    given = [broker.address, topic.name, topic.compression, str(topic.together)]
    with subprocess.Popen([*command, *given], stdin=subprocess.PIPE, cwd=ROOT) as loader:
        assert loader.stdin is not None
        for message in _messages(topic, columns):
            encoded = msgspec.msgpack.encode(message)
            loader.stdin.write(LENGTH.pack(len(encoded)) + encoded)
        loader.stdin.close()
        if loader.wait() != 0:
            raise SystemExit("the events could not be written")


def _messages(topic: Topic, columns: Columns) -> Iterator[Loaded]:
    if topic.form is Form.JSON:
        return (Loaded(*line) for line in events.json_lines(columns))
    return map(_of_agent, _BATCHES[topic.form](columns))


def _of_agent(batch: Batch) -> Loaded:
    headers = (
        (arrow.SCHEMA_HEADER, arrow.schema_name(RecordKind.EVENTS).encode()),
        (arrow.AGENT_HEADER, batch.agent.encode()),
        (arrow.SEQ_HEADER, b"%d" % batch.seq),
    )
    return Loaded(batch.agent, batch.time, batch.payload, headers)
