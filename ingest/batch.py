"""Records of many files to one spool entry: at most one message per topic and sequence number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa

from contracts.arrow import (
    AGENT_HEADER,
    SCHEMA_HEADER,
    SEQ_HEADER,
    encode,
    schema_name,
)
from contracts.errors import InvalidRecord
from contracts.records import Crash, Event, HostSample, Record, RecordKind
from contracts.topics import TELEMETRY
from ingest.files import FileKey, FilePosition
from ingest.rows import Rows
from ingest.spool import Entry, Message

MAX_MESSAGE_BYTES = 900 * 1024
"""Below Kafka's own default limit of 1 MiB for one message."""

Refuse = Callable[[Record, str], Message]
"""Makes the dead letter of a record that does not fit its columns."""

Redact = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Takes the secrets out of a batch."""


def kind_of(record: Record) -> RecordKind:
    """The stream a record belongs to."""
    if isinstance(record, Event):
        return RecordKind.EVENTS
    if isinstance(record, Crash):
        return RecordKind.CRASHES
    return RecordKind.HOSTS if isinstance(record, HostSample) else RecordKind.LOGS


@dataclass(slots=True)
class Batch:
    """What was read since the last flush, and how far."""

    rows: dict[RecordKind, Rows] = field(default_factory=dict)
    dead_letters: list[Message] = field(default_factory=list)
    positions: dict[FileKey, FilePosition] = field(default_factory=dict)
    received: bytes = b""
    """Keys of what came over HTTP, one after the other."""
    count: int = 0
    bytes_read: int = 0
    started_s: float | None = None
    """Monotonic seconds of the first record."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write, not even progress."""
        return not self.positions and not self.count

    def add(self, rows: Rows) -> None:
        """Take records of one kind."""
        if rows:
            self.rows.setdefault(rows.kind, Rows(rows.kind)).extend(rows)
            self.count += len(rows)

    def cover(self, position: FilePosition, size_bytes: int, now_s: float) -> None:
        """Note how far a file was read with what was added."""
        self.positions[position.key] = position
        self.bytes_read += size_bytes
        if self.started_s is None:
            self.started_s = now_s


def build_entry(batch: Batch, agent: str, first_seq: int, refuse: Refuse, redact: Redact) -> Entry:
    """The spool entry of ``batch``.

    A kind whose message would be too large is split over further sequence numbers of the same
    entry, so that what was read and how far stay in one atomic file.
    """
    last_seq = first_seq
    messages: list[Message] = []
    letters = list(batch.dead_letters)
    for rows in batch.rows.values():
        seq = first_seq
        for payload in _payloads(rows, refuse, letters, redact):
            messages.append(_telemetry(rows.kind, payload, agent, seq))
            last_seq = max(last_seq, seq)
            seq += 1
    return Entry(
        seq=first_seq,
        last_seq=last_seq,
        positions=list(batch.positions.values()),
        messages=[*messages, *letters],
        records=batch.count,
        received=batch.received,
    )


def _payloads(
    rows: Rows, refuse: Refuse, letters: list[Message], redact: Redact
) -> Iterable[bytes]:
    try:
        payload = encode(redact(rows.batch()))
    except (InvalidRecord, UnicodeEncodeError, ValueError, TypeError) as error:
        # rare: one record does not fit its column; find it, keep the others
        wrong = str(error)
    else:
        if len(payload) <= MAX_MESSAGE_BYTES:
            return [payload]
        wrong = f"message of {len(payload)} bytes"
    if len(rows) == 1:
        [record] = rows.records()
        letters.append(refuse(record, wrong))
        return []
    middle = len(rows) // 2
    return [
        *_payloads(rows[:middle], refuse, letters, redact),
        *_payloads(rows[middle:], refuse, letters, redact),
    ]


def _telemetry(kind: RecordKind, payload: bytes, agent: str, seq: int) -> Message:
    headers = [
        (SCHEMA_HEADER, schema_name(kind).encode()),
        (AGENT_HEADER, agent.encode()),
        (SEQ_HEADER, str(seq).encode()),
    ]
    return Message(TELEMETRY[kind].name, agent.encode(), payload, headers)


def bytes_of(record: Record) -> bytes:
    """A refused record as JSON, for its dead letter."""
    try:
        return msgspec.json.encode(record)
    except (msgspec.EncodeError, UnicodeEncodeError, ValueError):
        return repr(record).encode("utf-8", "backslashreplace")
