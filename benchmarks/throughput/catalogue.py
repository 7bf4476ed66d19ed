"""The sides: who does the work, on which topic, and what for."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from benchmarks.throughput import load
from benchmarks.throughput.load import Topic


class Program(StrEnum):
    """What runs a side: a module of ``sides`` in one of two environments, or Java."""

    OURS = "ours"
    FAUST = "faust_plain"
    CONFLUENT = "confluent_loop"
    BYTEWAX = "bytewax_flow"
    QUIX = "quix_app"
    JAVA = "java"

    @property
    def is_peer(self) -> bool:
        """Whether it needs the packages of ``.venv-bench``."""
        return self in {Program.CONFLUENT, Program.BYTEWAX, Program.QUIX}


class Results(StrEnum):
    """What a side leaves in its results topic."""

    PARTIALS = "partials"
    JUDGED = "partials, and the judge has read them"
    LATEST = "latest"
    NONE = "none"


class Side(NamedTuple):
    """One row of the table."""

    name: str
    title: str
    program: Program
    variant: str
    topic: Topic
    results: Results = Results.LATEST


SIDES: tuple[Side, ...] = (
    Side("aggregate", "Coalmine aggregate, Arrow", Program.OURS, "aggregate", load.ARROW,
         Results.PARTIALS),
    Side("aggregate-events", "Coalmine aggregate, Arrow, no distinct users", Program.OURS, "events",
         load.ARROW, Results.PARTIALS),
    Side("worker", "Coalmine worker, judge included, Arrow", Program.OURS, "worker", load.ARROW,
         Results.JUDGED),
    Side("aggregate-lz4", "Coalmine aggregate, Arrow, lz4", Program.OURS, "aggregate",
         load.ARROW_LZ4, Results.PARTIALS),
    Side("aggregate-plain", "Coalmine aggregate, Arrow, uncompressed", Program.OURS, "aggregate",
         load.ARROW_PLAIN, Results.PARTIALS),
    Side("aggregate-large", "Coalmine aggregate, Arrow, 5,000 events a message", Program.OURS,
         "aggregate", load.ARROW_LARGE, Results.PARTIALS),
    Side("aggregate-mixed", "Coalmine aggregate, Arrow, 20 hosts in a batch", Program.OURS,
         "aggregate", load.ARROW_MIXED, Results.PARTIALS),
    Side("aggregate-json", "Coalmine aggregate, JSON", Program.OURS, "aggregate", load.JSON,
         Results.PARTIALS),
    Side("kafka-streams", "Kafka Streams", Program.JAVA, "plain", load.JSON),
    Side("kafka-streams-repartition", "Kafka Streams, repartitioned", Program.JAVA, "repartition",
         load.JSON),
    Side("kafka-streams-eos", "Kafka Streams, exactly_once_v2", Program.JAVA, "eos", load.JSON),
    Side("confluent", "confluent-kafka + msgspec loop", Program.CONFLUENT, "count", load.JSON),
    Side("bytewax", "Bytewax, its windows", Program.BYTEWAX, "windows", load.JSON),
    Side("bytewax-batches", "Bytewax, batches counted by hand", Program.BYTEWAX, "batches",
         load.JSON),
    Side("quix", "Quix Streams", Program.QUIX, "windows", load.JSON_SHORT),
    Side("faust", "plain Faust, per event, a table", Program.FAUST, "count", load.JSON_SHORT),
    Side("floor-confluent", "floor: confluent-kafka reads bytes", Program.CONFLUENT, "read",
         load.JSON, Results.NONE),
    Side("floor-faust", "floor: a Faust agent that does nothing", Program.FAUST, "read",
         load.JSON_SHORT, Results.NONE),
    Side("floor-faust-arrow", "floor: the same on Arrow batches", Program.FAUST, "read",
         load.ARROW, Results.NONE),
)  # fmt: skip
