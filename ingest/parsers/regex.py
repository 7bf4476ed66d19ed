"""Lines that a named-group regex describes, to records."""

from __future__ import annotations

import re
from collections.abc import Sequence

from contracts.errors import InvalidRecord
from contracts.records import Record
from ingest.parsers.base import Labels, Parsed, decode_text, parse_each
from ingest.parsers.fields import RecordBuilder


class RegexParser:
    """The pattern is matched from the start of the first line; joined lines go to the message.

    Groups are named as our fields (``time``, ``severity``, ``message``, ``service``) or as the
    names that the source's ``fields`` maps.
    """

    def __init__(self, pattern: str, builder: RecordBuilder) -> None:
        self._pattern = re.compile(pattern)
        self._builder = builder
        groups = list(self._pattern.groupindex)
        named = [g for g in groups if builder.mapping.get(g, g) in ("message", "msg", "body")]
        self.message_group = named[0] if named else "message"

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """See ``Parser``."""

        def record_of(line: bytes) -> Record:
            return self._builder.build(self.fields(decode_text(line)), labels, read_time)

        return parse_each(self._builder.kind, lines, record_of)

    def fields(self, text: str) -> dict[str, str]:
        """The named groups of one record.

        Raises:
            InvalidRecord: its first line does not match.
        """
        first, newline, rest = text.partition("\n")
        found = self._pattern.match(first)
        if found is None:
            raise InvalidRecord("does not match pattern", first[:80])
        fields = {name: value for name, value in found.groupdict().items() if value is not None}
        if newline:
            message = fields.get(self.message_group, "")
            fields[self.message_group] = f"{message}\n{rest}" if message else rest
        return fields
