"""The header that a logger writes before each message: time, host, process, level, thread, name.

Lines that an agent has parsed have none left. Raw lines do, and what stands there (a host, a
thread, a program) would part lines that say the same.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d{1,2}[:.]\d{1,2}[:.]\d{1,2}(?:[.,:]\d+)?(?: ?[AP]M)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
_DATE = (
    rf"(?:\d{{4}}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?(?:[-/.]\d{{2,4}})?|\d{{6,8}}"
    rf"|(?:[A-Z][a-z][a-z],? )?{_MONTH} +\d\d?(?: \d{{4}})?|\d\d?[ /-]{_MONTH}[ /-]\d{{2,4}})"
)
_TIME = (
    rf"(?:{_DATE}[ T:_-]+(?:{_CLOCK}|\d{{6}}\b)(?: \d{{4}})?|\d{{1,2}}:\d\d:\d\d(?:[.,]\d+)?)"
    rf"{_ZONE}"
)
_SYSLOG = (
    rf"(?:<\d+>)?(?:(?:\S+ +){{0,5}})??(?:{_MONTH} +\d\d?|\d{{4}}-\d\d-\d\d[T ]?) ?{_CLOCK}{_ZONE}"
    r" \S+ [^\s:\[][^:\[]{0,48}?(?:\[[^\]]*\](?: ?\([^)]*\))?)?: +"
)
_LOUD = "(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|SEVERE|FAILURE)"
_LEVEL = (
    r"[\[<(]?(?i:trace|debug|info|information|notice|warn|warning|error|err|crit|critical|fatal"
    r"|severe|verbose|[a-z])[\]>)]?(?:[ \t:|,-]+[A-Z]\w* {2,}|[ \t:|,-]+)"
)
_BRACKETS = r"\[(?:[^\[\]]|\[[^\]]*\])*\][ \t:|,-]+"
_LOGGER = (
    r"[\w$/@*-]+(?:[.$/][\w.$/@*-]*(?:\([^)]*\)|\[[^\]]*\])*|(?:\([^)]*\)|\[[^\]]*\])+)"
    r"(?::[ \t]+| *\|[ \t]*|[ \t]+\[(?:[^\]]*[ -]-[^\]]*|-)\][ \t]+)"
)
"""A plain word before a colon is no logger but the message's own: what it is about."""
_PROGRAM = r"[\w.$/@*-]+(?: [\w.*-]+){0,2} - +"
_FIELDS = (
    rf"(?:(?:[^\s|]+\|){{1,2}}[ \t]*|(?:{_BRACKETS}|{_LEVEL}|\d+[ \t|]+){{0,6}}"
    rf"(?:{_PROGRAM}|{_LOGGER})?)"
)
_BEFORE = r"(?:\S+ +){1,4}"
"""A mark, a file or a host may stand before the time where a level follows."""
_TIMED = (
    rf"^\s*(?:{_SYSLOG}"
    rf"|[\[(]?{_TIME}[\])]?[ \t:|,-]+{_FIELDS}"
    rf"|{_BEFORE}{_TIME} (?:\S+ +){{0,4}}?{_LOUD} +(?:{_LOGGER})?)"
)
_EPOCH = r"^(?:\S+ ){0,5}?1[0-7]\d{8}(?:\d{3})?(?:\.\d+)? (?:\d+ )*"
_KINDS = ((_TIMED, 0.3), (_EPOCH, 0.9))
"""Patterns, and the share of lines that must have one: what looks like a time may be a value."""


def header_of(lines: pa.StringArray) -> str | None:
    """The pattern of the headers that lines of one log have; blank ones do not tell."""
    filled = pc.sum(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(lines)), 0)).as_py() or 0
    for pattern, least in _KINDS:
        told = pc.sum(pc.match_substring_regex(lines, pattern)).as_py() or 0
        if told and told >= least * filled:
            return pattern
    return None


def without_headers(lines: pa.StringArray, header: str | None) -> pa.StringArray:
    """The messages of raw lines; a line without this header is all message.

    >>> raw = ["Jun 14 15:16:01 combo sshd[19939]: connection lost", "no header: here"]
    >>> raw += ["2016-12-19 16:11:09,123 [main] INFO kafka.Server: started 2 threads"]
    >>> lines = pa.array(raw)
    >>> without_headers(lines, header_of(lines)).to_pylist()
    ['connection lost', 'no header: here', 'started 2 threads']
    """
    if header is None:
        return lines
    return pc.replace_substring_regex(lines, header, "", max_replacements=1)
