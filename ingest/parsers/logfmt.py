"""logfmt (``key=value key="a b"``) to records."""

from __future__ import annotations

import re
from collections.abc import Sequence

from contracts.errors import InvalidRecord
from contracts.records import Record
from ingest.parsers.base import Labels, Parsed, decode_text, parse_each
from ingest.parsers.fields import RecordBuilder

_PAIR = re.compile(r'([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


class LogfmtParser:
    """Pairs of key and value; lines joined to the first one end up in its message."""

    def __init__(self, builder: RecordBuilder) -> None:
        self._builder = builder

    def parse(self, lines: Sequence[bytes], labels: Labels, read_time: int) -> Parsed:
        """See ``Parser``."""

        def record_of(line: bytes) -> Record:
            return self._builder.build(self._fields(decode_text(line)), labels, read_time)

        return parse_each(self._builder.kind, lines, record_of)

    @staticmethod
    def _fields(text: str) -> dict[str, str]:
        first, newline, rest = text.partition("\n")
        fields = fields_of(first)
        if not fields:
            raise InvalidRecord("not logfmt", text[:80])
        if newline:
            name = next((n for n in ("message", "msg") if n in fields), "message")
            fields[name] = f"{fields.get(name, '')}\n{rest}".removeprefix("\n")
        return fields


def fields_of(line: str) -> dict[str, str]:
    r"""Key and value of each pair in ``line``; words that are no pair are passed over.

    >>> fields_of('level=warn msg="disk \\"a\\" full" ms=12')
    {'level': 'warn', 'msg': 'disk "a" full', 'ms': '12'}
    """
    return {
        name: _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), quoted) if quoted else bare
        for name, quoted, bare in _PAIR.findall(line)
    }
