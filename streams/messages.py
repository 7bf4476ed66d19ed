"""One Kafka message to what it says: partials, crash sightings, dead letters. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import structlog

from contracts import arrow, foreign
from contracts.dead_letters import dead_letter
from contracts.errors import InvalidRecord
from contracts.records import Crash, RecordKind
from contracts.results import CrashGroupSighting, DeadLetter, Partial, Source
from streams.crashes.sightings import sightings
from streams.windows.aggregate import cells_of_batch, never

log = structlog.get_logger()

STAGE = "streams.aggregate"
MAX_AHEAD_MS = 600_000
"""Records whose time is more than ten minutes after their arrival would end every open tick."""


class Message(NamedTuple):
    """What the cores need of a Kafka message; ``timestamp`` is its arrival, epoch milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    headers: Mapping[str, bytes]
    value: bytes

    @property
    def origin(self) -> str:
        """``topic/partition/offset``."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Sender(NamedTuple):
    """Who sent a batch, and its number; a foreign message's own place stands for both."""

    agent: str
    seq: int
    is_ours: bool


class Aggregated(NamedTuple):
    """What one telemetry message gives."""

    partials: list[Partial]
    sightings: list[CrashGroupSighting]
    dead_letters: list[DeadLetter]


def sender_of(message: Message) -> Sender:
    """Agent and sequence number from the headers, or the message's partition and offset.

    Raises:
        InvalidRecord: a sequence number that is none.
    """
    agent = message.headers.get(arrow.AGENT_HEADER)
    seq = message.headers.get(arrow.SEQ_HEADER)
    if not agent or not seq:
        return Sender(f"{message.topic}/{message.partition}", message.offset, is_ours=False)
    if not seq.isdigit():
        raise InvalidRecord("seq is not a number", seq[:40].decode(errors="replace"))
    return Sender(agent.decode(errors="replace"), int(seq), is_ours=True)


@contextmanager
def failures_are_invalid(message: Message) -> Iterator[None]:
    """What a pure core cannot work on it never will: a dead letter, where a crash would repeat."""
    try:
        yield
    except (InvalidRecord, MemoryError):
        raise
    except Exception as error:
        log.exception("core_failed", origin=message.origin)
        raise InvalidRecord("failed", repr(error)) from error


def decode_batch(kind: RecordKind, message: Message) -> pa.RecordBatch:
    """The records of a telemetry message as columns, Arrow or JSON.

    Raises:
        InvalidRecord: unknown schema, or bytes that are not what the headers say.
    """
    schema = message.headers.get(arrow.SCHEMA_HEADER)
    if schema is None:
        record = foreign.decode_json(kind, message.value)
        return arrow.batch_from_records(kind, [record])
    if schema != arrow.schema_name(kind).encode():
        raise InvalidRecord("unknown schema", schema[:80].decode(errors="replace"))
    return arrow.decode(kind, message.value)


def aggregate(
    kind: RecordKind, message: Message, is_stratified: Callable[[str], bool] = never
) -> Aggregated:
    """Everything that one telemetry message says; a bad one is a dead letter and nothing else.

    Args:
        kind: what the topic carries.
        message: as it came.
        is_stratified: tells the services whose events are counted route by route.
    """
    try:
        sender = sender_of(message)
        batch = decode_batch(kind, message)
    except InvalidRecord as error:
        return Aggregated([], [], [_dead_letter(error, message, message.value)])
    batch, early = _split_early(kind, batch, message)
    source = Source(topic=message.topic, partition=message.partition, offset=message.offset)
    partials = [
        Partial(
            service=service,
            agent=sender.agent,
            source=source,
            sent_at=message.timestamp,
            cells=cells,
        )
        for service, cells in cells_of_batch(kind, batch, is_stratified).items()
    ]
    return Aggregated(partials, _sightings(kind, batch, message), early)


def _split_early(
    kind: RecordKind, batch: pa.RecordBatch, message: Message
) -> tuple[pa.RecordBatch, list[DeadLetter]]:
    """Records from the future apart from the others."""
    times = batch.column("time").cast(pa.int64()).to_numpy(zero_copy_only=False)
    is_early = times > message.timestamp + MAX_AHEAD_MS
    if not is_early.any():
        return batch, []
    early = arrow.records_from_batch(kind, batch.filter(pa.array(is_early)))
    error = InvalidRecord("time in the future", "more than 10 minutes after its arrival")
    letters = [
        _dead_letter(error, message, msgspec.json.encode(record), row=int(row))
        for row, record in zip(np.flatnonzero(is_early), early, strict=True)
    ]
    return batch.filter(pa.array(~is_early)), letters


def _sightings(
    kind: RecordKind, batch: pa.RecordBatch, message: Message
) -> list[CrashGroupSighting]:
    if kind is not RecordKind.CRASHES:
        return []
    crashes = [r for r in arrow.records_from_batch(kind, batch) if isinstance(r, Crash)]
    return sightings(
        crashes, topic=message.topic, partition=message.partition, offset=message.offset
    )


def _dead_letter(
    error: InvalidRecord, message: Message, payload: bytes, row: int | None = None
) -> DeadLetter:
    origin = message.origin if row is None else f"{message.origin}/{row}"
    is_whole = row is None
    schema = message.headers.get(arrow.SCHEMA_HEADER, b"") if is_whole else b""
    return dead_letter(
        error,
        stage=STAGE,
        origin=origin,
        payload=payload,
        time=message.timestamp,
        schema=schema.decode("utf-8", "replace"),
    )
