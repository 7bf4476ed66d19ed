"""What every parser takes and gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from contracts.errors import InvalidRecord
from contracts.records import Record, RecordKind
from ingest.rows import Rows

_LAST_WORD = re.compile(r"(?:^|\s)\S*\Z")


@dataclass(frozen=True, slots=True)
class Labels:
    """What a file's path or its source says about every record in it, unless the record differs."""

    service: str = ""
    release: str = ""
    host: str = ""
    arm: str = ""


class Rejected(NamedTuple):
    """A line that is no record: its place in the batch, a stable reason, and what was found."""

    line: int
    reason: str
    detail: str = ""


@dataclass(slots=True)
class Parsed:
    """Records of the accepted lines, in order, and the lines that are none.

    ``ignored`` counts lines that a source of crashes passes over because they show no failure.
    """

    rows: Rows
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0

    def extend(self, more: Parsed, lines: int) -> None:
        """Add what was made of the lines after the first ``lines`` ones."""
        self.rows.extend(more.rows)
        self.rejected += [r._replace(line=r.line + lines) for r in more.rejected]
        self.ignored += more.ignored

    @property
    def records(self) -> list[Record]:
        """Each row as an object."""
        return self.rows.records()


def parse_each(
    kind: RecordKind, lines: Sequence[bytes], record_of: Callable[[bytes], Record]
) -> Parsed:
    """Lines one by one; ``record_of`` raises ``InvalidRecord`` for one that is no record."""
    records: list[Record] = []
    rejected: list[Rejected] = []
    for index, line in enumerate(lines):
        try:
            records.append(record_of(line))
        except InvalidRecord as error:
            rejected.append(Rejected(index, error.reason, error.detail))
    return Parsed(Rows.of(kind, records), rejected)


class Parser(Protocol):
    """One format. Never raises for what stands in a line."""

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """Records and rejected lines.

        Args:
            lines: whole lines without newline; joined ones contain newlines.
            labels: defaults for service, release, host and arm.
            read_time: epoch milliseconds, the time of records whose source says ``time: ingest``.
        """
        ...


def decode_text(line: bytes) -> str:
    r"""Text of a line; bytes that are not UTF-8 stay visible as ``\xNN``.

    >>> decode_text(b"caf\xc3\xa9 \xff")
    'café \\xff'
    """
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("utf-8", "backslashreplace")


def shortened(text: str, limit: int) -> str:
    """``text``, at most ``limit`` letters of it; when cut, it ends before its last word.

    Half a secret would pass the redaction, which looks for whole ones.

    >>> shortened("key ghp_abcdef", 10), shortened("short", 10)
    ('key', 'short')
    """
    return text if len(text) <= limit else without_last_word(text[:limit])


def without_last_word(text: str) -> str:
    """A text that was cut, without the word that the cut may have halved (512 letters at most)."""
    tail = min(512, len(text))
    return text[: len(text) - tail] + _LAST_WORD.sub("", text[len(text) - tail :])
