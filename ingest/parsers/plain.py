"""Lines that are nothing but a message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from contracts.records import Record, RecordKind
from ingest.parsers.base import Labels, Parsed, decode_text, parse_each
from ingest.parsers.fields import RecordBuilder, severity_of
from ingest.rows import Rows

_SEVERITY = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERR|ERROR|SEVERE|CRITICAL|FATAL|PANIC)\b"
)


class PlainParser:
    """The whole line is the message; a severity word near its beginning is believed."""

    def __init__(self, builder: RecordBuilder) -> None:
        self._builder = builder

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """See ``Parser``."""
        if self._builder.mapping or not (self._builder.uses_read_time and labels.service):

            def record_of(line: bytes) -> Record:
                text = decode_text(line)
                fields = {"message": text, "severity": _severity(text)}
                return self._builder.build(fields, labels, read_time)

            return parse_each(self._builder.kind, lines, record_of)
        n = len(lines)
        texts = [decode_text(line) for line in lines]
        columns: dict[str, Sequence[Any]] = {
            "time": [read_time] * n,
            "service": [labels.service] * n,
            "release": [labels.release] * n,
            "host": [labels.host] * n,
            "severity": [severity_of(_severity(text)) for text in texts],
            "message": texts,
            "trace": [None] * n,
            "attributes": [{}] * n,
        }
        return Parsed(Rows.of_columns(RecordKind.LOGS, columns))


def _severity(text: str) -> str:
    found = _SEVERITY.search(text, 0, 80)
    return found[0] if found else "info"
