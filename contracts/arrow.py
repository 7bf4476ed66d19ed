"""Telemetry on the wire: Arrow IPC record batches, many records to one Kafka message.

Strings that repeat are dictionary-encoded, so that a reader groups on small integers; buffers are
plain, because Kafka's own zstd makes them smallest. Few values have codes of one byte, and short
ids travel as views, which hold them in place: zstd cannot shrink the offsets of plain ones (see
``docs/adr/0003-arrow-on-the-wire.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import InvalidRecord
from contracts.records import (
    Frame,
    Record,
    RecordKind,
    type_of_kind,
)

SCHEMA_HEADER = "schema"
AGENT_HEADER = "agent"
SEQ_HEADER = "seq"
CONTENT_TYPE_HEADER = "content-type"
VERSION = "v1"

_TIME = pa.timestamp("ms", tz="UTC")
_CODE = pa.dictionary(pa.int32(), pa.utf8())
_SMALL_CODE = pa.dictionary(pa.int8(), pa.utf8())
_SMALL_CODES = 128
"""Values of a column that small codes can tell apart."""
_TEXT = pa.utf8()
_FRAMES = pa.list_(
    pa.struct(
        [
            ("module", _TEXT),
            ("function", _TEXT),
            ("file", _TEXT),
            ("line", pa.int32()),
            ("in_app", pa.bool_()),
        ]
    )
)
_ATTRIBUTES = pa.map_(_TEXT, _TEXT)
_VIEW = pa.string_view()
_IDS = ("user", "session", "trace")
IN_PLACE_BYTES = 12
"""A longer text stands outside of its view, which then is larger than an offset."""

schemas: dict[RecordKind, pa.Schema] = {
    RecordKind.EVENTS: pa.schema(
        [
            ("time", _TIME),
            ("service", _CODE),
            ("release", _CODE),
            ("host", _CODE),
            ("name", _CODE),
            ("route", _CODE),
            ("status", pa.int16()),
            ("ok", pa.bool_()),
            ("size_bytes", pa.int64()),
            ("duration_ms", pa.float32()),
            ("user", _TEXT),
            ("session", _TEXT),
            ("trace", _TEXT),
            ("arm", _CODE),
        ]
    ),
    RecordKind.LOGS: pa.schema(
        [
            ("time", _TIME),
            ("service", _CODE),
            ("release", _CODE),
            ("host", _CODE),
            ("severity", _CODE),
            ("message", _TEXT),
            ("trace", _TEXT),
            ("attributes", _ATTRIBUTES),
        ]
    ),
    RecordKind.CRASHES: pa.schema(
        [
            ("time", _TIME),
            ("service", _CODE),
            ("release", _CODE),
            ("host", _CODE),
            ("runtime", _CODE),
            ("exception_type", _CODE),
            ("exception_message", _TEXT),
            ("stacktrace", _TEXT),
            ("frames", _FRAMES),
            ("thread", _CODE),
            ("user", _TEXT),
            ("session", _TEXT),
            ("trace", _TEXT),
            ("arm", _CODE),
        ]
    ),
    RecordKind.HOSTS: pa.schema(
        [
            ("time", _TIME),
            ("host", _CODE),
            ("service", _CODE),
            ("release", _CODE),
            ("cpu_percent", pa.float32()),
            ("memory_percent", pa.float32()),
            ("load1", pa.float32()),
            ("disk_percent", pa.float32()),
            ("open_files", pa.int32()),
            ("boot_time", pa.int64()),
        ]
    ),
}


_forms = {kind: [schema] for kind, schema in schemas.items()}
_forms[RecordKind.HOSTS].append(pa.schema(list(schemas[RecordKind.HOSTS])[:-1]))
"""The plain schemas that a batch may have: those of older agents lack columns at the end."""


def schema_name(kind: RecordKind) -> str:
    """Value of the ``schema`` header, for example ``coalmine.events.v1``."""
    return f"coalmine.{kind.value}.{VERSION}"


def batch_from_records(kind: RecordKind, records: Sequence[Record]) -> pa.RecordBatch:
    """Columns of ``records`` (all of the type of ``kind``), in order.

    Raises:
        InvalidRecord: a value does not fit its column (for example a status above 32767).
    """
    # fields of a record stand in the order of its columns
    columns = list(zip(*map(msgspec.structs.astuple, records), strict=True))
    return batch_from_columns(kind, columns or [()] * len(schemas[kind]))


def batch_from_columns(kind: RecordKind, columns: Sequence[Any]) -> pa.RecordBatch:
    """The batch of these values, one sequence (n,) for each column of ``kind``.

    Raises:
        InvalidRecord: a value does not fit its column.
    """
    schema = schemas[kind]
    try:
        arrays = [_array(column, field.type) for field, column in zip(schema, columns, strict=True)]
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise InvalidRecord("value does not fit its column", str(error)) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(column: Sequence[Any], type_: pa.DataType) -> pa.Array:
    if pa.types.is_nested(type_):
        return pa.array(map(_column_value, column), type=type_, size=len(column))
    # most batches are of one service, release and host: no look at every value
    if pa.types.is_dictionary(type_) and column and column.count(column[0]) == len(column):
        codes = pa.array(np.zeros(len(column), np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array(column[:1], type_.value_type))
    return pa.array(column, type=type_, size=len(column))


def _column_value(value: object) -> object:
    if isinstance(value, list):
        return [msgspec.structs.asdict(f) if isinstance(f, Frame) else f for f in value]
    return list(value.items()) if isinstance(value, dict) else value


def encode(batch: pa.RecordBatch) -> bytes:
    """Arrow IPC stream of one batch, with its schema, ready to be a Kafka message's value."""
    short = {name: _VIEW for name in _IDS if _is_short(batch, name)}
    batch = _with_types(batch, short | _small_codes_of(batch))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _is_short(batch: pa.RecordBatch, name: str) -> bool:
    """Whether there is such a column, and views hold all its values."""
    at = batch.schema.get_field_index(name)
    if at < 0 or batch.column(at).type == _VIEW or batch.column(at).null_count == batch.num_rows:
        return False
    longest = pc.max(pc.binary_length(batch.column(at))).as_py()
    return bool(longest <= IN_PLACE_BYTES)


def _small_codes_of(batch: pa.RecordBatch) -> dict[str, pa.DataType]:
    """The type of each column whose values are so few that their codes need one byte."""
    return {
        field.name: _SMALL_CODE
        for field, column in zip(batch.schema, batch.columns, strict=True)
        if field.type == _CODE and len(column.dictionary) <= _SMALL_CODES
    }


def _with_types(batch: pa.RecordBatch, types: dict[str, pa.DataType]) -> pa.RecordBatch:
    """The same values, some columns in other types."""
    if not types:
        return batch
    fields = [field.with_type(types.get(field.name, field.type)) for field in batch.schema]
    columns = zip(batch.columns, fields, strict=True)
    cast = [column.cast(field.type) if field.name in types else column for column, field in columns]
    return pa.RecordBatch.from_arrays(cast, schema=pa.schema(fields))


def _views_of(batch: pa.RecordBatch) -> dict[str, pa.DataType]:
    """The plain type of each column that is one of views."""
    return {field.name: _TEXT for field in batch.schema if field.type == _VIEW}


def _plain(field: pa.Field) -> pa.Field:
    """A column as the schemas here have it, whatever form it travels in."""
    if field.type == _SMALL_CODE:
        return field.with_type(_CODE)
    return field.with_type(_TEXT) if field.type == _VIEW and field.name in _IDS else field


def is_of(kind: RecordKind, schema: pa.Schema) -> bool:
    """Whether batches of this schema hold records of ``kind``."""
    plain = pa.schema(map(_plain, schema))
    return any(plain.equals(form) for form in _forms[kind])


def decode(kind: RecordKind, payload: bytes) -> pa.RecordBatch:
    """The batch in ``payload``, checked against the schema of ``kind``; ids may be views.

    Raises:
        InvalidRecord: not Arrow, another schema, or no batch in it.
    """
    try:
        with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
            batch = reader.read_next_batch()
            batch.validate(full=True)
    except (pa.ArrowException, OSError, StopIteration, ValueError) as error:
        raise InvalidRecord("not an arrow batch", str(error)[:200]) from error
    if not is_of(kind, batch.schema):
        raise InvalidRecord("unknown schema", f"expected {schema_name(kind)}")
    if batch.column("time").null_count:
        raise InvalidRecord("no time", "null")
    return completed(kind, batch)


def completed(kind: RecordKind, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with codes of four bytes, and columns that an older agent does not know: nulls."""
    small = [field.name for field in batch.schema if field.type == _SMALL_CODE]
    batch = _with_types(batch, dict.fromkeys(small, _CODE))
    for field in list(schemas[kind])[batch.num_columns :]:
        batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    return batch


def joined(
    batches: Sequence[pa.RecordBatch], columns: Sequence[str] | None = None
) -> pa.RecordBatch:
    """The records of batches of one kind, at least one, in order, as one batch.

    Args:
        batches: of any sizes.
        columns: those that are needed; all if not given.
    """
    if len(batches) == 1 or not any(batch.num_rows for batch in batches):
        return batches[0]
    first = batches[0].schema
    if not all(batch.schema.equals(first) for batch in batches):
        batches = [_with_types(batch, _views_of(batch)) for batch in batches]
    table = pa.Table.from_batches(batches)
    if columns is not None:
        table = table.select(columns)
    [whole] = table.unify_dictionaries().combine_chunks().to_batches()
    return whole


def where(batch: pa.RecordBatch, chosen: pa.BooleanArray) -> pa.RecordBatch:
    """The chosen records: Arrow cannot choose among views."""
    return _with_types(batch, _views_of(batch)).filter(chosen)


def with_times(batch: pa.RecordBatch, times: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """The batch with other times (n,), epoch milliseconds, in its first column."""
    return batch.set_column(0, batch.schema.field(0), pa.array(times).cast(_TIME))


def numbers(column: pa.Array, null: float = 0) -> npt.NDArray[Any]:
    """The values of a column of numbers, times or booleans, (n,), to be read only.

    Most often they are not copied. ``to_numpy`` would load pandas: a second of a worker's first
    message.

    Args:
        column: n values.
        null: stands for a null.
    """
    if column.null_count:
        return np.where(numbers(column.is_valid()), numbers(_without_nulls(column)), null)
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    if pa.types.is_boolean(column.type):
        return np.from_dlpack(column.cast(pa.uint8())).view(np.bool_)
    return np.from_dlpack(column)


def _without_nulls(column: pa.Array) -> pa.Array:
    """The same values, and whatever stands where there are none."""
    buffers = [None, *column.buffers()[1:]]
    return pa.Array.from_buffers(column.type, len(column), buffers, offset=column.offset)


def records_from_batch(kind: RecordKind, batch: pa.RecordBatch) -> list[Record]:
    """The records of a batch as Python objects: for the few paths that need them one by one."""
    columns = [
        _times(batch.column(i)) if field.type == _TIME else batch.column(i).to_pylist()
        for i, field in enumerate(batch.schema)
    ]
    return records_from_columns(kind, columns)


def records_from_columns(kind: RecordKind, columns: Sequence[Sequence[Any]]) -> list[Record]:
    """The records of these values, one sequence (n,) for each column of ``kind``."""
    record_type = type_of_kind[kind]
    names = schemas[kind].names
    records: list[Record] = []
    for values in zip(*columns, strict=True):
        fields = dict(zip(names, values, strict=True))
        if "frames" in fields:
            fields["frames"] = [_frame(f) for f in fields["frames"] or []]
        if "attributes" in fields:
            fields["attributes"] = dict(fields["attributes"] or [])
        records.append(record_type(**fields))
    return records


def _frame(value: Frame | dict[str, Any]) -> Frame:
    return value if isinstance(value, Frame) else Frame(**value)


def _times(column: pa.Array) -> list[int]:
    times: list[int] = column.cast(pa.int64()).to_pylist()
    return times
