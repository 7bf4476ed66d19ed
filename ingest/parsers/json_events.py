"""Many JSON lines with flat names to the columns of events, without an object for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from contracts.errors import UNREADABLE, InvalidRecord
from contracts.records import RecordKind
from ingest.parsers.base import Labels
from ingest.parsers.fields import DURATION_UNITS, SHORT_NAMES, RecordBuilder
from ingest.rows import Rows

_ID = str | int | None
_WIRE_TYPES: dict[str, Any] = {
    "time": str | int | float | None,
    "service.name": str | None,
    "service.version": str | None,
    "host.name": str | None,
    "event.name": str | None,
    "http.route": str | None,
    "http.response.status_code": int | None,
    "ok": bool | None,
    "http.response.body.size": int | None,
    "duration_ms": float | None,
    "duration_s": float | None,
    "duration_us": float | None,
    "duration_ns": float | None,
    "user.id": _ID,
    "session.id": _ID,
    "trace.id": _ID,
    "arm": str | None,
}
_MANY = 64
"""A log with more sets of names than this is read with all names that an event could have."""
_LARGEST_INT64 = (1 << 63) - 1

Column = Sequence[Any]
_decode_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Wire:
    """A struct with a field for each name of a line, decoded and given as columns.

    Args:
        names: their names with ours, the first to be believed first; ours is empty for an object
            in which names of ours could be nested.
        unused: their names that mean nothing to us; None where any other name is passed over.
    """

    def __init__(
        self, names: Sequence[tuple[str, str]], unused: Sequence[str] | None = None
    ) -> None:
        fields = [(f"f{i}", _WIRE_TYPES.get(ours, Any), None) for i, (_, ours) in enumerate(names)]
        rename = {f"f{i}": theirs for i, (theirs, _) in enumerate(names)}
        for i, theirs in enumerate(unused or ()):
            fields.append((f"x{i}", Any, None))
            rename[f"x{i}"] = theirs
        wire = msgspec.defstruct(
            "Wire", fields, rename=rename, gc=False, forbid_unknown_fields=unused is not None
        )
        self._decode = msgspec.json.Decoder(wire).decode_lines
        self._columns = [(ours, attrgetter(f"f{i}")) for i, (_, ours) in enumerate(names)]

    def columns(self, block: bytes) -> list[tuple[str, list[Any]]]:
        """The values (n,) below each name, with ours."""
        wires = self._decode(block)
        return [(ours, list(map(get, wires))) for ours, get in self._columns]


class EventColumns:
    """The fast path of ``JsonParser``.

    Most logs write the same names in every line: a struct of the first line's names alone is
    decoded twice as fast as one of all names that an event could have, which is the second try.
    """

    def __init__(self, builder: RecordBuilder) -> None:
        self._builder = builder
        flat = _source_names(builder.mapping)
        containers = {theirs.partition(".")[0] for theirs in flat if "." in theirs} - flat.keys()
        self._names = [*flat.items(), *((name, "") for name in sorted(containers))]
        self._whole = _Wire(self._names)
        self._narrow = lru_cache(maxsize=_MANY)(self._narrow_wire)

    def rows(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Rows | None:
        """Events of all lines, or None when any line needs the slow path."""
        # a line that begins and ends with braces cannot share a value with its neighbour
        if not lines or not all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
            return None
        try:
            found = self._columns(lines)
            columns = _merged(found, len(lines))
            if columns is None or any(len(values) != len(lines) for _, values in found):
                return None
            return self._events(columns, labels, read_time, len(lines))
        except (*UNREADABLE, InvalidRecord, ValueError, OverflowError):
            return None

    def _columns(self, lines: Sequence[bytes]) -> list[tuple[str, list[Any]]]:
        block = b"\n".join(lines)
        if self._narrow.cache_info().misses < _MANY:
            try:
                return self._narrow(tuple(_decode_keys(lines[0]))).columns(block)
            except (*UNREADABLE, ValueError):  # another name in a later line, or an odd one
                pass
        return self._whole.columns(block)

    def _narrow_wire(self, keys: tuple[str, ...]) -> _Wire:
        names = [(theirs, ours) for theirs, ours in self._names if theirs in keys]
        known = dict(names)
        return _Wire(names, [key for key in keys if key not in known])

    def _events(
        self, columns: Mapping[str, Column], labels: Labels, read_time: int, n: int
    ) -> Rows | None:
        nothing = [None] * n

        def texts(name: str, default: str) -> list[str]:
            column = columns.get(name)
            return [default] * n if column is None else [v or default for v in column]

        def ids(name: str) -> Column:
            column = columns.get(name, nothing)
            return [v or None if v is None or type(v) is str else str(v) for v in column]

        services = texts("service.name", labels.service)
        statuses = columns.get("http.response.status_code", nothing)
        sizes = [v or 0 for v in columns.get("http.response.body.size", nothing)]
        is_good = {s: s is None or s < 500 for s in set(statuses)}
        # what is out of range the slow path names
        if "" in services or not all(s is None or 0 <= s <= 999 for s in is_good):
            return None
        if min(sizes) < 0 or max(sizes) > _LARGEST_INT64:
            return None
        oks = list(map(is_good.__getitem__, statuses))
        if told := columns.get("ok"):
            oks = [ok if said is None else said for ok, said in zip(oks, told, strict=True)]
        ours: dict[str, Column] = {
            "time": self._times(columns.get("time", nothing), read_time),
            "service": services,
            "release": texts("service.version", labels.release),
            "host": texts("host.name", labels.host),
            "name": texts("event.name", "request"),
            "route": texts("http.route", ""),
            "status": statuses,
            "ok": oks,
            "size_bytes": sizes,
            "duration_ms": columns.get("duration_ms", nothing),
            "user": ids("user.id"),
            "session": ids("session.id"),
            "trace": ids("trace.id"),
            "arm": texts("arm", labels.arm),
        }
        return Rows.of_columns(RecordKind.EVENTS, ours)

    def _times(self, column: Column, read_time: int) -> list[int]:
        if self._builder.uses_read_time:
            return [read_time] * len(column)
        return self._builder.times.parse_all(column)


def _source_names(mapping: Mapping[str, str]) -> dict[str, str]:
    """Their name to ours, what the user mapped first: the first value found is taken."""
    names = {theirs: ours for theirs, ours in mapping.items() if ours in _WIRE_TYPES}
    for ours in _WIRE_TYPES:
        if ours not in mapping:
            names.setdefault(ours, ours)
    for theirs, ours in SHORT_NAMES.items():
        if ours in _WIRE_TYPES and theirs not in mapping:
            names.setdefault(theirs, ours)
    return names


def _merged(found: Sequence[tuple[str, list[Any]]], n: int) -> dict[str, Column] | None:
    """One column for each of our names; None when there is a nested object."""
    columns: dict[str, Column] = {}
    for ours, values in found:
        if values.count(None) == n:
            continue
        if not ours:
            return None
        column = values
        if ours in DURATION_UNITS:
            factor = DURATION_UNITS[ours]
            column = [None if v is None else v * factor for v in values]
        name = "duration_ms" if ours in DURATION_UNITS else ours
        earlier = columns.get(name)
        if earlier is not None:
            column = [b if a is None else a for a, b in zip(earlier, column, strict=True)]
        columns[name] = column
    return columns
