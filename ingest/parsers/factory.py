"""The parser that a source asks for."""

from __future__ import annotations

from ingest.parsers.base import Parser
from ingest.parsers.combined import CombinedParser
from ingest.parsers.crash_text import CrashTextParser
from ingest.parsers.fields import RecordBuilder
from ingest.parsers.json_lines import JsonParser
from ingest.parsers.logfmt import LogfmtParser
from ingest.parsers.plain import PlainParser
from ingest.parsers.regex import RegexParser
from ingest.parsers.times import TimeParser
from ingest.settings import FileSource, Format, SourceKind, TimeSource


def parser_for(source: FileSource) -> Parser:
    """A parser with the names, times and pattern of ``source``."""
    builder = RecordBuilder(
        source.kind.record_kind,
        source.fields,
        TimeParser(source.time_format, source.timezone),
        uses_read_time=source.time_source is TimeSource.INGEST,
    )
    parser: Parser
    are_crashes = source.kind is SourceKind.CRASHES
    match source.format:
        case Format.COMBINED:
            parser = CombinedParser(source.fields, builder.times)
        case Format.JSON:
            parser = JsonParser(builder)
        case Format.LOGFMT:
            parser = LogfmtParser(builder)
        case Format.PLAIN:
            parser = CrashTextParser(builder) if are_crashes else PlainParser(builder)
        case Format.CRASH_FILE:
            parser = CrashTextParser(builder, are_whole=True)
        case Format.REGEX:
            regex = RegexParser(source.pattern, builder)
            parser = CrashTextParser(builder, regex) if are_crashes else regex
    return parser
