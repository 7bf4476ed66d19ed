"""Records of one kind as columns of plain values: what parsers make and batches collect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import msgspec
import pyarrow as pa

from contracts.arrow import batch_from_columns, records_from_columns, schemas
from contracts.records import Record, RecordKind


class Rows:
    """``columns[i]`` (n,) are the values of column ``i`` of the kind's schema.

    No object is made for a record on its way from line to spool: that would cost more than all the
    rest. ``records`` makes them for the few who need some.
    """

    __slots__ = ("columns", "kind")

    def __init__(self, kind: RecordKind, columns: list[list[Any]] | None = None) -> None:
        self.kind = kind
        self.columns = columns or [[] for _ in schemas[kind]]

    @classmethod
    def of(cls, kind: RecordKind, records: Iterable[Record]) -> Self:
        """The columns of ``records``, in order."""
        # fields of a record stand in the order of its columns
        columns = zip(*map(msgspec.structs.astuple, records), strict=True)
        return cls(kind, [*map(list, columns)])

    @classmethod
    def of_columns(cls, kind: RecordKind, columns: Mapping[str, Sequence[Any]]) -> Self:
        """Columns by name, every one of the schema."""
        return cls(kind, [list(columns[name]) for name in schemas[kind].names])

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, part: slice) -> Rows:
        return Rows(self.kind, [column[part] for column in self.columns])

    def column(self, name: str) -> list[Any]:
        """The values of the column ``name``, to be read or changed in place."""
        return self.columns[schemas[self.kind].get_field_index(name)]

    def extend(self, more: Rows) -> None:
        """Add rows of the same kind at the end."""
        for column, values in zip(self.columns, more.columns, strict=True):
            column.extend(values)

    def batch(self) -> pa.RecordBatch:
        """The same in Arrow.

        Raises:
            InvalidRecord: a value does not fit its column.
        """
        return batch_from_columns(self.kind, self.columns)

    def records(self) -> list[Record]:
        """Each row as an object."""
        return records_from_columns(self.kind, self.columns)
