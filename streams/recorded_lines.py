"""Recorded JSON lines: one object per line, of any kind, to record batches."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import pyarrow as pa

from contracts import arrow, foreign
from contracts.errors import UNREADABLE, ConfigError, InvalidRecord
from contracts.records import Event, RecordKind
from streams.set_aside import SetAside

Recorded = tuple[RecordKind, pa.RecordBatch]

_BLOCK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 16 << 20


def json_batches(path: Path, stream: io.BufferedReader, set_aside: SetAside) -> Iterator[Recorded]:
    """A batch or more of each block of lines; what is unusable goes to ``set_aside``.

    Raises:
        ConfigError: no lines, but something else.
    """
    before = 0
    for block in _blocks(path, stream):
        try:
            yield RecordKind.EVENTS, _plain_events(block)
        except (InvalidRecord, msgspec.DecodeError, UnicodeDecodeError):
            numbered = enumerate(block.split(b"\n"), before + 1)
            yield from _line_by_line(path, numbered, set_aside)
        before += block.count(b"\n")


def _blocks(path: Path, stream: io.BufferedReader) -> Iterator[bytes]:
    """Whole lines, about a megabyte of them at once."""
    rest: list[bytes] = []
    while read := stream.read1(_BLOCK_BYTES):
        lines, newline, begun = read.rpartition(b"\n")
        if newline:
            yield b"".join([*rest, lines, newline])
            rest = []
        rest.append(begun)
        if sum(map(len, rest)) > _LONGEST_LINE_BYTES:
            raise ConfigError(str(path), "holds no JSON lines: one is longer than 16 MB")
    if any(rest):
        yield b"".join(rest)


_LOOSE: dict[str, tuple[Any, Any]] = {
    "time": (int | float | str, msgspec.NODEFAULT),
    "ok": (bool | msgspec.UnsetType, msgspec.UNSET),
}
_PlainEvent = msgspec.defstruct(
    "_PlainEvent",
    [
        (field.name, *_LOOSE.get(field.name, (field.type, field.default)))
        for field in msgspec.structs.fields(Event)
    ],
    rename={field.name: field.encode_name for field in msgspec.structs.fields(Event)},
    kw_only=True,
)
_plain_decoder = msgspec.json.Decoder(_PlainEvent, strict=False)
_OF_LOGS = {"severity", "message"}
_OF_HOSTS = {"cpu_percent", "memory_percent", "load1", "disk_percent", "open_files"}
_OF_OTHER_KINDS = [f'"{name}'.encode() for name in ("exception.", *_OF_LOGS, *_OF_HOSTS)]


def _plain_events(block: bytes) -> pa.RecordBatch:
    """The events of a block that holds nothing else, all names dotted: the way that is fast.

    Raises:
        InvalidRecord: something in the block must be looked at line by line.
    """
    if any(name in block for name in _OF_OTHER_KINDS):
        raise InvalidRecord("not plain")
    events: list[Any] = _plain_decoder.decode_lines(block)
    if block.count(b"{") != len(events):
        raise InvalidRecord("not plain")
    for event in events:
        event.time = foreign.parse_time_ms(event.time)
        if event.ok is msgspec.UNSET:
            event.ok = event.status is None or event.status < 500
    return arrow.batch_from_records(RecordKind.EVENTS, cast("list[Event]", events))


def _line_by_line(
    path: Path, numbered: Iterable[tuple[int, bytes]], set_aside: SetAside
) -> Iterator[Recorded]:
    records: dict[RecordKind, list[tuple[int, arrow.Record]]] = defaultdict(list)
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            kind, record = _record(line)
        except InvalidRecord as error:
            set_aside.add(error.reason, path, number)
        else:
            records[kind].append((number, record))
    for kind, of_kind in records.items():
        batches, refused = arrow.fitting(kind, [record for _, record in of_kind])
        for row, refusal in refused.items():
            set_aside.add(refusal.reason, path, of_kind[row][0])
        for batch in batches:
            yield kind, batch


def _record(line: bytes) -> tuple[RecordKind, arrow.Record]:
    try:
        fields = msgspec.json.decode(line)
    except UNREADABLE as error:
        raise InvalidRecord("not json", str(error)) from error
    if not isinstance(fields, dict):
        raise InvalidRecord("not a json object", type(fields).__name__)
    kind = _kind_of_fields(fields)
    return kind, foreign.record_from_fields(kind, fields)


def _kind_of_fields(fields: Mapping[str, Any]) -> RecordKind:
    """A topic holds one kind; in a file the fields that only one kind has must tell."""
    names = {name.partition(".")[0] for name in fields}
    if "exception" in names:
        return RecordKind.CRASHES
    if names & {"http", "event", "ok", "duration_ms"}:
        return RecordKind.EVENTS
    if names & _OF_LOGS:
        return RecordKind.LOGS
    if names & _OF_HOSTS:
        return RecordKind.HOSTS
    return RecordKind.EVENTS
