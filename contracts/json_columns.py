"""Many JSON objects at once, straight to columns: each means what ``foreign.decode_json`` says.

An object that has no names but ours, none of them nested, is read by a typed decoder; it checks all
that ``decode_json`` checks, and is ten times as fast. Any other one goes through ``decode_json``.
Times, the default of ``ok`` and the ranges of numbers are then worked out for whole columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts import arrow, foreign
from contracts.arrivals import bounded, from_the_future
from contracts.errors import UNREADABLE, InvalidRecord
from contracts.records import RecordKind, type_of_kind

Ints = npt.NDArray[np.int64]
Row = tuple[Any, ...]
"""The values of one record, in the order of its columns."""
Columns = list[list[Any]]
"""The values of n records: a list (n,) for each column."""
Refused = dict[int, InvalidRecord]
"""Number of an object to what is wrong with it."""


class Decoded(NamedTuple):
    """What many JSON objects say: the records that can be used, in order, and the other objects."""

    batch: pa.RecordBatch
    refused: Refused


_AT_ONCE = 1_000
"""Objects that are read before their values go to the columns: so many stay in a core's cache."""


class _Rows(NamedTuple):
    """Records as they were read, (n,); ``numbers`` are those of their objects."""

    numbers: Ints
    columns: Columns

    def where(self, chosen: npt.NDArray[np.bool_]) -> _Rows:
        is_chosen = chosen.tolist()
        return _Rows(self.numbers[chosen], [list(compress(c, is_chosen)) for c in self.columns])

    def without(self, refused: Refused) -> _Rows:
        return self.where(~np.isin(self.numbers, list(refused)))


def decode_all(
    kind: RecordKind, payloads: Sequence[bytes], arrivals_ms: Sequence[int] | None = None
) -> Decoded:
    """The records in many JSON objects, each as ``foreign.decode_json`` reads it, as columns.

    Args:
        kind: what they are.
        payloads: n objects.
        arrivals_ms: when each came, (n,): none happened later, and one from the future is refused.
    """
    refused: Refused = {}
    rows, times = _timed(_read(kind, payloads, refused), refused)
    if arrivals_ms is not None:
        arrived = np.array(arrivals_ms, np.int64)[rows.numbers]
        times, is_early = bounded(times, arrived)
        if is_early.any():
            refused |= dict.fromkeys(rows.numbers[is_early].tolist(), from_the_future())
            rows, times = rows.where(~is_early), times[~is_early]
    batch = arrow.joined(_fitting(kind, rows, times, refused))
    return Decoded(batch, dict(sorted(refused.items())))


def _typed_decoder(kind: RecordKind) -> msgspec.json.Decoder[Any]:
    """A decoder of objects that have no names but ours.

    It refuses others, because it would skip their values: a number that is none would pass, and
    nested names would be lost.
    """
    fields = msgspec.structs.fields(type_of_kind[kind])
    loose: dict[str, tuple[Any, Any]] = {
        "time": (int | float | str, msgspec.NODEFAULT),
        "ok": (bool, None),  # where it is missing the status decides; a null that is sent is wrong
    }
    plain = msgspec.defstruct(
        f"Plain{type_of_kind[kind].__name__}",
        [(field.name, *loose.get(field.name, (field.type, _default(field)))) for field in fields],
        rename={field.name: field.encode_name for field in fields},
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(plain, strict=False)


def _default(field: msgspec.structs.FieldInfo) -> Any:  # noqa: ANN401 - a value of any field
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


_decoders = {kind: _typed_decoder(kind) for kind in RecordKind}


def _read(kind: RecordKind, payloads: Sequence[bytes], refused: Refused) -> _Rows:
    columns: Columns = [[] for _ in arrow.schemas[kind]]
    for start in range(0, len(payloads), _AT_ONCE):
        some = payloads[start : start + _AT_ONCE]
        try:
            rows = list(map(msgspec.structs.astuple, map(_decoders[kind].decode, some)))
        except UNREADABLE:
            rows = list(_one_by_one(kind, some, start, refused))
        for column, values in zip(columns, zip(*rows, strict=True), strict=False):
            column.extend(values)
    numbers = np.arange(len(payloads))
    return _Rows(np.delete(numbers, list(refused)) if refused else numbers, columns)


def _one_by_one(
    kind: RecordKind, payloads: Iterable[bytes], first: int, refused: Refused
) -> Iterator[Row]:
    decode = _decoders[kind].decode
    for number, payload in enumerate(payloads, first):
        try:
            record = decode(payload)
        except UNREADABLE:
            try:
                record = foreign.decode_json(kind, payload)
            except InvalidRecord as error:
                refused[number] = error
                continue
        yield msgspec.structs.astuple(record)


def _timed(rows: _Rows, refused: Refused) -> tuple[_Rows, Ints]:
    """The rows whose times can be used, and these times, (n,)."""
    values = rows.columns[0]
    times = _times_ms(values)
    if times is not None:
        return rows, times
    found = []
    for number, value in zip(rows.numbers.tolist(), values, strict=True):
        try:
            found.append(foreign.parse_time_ms(value))
        except InvalidRecord as error:
            refused[number] = error
    return rows.without(refused), np.array(found, np.int64)


def _times_ms(values: list[Any]) -> Ints | None:
    """Epoch milliseconds of times that are all numbers, or all RFC 3339 with an offset.

    None where they are not, or where one is out of range: then each must be looked at.
    """
    try:
        if not values or not isinstance(values[0], str):
            times = np.asarray(pa.array(values, pa.int64()))
        else:
            texts = pa.array(values, pa.utf8())
            moments = np.asarray(texts.cast(pa.timestamp("us", "UTC")).cast(pa.int64()))
            # rounded as datetime.timestamp and parse_time_ms do it
            times = np.rint(moments / 1e6 * 1000).astype(np.int64)
    except (pa.ArrowException, OverflowError):
        return None
    return times if ((times >= 0) & (times < foreign.LATEST_MS)).all() else None


def _fitting(kind: RecordKind, rows: _Rows, times: Ints, refused: Refused) -> list[pa.RecordBatch]:
    """Batches, at least one, of the rows whose values fit their columns.

    The others are found by halving, so that a few bad ones among many cost little.
    """
    try:
        return [_batch(kind, rows, times)]
    except InvalidRecord as error:
        if len(times) == 1:
            refused[int(rows.numbers[0])] = error
            return _fitting(kind, rows.without(refused), times[1:], refused)
    is_first = np.arange(len(times)) < len(times) // 2
    return [
        *_fitting(kind, rows.where(is_first), times[is_first], refused),
        *_fitting(kind, rows.where(~is_first), times[~is_first], refused),
    ]


def _batch(kind: RecordKind, rows: _Rows, times: Ints) -> pa.RecordBatch:
    batch = arrow.batch_from_columns(kind, [times.tolist(), *rows.columns[1:]])
    if kind is not RecordKind.EVENTS:
        return batch
    at = batch.schema.get_field_index("ok")
    ok = pc.coalesce(batch.column("ok"), pc.less(batch.column("status"), 500), pa.scalar(True))
    return batch.set_column(at, batch.schema.field(at), ok)
