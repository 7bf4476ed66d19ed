"""Text in which services print their tracebacks, to crashes."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.errors import InvalidRecord
from contracts.records import Crash, Record, RecordKind
from ingest.parsers.base import Labels, Parsed, Rejected, decode_text
from ingest.parsers.fields import RecordBuilder
from ingest.parsers.regex import RegexParser
from ingest.rows import Rows
from ingest.tracebacks.detect import crash_of


class CrashTextParser:
    """Joined tracebacks become crashes; what is no traceback is counted and passed over.

    With a regex the line that precedes the traceback supplies time, service, release and host.
    Where texts are whole crash files, one that shows no failure is rejected, not passed over.
    """

    def __init__(
        self, builder: RecordBuilder, regex: RegexParser | None = None, *, are_whole: bool = False
    ) -> None:
        self._builder = builder
        self._regex = regex
        self._are_whole = are_whole

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """See ``Parser``."""
        crashes: list[Record] = []
        rejected: list[Rejected] = []
        ignored = 0
        for index, line in enumerate(lines):
            text = decode_text(line)
            crash = crash_of(text, read_time, labels)
            if crash is None:
                if self._are_whole:
                    rejected.append(Rejected(index, "no failure recognised", text[:80]))
                else:
                    ignored += 1
                continue
            try:
                crashes.append(self._labelled(crash, text, labels, read_time))
            except InvalidRecord as error:
                rejected.append(Rejected(index, error.reason, error.detail))
        return Parsed(Rows.of(RecordKind.CRASHES, crashes), rejected, ignored)

    def _labelled(self, crash: Crash, text: str, labels: Labels, read_time: int) -> Crash:
        if self._regex is not None:
            fields = self._regex.fields(text)
            fields.pop(self._regex.message_group, None)
            found = self._builder.build(fields, labels, read_time)
            assert isinstance(found, Crash)
            for name in ("time", "service", "release", "host", "arm"):
                setattr(crash, name, getattr(found, name))
        if not crash.service:
            raise InvalidRecord("no service", "neither from_path nor service is configured")
        return crash
