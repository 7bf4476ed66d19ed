"""What arrived in Kafka, held against what stands in the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from benchmarks.agent.logs import Request
from benchmarks.throughput.broker import Broker
from contracts import arrow
from contracts.records import RecordKind
from contracts.topics import TELEMETRY
from ingest.parsers.times import TimeParser

_NAMES = {"json": "trace", "combined": "user"}


class Arrivals(NamedTuple):
    """Records as they were found, when the broker took the last, and in how many messages."""

    records: list[Any]
    last_ms: int
    messages: int


def kind_of(shape: str) -> RecordKind:
    """What the agent makes of a log of this shape."""
    return RecordKind.LOGS if shape == "plain" else RecordKind.EVENTS


def topic_of(shape: str) -> str:
    """Where the agent sends it to."""
    return TELEMETRY[kind_of(shape)].name


def of_agent(broker: Broker, shape: str, agent: str) -> Arrivals:
    """What an agent sent."""
    kind = kind_of(shape)
    records: list[Any] = []
    last_ms = messages = 0
    for message in broker.read(topic_of(shape)):
        if dict(message.headers).get(arrow.AGENT_HEADER) != agent.encode():
            continue
        last_ms = max(last_ms, message.timestamp)
        messages += 1
        columns = arrow.decode(kind, message.value).to_pydict()
        records += columns["message"] if shape == "plain" else _requests(shape, columns)
    return Arrivals(records, last_ms, messages)


def _requests(shape: str, columns: dict[str, list[Any]]) -> Iterator[Request]:
    times = (round(time.timestamp() * 1000) for time in columns["time"])
    nothing = [None] * len(columns["time"])
    return map(
        Request,
        columns[_NAMES[shape]],
        times,
        columns["route"],
        columns["status"],
        columns["size_bytes"],
        columns["duration_ms"],
        columns["user"] if shape == "json" else nothing,
    )


def of_loop(broker: Broker, shape: str, topic: str) -> Arrivals:
    """What a loop sent: one JSON object to a message."""
    records: list[Any] = []
    last_ms = messages = 0
    parse_time = TimeParser().parse
    for message in broker.read(topic):
        last_ms = max(last_ms, message.timestamp)
        messages += 1
        found = msgspec.json.decode(message.value)
        is_json = shape == "json"
        duration_ms = float(np.float32(found["took_ms"])) if is_json else None
        records.append(
            Request(
                name=found["request_id" if is_json else "user"],
                time=parse_time(found["ts"]),
                route=found["path"],
                status=found["status"],
                size_bytes=found["bytes"],
                duration_ms=duration_ms,
                user=found["user"] if is_json else None,
            )
        )
    return Arrivals(records, last_ms, messages)


def difference(arrived: Iterable[Any], written: Iterable[Any]) -> str:
    """What differs, in words; empty where every record arrived once and as it was written."""
    found, expected = Counter(arrived), Counter(written)
    if found == expected:
        return ""
    lost, more = (expected - found).total(), (found - expected).total()
    return f"{lost} lost or altered, {more} twice or altered"
