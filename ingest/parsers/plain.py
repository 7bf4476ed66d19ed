"""Lines that are nothing but a message."""

from __future__ import annotations

import re
from collections.abc import Sequence

from contracts.errors import InvalidRecord
from ingest.parsers.base import Labels, Parsed, Rejected, decode_text
from ingest.parsers.fields import RecordBuilder

_SEVERITY = re.compile(
    r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERR|ERROR|SEVERE|CRITICAL|FATAL|PANIC)\b"
)


class PlainParser:
    """The whole line is the message; a severity word near its beginning is believed."""

    def __init__(self, builder: RecordBuilder) -> None:
        self._builder = builder

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """See ``Parser``."""
        parsed = Parsed()
        for index, line in enumerate(lines):
            text = decode_text(line)
            found = _SEVERITY.search(text, 0, 80)
            fields = {"message": text, "severity": found[0] if found else "info"}
            try:
                parsed.records.append(self._builder.build(fields, labels, read_time))
            except InvalidRecord as error:
                parsed.rejected.append(Rejected(index, error.reason, error.detail))
        return parsed
