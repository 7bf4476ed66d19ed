"""Recorded telemetry: files of JSON lines or Arrow, as they are read into record batches.

What a file holds, and how it is compressed, is told by its first bytes and not by its name. An
Arrow file may hold one stream or several behind one another, each of a kind of its own; JSON
lines may mix the kinds. What is unusable is set aside and counted, whatever the format.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from contracts import arrow
from contracts.errors import ConfigError
from contracts.records import RecordKind
from streams.recorded_lines import Recorded, json_batches
from streams.set_aside import SetAside

_CODECS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_ARROW_FILE = b"ARROW1"
_ARROW_STREAM = b"\xff\xff\xff\xff"
_ARROW_NAME = re.compile(r"\.(arrows?|ipc|feather)(\.|$)")
_UNREADABLE = (OSError, EOFError, pa.ArrowException, ValueError, OverflowError, MemoryError)
"""The last three are lengths and texts of a damaged Arrow file."""
_ROWS_AT_ONCE = 1 << 16
"""Batches of an agent are a sixtieth of that: joined, each event costs less."""
_BLOCK_BYTES = 1 << 20
_LATEST_MS = 4_102_444_800_000  # 2100-01-01: later than that is a unit mistake, not a time


def batches_of(path: Path, set_aside: SetAside) -> Iterator[Recorded]:
    """What the file holds, in batches of some ten thousand records.

    Raises:
        ConfigError: missing, empty, cut short or damaged, or Arrow with columns of its own.
    """
    with readable(path), path.open("rb") as stream:
        yield from _batches(path, decompressed(stream), set_aside)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one sentence why a file cannot be read, also where that shows only on the way.

    Raises:
        ConfigError: it is missing or damaged.
    """
    try:
        yield
    except _UNREADABLE as error:
        cause = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise ConfigError(str(path), f"cannot be read: {cause or 'it is damaged'}") from error


def decompressed(stream: io.BufferedReader) -> io.BufferedReader:
    """The plain bytes of a file, whatever its first bytes say that it is compressed with."""
    head = stream.peek(8)
    for magic, codec in _CODECS.items():
        if head.startswith(magic):
            plain = pa.CompressedInputStream(pa.PythonFile(stream), codec)
            return io.BufferedReader(plain, _BLOCK_BYTES)
    return stream


def _batches(path: Path, stream: io.BufferedReader, set_aside: SetAside) -> Iterator[Recorded]:
    head = stream.peek(8)
    if not head:
        raise ConfigError(str(path), "is empty")
    if head.startswith((_ARROW_FILE, _ARROW_STREAM)):
        yield from _timed(path, _even(_arrow_batches(path, stream)), set_aside)
    elif _ARROW_NAME.search(path.name):
        raise ConfigError(str(path), "is not Arrow, although its name says so")
    else:
        yield from _even(json_batches(path, stream, set_aside))


def _even(recorded: Iterable[Recorded]) -> Iterator[Recorded]:
    """The same records in batches of about one size: small ones joined, large ones cut."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    kind = RecordKind.EVENTS
    for next_kind, batch in recorded:
        if rows >= _ROWS_AT_ONCE or next_kind is not kind:
            yield from ((kind, joined) for joined in _joined(waiting))
            waiting, rows = [], 0
        kind = next_kind
        waiting.append(batch)
        rows += batch.num_rows
    yield from ((kind, joined) for joined in _joined(waiting))


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    if not any(batch.num_rows for batch in batches):
        return []
    whole = pa.Table.from_batches([arrow.joined(batches)])
    cut: list[pa.RecordBatch] = whole.to_batches(max_chunksize=2 * _ROWS_AT_ONCE)
    return cut


# --- Arrow -------------------------------------------------------------------------------------


def _arrow_batches(path: Path, stream: io.BufferedReader) -> Iterator[Recorded]:
    """Batches of every stream; an Arrow file is a stream between a magic word and a footer."""
    is_file = stream.peek(8).startswith(_ARROW_FILE)
    if is_file:
        stream.read(8)
    while stream.peek(1) and not is_file:
        yield from _stream_batches(path, stream)
    if is_file:
        yield from _stream_batches(path, stream)
        if not stream.read().endswith(_ARROW_FILE):
            raise ConfigError(str(path), "cannot be read: it is cut short, its footer is missing")


def _stream_batches(path: Path, stream: io.BufferedReader) -> Iterator[Recorded]:
    with pa.ipc.open_stream(pa.PythonFile(stream)) as reader:
        kind = _kind_of(path, reader.schema)
        for batch in reader:
            batch.validate(full=True)
            yield kind, arrow.completed(kind, batch)


def _kind_of(path: Path, schema: pa.Schema) -> RecordKind:
    for kind in arrow.schemas:
        if arrow.is_of(kind, schema):
            return kind
    names = set(schema.names)
    nearest = max(arrow.schemas, key=lambda kind: len(names & set(arrow.schemas[kind].names)))
    raise ConfigError(str(path), _difference(schema, nearest))


def _difference(schema: pa.Schema, kind: RecordKind) -> str:
    known = arrow.schemas[kind]
    if missing := [name for name in known.names if name not in schema.names]:
        what = f"it lacks {', '.join(missing)}"
    elif foreign_names := [name for name in schema.names if name not in known.names]:
        what = f"it also has {', '.join(foreign_names)}"
    else:
        types = ((field, schema.field(field.name).type) for field in known)
        wrong = [f"{f.name} is {type_}, not {f.type}" for f, type_ in types if type_ != f.type]
        what = wrong[0] if wrong else "they stand in another order"
    return f"its columns are those of no telemetry record: as {kind.value}, {what}"


def _timed(path: Path, recorded: Iterable[Recorded], set_aside: SetAside) -> Iterator[Recorded]:
    """Without the records whose time is missing or impossible, as JSON lines are read too."""
    before = 0
    for kind, batch in recorded:
        times = batch.column("time").cast(pa.int64())
        ends = pc.min_max(times)
        if times.null_count or not 0 <= ends["min"].as_py() <= ends["max"].as_py() < _LATEST_MS:
            is_possible = pc.and_(pc.greater_equal(times, 0), pc.less(times, _LATEST_MS))
            for reason, is_bad in (
                ("no time", times.is_null()),
                ("time out of range", pc.invert(is_possible).fill_null(False)),
            ):
                if count := is_bad.true_count:
                    set_aside.add(reason, path, before + is_bad.index(True).as_py() + 1, count)
            yield kind, arrow.where(batch, is_possible)
        else:
            yield kind, batch
        before += batch.num_rows
