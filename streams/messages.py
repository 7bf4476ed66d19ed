"""Kafka messages to what they say: partials, crash sightings, dead letters. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from operator import not_
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import structlog

from contracts import arrow, foreign
from contracts.arrivals import bounded, from_the_future
from contracts.dead_letters import dead_letter
from contracts.errors import InvalidRecord
from contracts.json_columns import decode_all
from contracts.policy import Policies
from contracts.records import RecordKind
from contracts.results import Cell, CrashGroupSighting, DeadLetter, Partial, Source
from streams.crashes.sightings import Grouped, sightings
from streams.outcomes import grouped, of_groups, outcomes_of
from streams.runs import Message as Message  # noqa: PLC0414 - what everything here is about
from streams.runs import Run
from streams.windows.aggregate import COLUMNS, cells_of_batch, cells_of_events
from streams.windows.events import Events, Sent, joined, of_batch, of_messages, understood
from streams.windows.grouping import Coded

log = structlog.get_logger()

STAGE = "streams.aggregate"


class Sender(NamedTuple):
    """Who sent a batch, and its number; a foreign message's own place stands for both."""

    agent: str
    seq: int
    is_ours: bool


class Aggregated(NamedTuple):
    """What a stretch of telemetry messages gives."""

    partials: list[Partial]
    sightings: list[CrashGroupSighting]
    dead_letters: list[DeadLetter]
    records: int
    """Records that the partials count."""


class Unfenced(NamedTuple):
    """Messages that have not been counted before, and what must be remembered of them."""

    messages: Run
    fenced: tuple[int, ...]
    """Offsets of the others."""
    last_seq: dict[str, int]
    """The last sequence number of each shipping agent among ``messages``."""


def sender_of(message: Message) -> Sender:
    """Agent and sequence number from the headers, or the message's partition and offset.

    Raises:
        InvalidRecord: a sequence number that is none.
    """
    agent = message.headers.get(arrow.AGENT_HEADER)
    seq = message.headers.get(arrow.SEQ_HEADER)
    if not agent or not seq:
        return Sender(message.place, message.offset, is_ours=False)
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
    """The records of one telemetry message as columns, Arrow or JSON.

    Raises:
        InvalidRecord: unknown schema, or bytes that are not what the headers say.
    """
    schema = message.headers.get(arrow.SCHEMA_HEADER)
    if schema is None:
        return arrow.batch_from_records(kind, [foreign.decode_json(kind, message.value)])
    if schema != arrow.schema_name(kind).encode():
        raise InvalidRecord("unknown schema", schema[:80].decode(errors="replace"))
    return arrow.decode(kind, message.value)


def unfenced(messages: Sequence[Message], last_seq: Callable[[str], int]) -> Unfenced:
    """Without the batches that an agent sent twice.

    Args:
        messages: of one partition, in order, at least one.
        last_seq: the last sequence number of an agent that was counted.
    """
    run = Run.of(messages)
    passed: dict[str, int] = {}
    if not any(run.headers):  # foreign ones, of which there are many
        return Unfenced(run, (), passed)

    def is_new(message: Message) -> bool:
        try:
            sender = sender_of(message)
        except InvalidRecord:  # becomes a dead letter later
            return True
        if not sender.is_ours:
            return True
        if sender.seq <= passed.get(sender.agent, last_seq(sender.agent)):
            return False
        passed[sender.agent] = sender.seq
        return True

    are_new = list(map(is_new, run))
    fenced = tuple(offset for offset, new in zip(run.offsets, are_new, strict=True) if not new)
    return Unfenced(run.where(are_new) if fenced else run, fenced, passed)


def aggregate(
    kind: RecordKind,
    messages: Sequence[Message],
    policies: Policies,
    without: tuple[int, ...] = (),
) -> Aggregated:
    """Everything that a stretch of one partition says; a bad message is a dead letter.

    Args:
        kind: what the topic carries.
        messages: of one partition, in order, at least one.
        policies: tell how services are counted.
        without: offsets in between that are not to be counted.
    """
    read = _Read(kind, policies)
    run = Run.of(messages)
    if any(run.headers):
        has_schema = [arrow.SCHEMA_HEADER in headers for headers in run.headers]
        for message in compress(run, has_schema):
            read.add_arrow(message)
        run = run.where(map(not_, has_schema))
    read.add_json(run)
    cells, seen, records = read.events() if kind is RecordKind.EVENTS else read.others()
    if not records:
        return Aggregated([], [], read.dead_letters, 0)
    first, last = messages[0], messages[-1]
    source = Source(
        topic=last.topic,
        partition=last.partition,
        offset=last.offset,
        first=first.offset,
        without=tuple(offset for offset in without if offset > first.offset),
    )
    partials = [
        Partial(
            service=service,
            source=source,
            sent_at=last.timestamp,
            arrived_at=first.timestamp,
            cells=of_service,
        )
        for service, of_service in cells.items()
    ]
    return Aggregated(partials, seen, read.dead_letters, records)


def _sightings(
    batch: pa.RecordBatch, groups: Grouped, parts: Sequence[_Part]
) -> list[CrashGroupSighting]:
    origins = [message.origin for part in parts for message in part.messages]
    rows = [count for part in parts for count in part.rows_of_messages()]
    return sightings(batch, groups, coded(origins, rows))


def refused(message: Message, error: InvalidRecord) -> Aggregated:
    """What a message gives that cannot be used as a whole."""
    return Aggregated([], [], [_dead_letter(error, message, message.value)], 0)


Counted = tuple[dict[str, list[Cell]], list[CrashGroupSighting], int]
"""Cells by service, sightings, and how many records they are of."""
_EVENTS = RecordKind.EVENTS
_EVENTS_SCHEMA = arrow.schema_name(_EVENTS).encode()


class _Part(NamedTuple):
    """Records of one sender: a message in Arrow, or many in JSON with a record each."""

    agent: str
    batch: pa.RecordBatch
    messages: Sequence[Message]

    def rows_of_messages(self) -> list[int]:
        """How many records each message has."""
        return [self.batch.num_rows // len(self.messages)] * len(self.messages)


class _Read:
    """The records of messages, Arrow or JSON, as they are read; what is unusable is set aside."""

    def __init__(self, kind: RecordKind, policies: Policies) -> None:
        self._kind = kind
        self._policies = policies
        self._sent: dict[int, list[tuple[Sent, Message]]] = {}
        """Messages that are read without Arrow, by their layout."""
        self._parts: list[_Part] = []
        self.dead_letters: list[DeadLetter] = []

    def add_arrow(self, message: Message) -> None:
        """Read one message of a shipping agent."""
        try:
            agent = sender_of(message).agent
            if not self._add_sent(message, agent):
                self._add_batch(message, agent)
        except InvalidRecord as error:
            self.dead_letters.append(_dead_letter(error, message, message.value))

    def _add_sent(self, message: Message, agent: str) -> bool:
        if message.headers[arrow.SCHEMA_HEADER] != _EVENTS_SCHEMA or self._kind is not _EVENTS:
            return False
        sent = understood(message.value, agent, message.timestamp)
        if sent is not None:
            self._sent.setdefault(id(sent.layout), []).append((sent, message))
        return sent is not None

    def _add_batch(self, message: Message, agent: str) -> None:
        batch = self._arrived(decode_batch(self._kind, message), message)
        self._parts.append(_Part(agent, batch, [message]))

    def add_json(self, run: Run) -> None:
        """Read the messages of other shippers."""
        if not run:
            return
        batch, refused = decode_all(self._kind, run.values, run.timestamps)
        used = run.where(n not in refused for n in range(len(run))) if refused else run
        self._parts.append(_Part(run[0].place, batch, used))
        for number, error in refused.items():
            message = run[number]
            self.dead_letters.append(_dead_letter(error, message, message.value))

    def others(self) -> Counted:
        """The cells of what was read of any kind but events, with sightings."""
        parts = self._not_empty()
        if not parts:
            return {}, [], 0
        agents = coded([one.agent for one in parts], [one.batch.num_rows for one in parts])
        batch = arrow.joined([one.batch for one in parts], COLUMNS[self._kind])
        groups = grouped(batch, self._policies) if self._kind is RecordKind.CRASHES else None
        outcomes = of_groups(groups) if groups else outcomes_of(self._kind, batch, self._policies)
        cells = cells_of_batch(self._kind, batch, self._policies, agents, outcomes)
        return cells, _sightings(batch, groups, parts) if groups else [], batch.num_rows

    def events(self) -> Counted:
        """The cells of what was read of events."""
        found = [one for sent in self._sent.values() for one in self._of_sent(sent)]
        for agent, batch, _ in self._not_empty():
            agents = coded([agent], [batch.num_rows])
            found.append(of_batch(batch, self._policies, agents))
        if not found:
            return {}, [], 0
        events = joined(found)
        return cells_of_events(events, self._policies), [], len(events)

    def _of_sent(self, sent: Sequence[tuple[Sent, Message]]) -> Iterator[Events]:
        """The events of messages of one layout; which of them Arrow must look at, halving finds."""
        found = of_messages([one for one, _ in sent], self._policies)
        if found is not None:
            yield found
        elif len(sent) > 1:
            half = len(sent) // 2
            yield from self._of_sent(sent[:half])
            yield from self._of_sent(sent[half:])
        else:
            [(one, message)] = sent
            try:
                self._add_batch(message, one.agent)
            except InvalidRecord as error:
                self.dead_letters.append(_dead_letter(error, message, message.value))

    def _not_empty(self) -> list[_Part]:
        return [part for part in self._parts if part.batch.num_rows]

    def _arrived(self, batch: pa.RecordBatch, message: Message) -> pa.RecordBatch:
        """With no time later than the arrival; records from the future are set aside."""
        times = arrow.numbers(batch.column("time"))
        if not len(times) or times.max() <= message.timestamp:
            return batch
        times, is_early = bounded(times, message.timestamp)
        arrived = arrow.with_times(batch, times)
        if not is_early.any():
            return arrived
        early = arrow.records_from_batch(self._kind, arrow.where(batch, pa.array(is_early)))
        for row, record in zip(np.flatnonzero(is_early).tolist(), early, strict=True):
            letter = _dead_letter(from_the_future(), message, msgspec.json.encode(record), row)
            self.dead_letters.append(letter)
        return arrow.where(arrived, pa.array(~is_early))


def coded(labels: Sequence[str], counts: Sequence[int]) -> Coded:
    """Labels that hold for so many rows each, as codes of the rows into the distinct labels."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.repeat([numbers[label] for label in labels], counts), list(numbers)


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
