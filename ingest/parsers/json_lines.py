"""JSON objects, one a line, to records: decoded many at once, checked against types by msgspec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from contracts.arrow import Record
from contracts.errors import UNREADABLE, InvalidRecord
from contracts.records import Event, RecordKind
from ingest.parsers.base import Labels, Parsed, Rejected
from ingest.parsers.fields import DURATION_UNITS, SHORT_NAMES, RecordBuilder

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


class JsonParser:
    """JSON lines of one source.

    Events with flat names take the fast path: one call decodes a batch into a struct made for this
    source's names. Everything else (nested objects, logs, crashes, a batch with a bad line) goes
    line by line through ``RecordBuilder``, with the same results.
    """

    def __init__(self, builder: RecordBuilder) -> None:
        self._builder = builder
        is_event = builder.kind is RecordKind.EVENTS
        self._fast = _EventDecoder(builder) if is_event else None

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """See ``Parser``."""
        if self._fast is not None:
            events = self._fast.decode(lines, labels, read_time)
            if events is not None:
                return Parsed(records=events)
        parsed = Parsed()
        for index, line in enumerate(lines):
            try:
                parsed.records.append(self._record(line, labels, read_time))
            except InvalidRecord as error:
                parsed.rejected.append(Rejected(index, error.reason, error.detail))
        return parsed

    def _record(self, line: bytes, labels: Labels, read_time: int) -> Record:
        try:
            fields = msgspec.json.decode(line)
        except UNREADABLE as error:
            raise InvalidRecord("not json", str(error)) from error
        if not isinstance(fields, dict):
            raise InvalidRecord("not a json object", type(fields).__name__)
        try:
            return self._builder.build(fields, labels, read_time)
        except RecursionError as error:
            raise InvalidRecord("nested too deeply") from error


class _EventDecoder:
    """The fast path: gives None for every batch that it cannot decode exactly as the slow one."""

    def __init__(self, builder: RecordBuilder) -> None:
        self._builder = builder
        names = self._source_names(builder.mapping)
        fields = [(f"f{i}", _WIRE_TYPES[ours], None) for i, (_, ours) in enumerate(names)]
        rename = {f"f{i}": theirs for i, (theirs, _) in enumerate(names)}
        containers = sorted(
            {t.partition(".")[0] for t, _ in names if "." in t} - {t for t, _ in names}
        )
        fields += [(f"c{i}", Any, None) for i in range(len(containers))]
        rename |= {f"c{i}": name for i, name in enumerate(containers)}
        self._columns = [ours for _, ours in names] + [""] * len(containers)
        wire = msgspec.defstruct("Wire", fields, rename=rename)
        self._decoder = msgspec.json.Decoder(wire)
        self._values = attrgetter(*(name for name, *_ in fields))

    @staticmethod
    def _source_names(mapping: Mapping[str, str]) -> list[tuple[str, str]]:
        """(their name, our name), what the user mapped first: the first value found is taken."""
        names = {theirs: ours for theirs, ours in mapping.items() if ours in _WIRE_TYPES}
        for ours in _WIRE_TYPES:
            if ours not in mapping:
                names.setdefault(ours, ours)
        for theirs, ours in SHORT_NAMES.items():
            if ours in _WIRE_TYPES and theirs not in mapping:
                names.setdefault(theirs, ours)
        return list(names.items())

    def decode(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> list[Record] | None:
        """Events of all lines, or None when any line needs the slow path."""
        # a line that begins and ends with braces cannot share a value with its neighbour
        if not all(line[:1] == b"{" and line[-1:] == b"}" for line in lines):
            return None
        try:
            wires = self._decoder.decode_lines(b"\n".join(lines))
        except UNREADABLE:
            return None
        if len(wires) != len(lines) or not wires:
            return None
        columns = self._merge(list(zip(*map(self._values, wires), strict=True)), len(lines))
        if columns is None:
            return None
        try:
            return self._events(columns, labels, read_time, len(lines))
        except (InvalidRecord, ValueError, OverflowError):
            return None

    def _merge(self, values: list[tuple[Any, ...]], n: int) -> dict[str, Sequence[Any]] | None:
        columns: dict[str, Sequence[Any]] = {}
        for ours, found in zip(self._columns, values, strict=True):
            if found.count(None) == n:
                continue
            if not ours:
                return None  # a nested object
            column: Sequence[Any] = found
            if ours in DURATION_UNITS:
                factor = DURATION_UNITS[ours]
                column = [None if v is None else v * factor for v in found]
            name = "duration_ms" if ours in DURATION_UNITS else ours
            earlier = columns.get(name)
            columns[name] = (
                column
                if earlier is None
                else [b if a is None else a for a, b in zip(earlier, column, strict=True)]
            )
        return columns

    def _events(
        self, columns: Mapping[str, Sequence[Any]], labels: Labels, read_time: int, n: int
    ) -> list[Record]:
        def texts(name: str, default: str) -> Sequence[str]:
            column = columns.get(name)
            return [default] * n if column is None else [v or default for v in column]

        def ids(name: str) -> Sequence[str | None]:
            column = columns.get(name, nothing)
            return [v if v is None or type(v) is str else str(v) for v in column]

        nothing = [None] * n
        parse = self._builder.times.parse
        uses_read_time = self._builder.uses_read_time
        times = [read_time] * n if uses_read_time else map(parse, columns.get("time", nothing))
        services = texts("service.name", labels.service)
        statuses = columns.get("http.response.status_code", nothing)
        if "" in services or not all(s is None or 0 <= s <= 999 for s in statuses):
            return self._slow()
        sizes = [v or 0 for v in columns.get("http.response.body.size", nothing)]
        if min(sizes) < 0 or max(sizes) >= 1 << 63:
            return self._slow()
        return [
            Event(
                time=time,
                service=service,
                release=release,
                host=host,
                name=name,
                route=route,
                status=status,
                ok=(status is None or status < 500) if ok is None else ok,
                size_bytes=size,
                duration_ms=duration,
                user=user or None,
                session=session or None,
                trace=trace or None,
                arm=arm,
            )
            for time, service, release, host, name, route, status, ok, size, duration, user, session, trace, arm in zip(  # noqa: E501 - one row of columns
                times,
                services,
                texts("service.version", labels.release),
                texts("host.name", labels.host),
                texts("event.name", "request"),
                texts("http.route", ""),
                statuses,
                columns.get("ok", nothing),
                sizes,
                columns.get("duration_ms", nothing),
                ids("user.id"),
                ids("session.id"),
                ids("trace.id"),
                texts("arm", labels.arm),
                strict=True,
            )
        ]

    @staticmethod
    def _slow() -> list[Record]:
        raise InvalidRecord("slow path", "a value out of range: the slow path names it")
