"""Telemetry as an agent would ship it: for tests of the stream worker."""

from __future__ import annotations

import random
from collections.abc import Iterator

from contracts import arrow
from contracts.records import Event, Record, RecordKind
from contracts.topics import TELEMETRY
from tests.support.stack import Headers

Keyed = tuple[str, bytes, Headers]


def batch_message(kind: RecordKind, agent: str, seq: int, records: list[Record]) -> Keyed:
    """Key, value and headers of one batch."""
    headers: Headers = [
        (arrow.SCHEMA_HEADER, arrow.schema_name(kind).encode()),
        (arrow.AGENT_HEADER, agent.encode()),
        (arrow.SEQ_HEADER, str(seq).encode()),
    ]
    return agent, arrow.encode(arrow.batch_from_records(kind, records)), headers


def events(
    seed: int, service: str, release: str, *, second_ms: int, count: int, error_rate: float = 0.01
) -> list[Event]:
    """``count`` requests within one second."""
    chosen = random.Random(f"{seed}-{release}-{second_ms}")
    made = []
    for _ in range(count):
        is_bad = chosen.random() < error_rate
        made.append(
            Event(
                time=second_ms + chosen.randrange(1000),
                service=service,
                release=release,
                host=f"host-{release}",
                status=500 if is_bad else 200,
                ok=not is_bad,
                size_bytes=chosen.randrange(2000),
                duration_ms=chosen.lognormvariate(3, 0.5),
            )
        )
    return made


def event_batches(
    service: str,
    release: str,
    seconds: range,
    *,
    start_ms: int,
    count: int,
    error_rate: float = 0.01,
    seed: int = 5,
) -> Iterator[Keyed]:
    """One batch a second from one agent of one release; ``seq`` is the number of the second."""
    for second in seconds:
        records: list[Record] = list(
            events(
                seed,
                service,
                release,
                second_ms=start_ms + second * 1000,
                count=count,
                error_rate=error_rate,
            )
        )
        yield batch_message(RecordKind.EVENTS, f"{service}-{release}", second, records)


EVENTS_TOPIC = TELEMETRY[RecordKind.EVENTS].name
