"""Recorded JSON lines: one object per line, of any kind, to record batches."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa

from contracts.errors import UNREADABLE, ConfigError
from contracts.json_columns import decode_all
from contracts.records import RecordKind
from streams.set_aside import SetAside

Recorded = tuple[RecordKind, pa.RecordBatch]
Lines = dict[int, bytes]
"""Number of a line, counted from 1, to its text."""

_BLOCK_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 16 << 20
_OF_LOGS = {"severity", "message"}
_OF_HOSTS = {"cpu_percent", "memory_percent", "load1", "disk_percent", "open_files"}
_OF_OTHER_KINDS = [f'"{name}'.encode() for name in ("exception", *_OF_LOGS, *_OF_HOSTS)]


def json_batches(path: Path, stream: io.BufferedReader, set_aside: SetAside) -> Iterator[Recorded]:
    """A batch or more of each block of lines; what is unusable goes to ``set_aside``.

    Raises:
        ConfigError: no lines, but something else.
    """
    before = 0
    for block in _blocks(path, stream):
        texts = block.split(b"\n")
        lines = {n: text for n, text in enumerate(texts, before + 1) if text and not text.isspace()}
        reasons: dict[int, str] = {}
        batches: list[Recorded] = []
        for kind, of_kind in _by_kind(block, lines).items():
            batch, refused = decode_all(kind, list(of_kind.values()))
            numbers = list(of_kind)
            reasons |= {numbers[row]: error.reason for row, error in refused.items()}
            batches.append((kind, batch))
        for number, reason in sorted(reasons.items()):
            set_aside.add(reason, path, number)
        yield from batches
        before += len(texts) - 1


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


def _by_kind(block: bytes, lines: Lines) -> dict[RecordKind, Lines]:
    """A topic holds one kind; in a file the fields that only one kind has must tell."""
    if not any(name in block for name in _OF_OTHER_KINDS):
        return {RecordKind.EVENTS: lines}
    found: dict[RecordKind, Lines] = defaultdict(dict)
    for number, line in lines.items():
        found[_kind_of(line)][number] = line
    return found


def _kind_of(line: bytes) -> RecordKind:
    """The kind of a line; one that cannot be read is refused as an event."""
    try:
        fields = msgspec.json.decode(line)
    except UNREADABLE:
        return RecordKind.EVENTS
    names = {name.partition(".")[0] for name in fields} if isinstance(fields, dict) else set()
    if "exception" in names:
        return RecordKind.CRASHES
    if names & {"http", "event", "ok", "duration_ms"}:
        return RecordKind.EVENTS
    if names & _OF_LOGS:
        return RecordKind.LOGS
    if names & _OF_HOSTS:
        return RecordKind.HOSTS
    return RecordKind.EVENTS
