"""JSON objects, one a line, to records: decoded many at once, checked against types by msgspec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from contracts.errors import UNREADABLE, InvalidRecord
from contracts.records import Record, RecordKind
from ingest.parsers.base import Labels, Parsed, decode_text, parse_each
from ingest.parsers.fields import RecordBuilder
from ingest.parsers.json_events import EventColumns

_FEW = 16
"""So many lines are decoded one by one when one of them cannot be decoded with the others."""


class JsonParser:
    """JSON lines of one source.

    Events with flat names take the fast path: one call decodes many lines into a struct made for
    this source's names. Everything else (nested objects, logs, crashes, a bad line) goes line by
    line through ``RecordBuilder``, with the same results. A bad line is found by halving, so that
    it costs its neighbours little.
    """

    def __init__(self, builder: RecordBuilder) -> None:
        self._builder = builder
        self._fast = EventColumns(builder) if builder.kind is RecordKind.EVENTS else None
        self._decoded_together = 0
        self._halves = True
        """Whether any of the last lines could be decoded together."""

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """See ``Parser``."""
        before = self._decoded_together
        parsed = self._parse(lines, labels, read_time)
        self._halves = self._decoded_together > before
        return parsed

    def _parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        rows = self._fast.rows(lines, labels, read_time) if self._fast is not None else None
        if rows is not None:
            self._decoded_together += len(lines)
            return Parsed(rows)
        if self._fast is None or not self._halves or len(lines) <= _FEW:
            return parse_each(
                self._builder.kind, lines, lambda line: self._record(line, labels, read_time)
            )
        half = len(lines) // 2
        parsed = self._parse(lines[:half], labels, read_time)
        parsed.extend(self._parse(lines[half:], labels, read_time), half)
        return parsed

    def _record(self, line: bytes, labels: Labels, read_time: int) -> Record:
        fields, below = _decoded(line)
        if not isinstance(fields, dict):
            raise InvalidRecord("not a json object", type(fields).__name__)
        if below:
            name = next((n for n in ("message", "msg") if n in fields), "message")
            fields[name] = f"{fields.get(name) or ''}\n{below}".removeprefix("\n")
        try:
            return self._builder.build(fields, labels, read_time)
        except RecursionError as error:
            raise InvalidRecord("nested too deeply") from error


def _decoded(line: bytes) -> tuple[Any, str]:
    """The value, and the lines of a trace that were joined to it."""
    try:
        return msgspec.json.decode(line), ""
    except UNREADABLE as error:
        first, newline, rest = line.partition(b"\n")
        if newline:
            try:
                return msgspec.json.decode(first), decode_text(rest)
            except UNREADABLE:
                pass
        raise InvalidRecord("not json", str(error)) from error
