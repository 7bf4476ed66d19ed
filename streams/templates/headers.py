"""The header that a logger writes before each message: time, host, process, level, thread, name.

Lines that an agent has parsed have none left. Raw lines do, and what stands there (a host, a
thread, a program) would part lines that say the same.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d{1,2}:\d\d:\d\d(?:[.,:]\d+)?(?: ?[AP]M)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
_DATE = (
    rf"(?:\d{{4}}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.]\d\d?(?:[-/.]\d{{2,4}})?|\d{{6,8}}"
    rf"|(?:[A-Z][a-z][a-z],? )?{_MONTH} +\d\d?(?: \d{{4}})?|\d\d?[ /-]{_MONTH}[ /-]\d{{2,4}})"
)
_TIME = rf"(?:{_DATE}[ T:_-]+(?:{_CLOCK}|\d{{6}}\b)(?: \d{{4}})?|{_CLOCK}){_ZONE}"
_SYSLOG = (
    rf"(?:<\d+>)?(?:(?:\S+ +){{0,5}})??(?:{_MONTH} +\d\d?|\d{{4}}-\d\d-\d\d[T ]?) ?{_CLOCK}{_ZONE}"
    r" \S+ [^\s:\[][^:\[]{0,48}?(?:\[[^\]]*\](?: ?\([^)]*\))?)?: +"
)
_LEVEL = (
    r"[\[<(]?(?i:trace|debug|info|information|notice|warn|warning|error|err|crit|critical|fatal"
    r"|severe|verbose|[a-z])[\]>)]?[ \t:|,-]+"
)
_BRACKETS = r"\[(?:[^\[\]]|\[[^\]]*\])*\][ \t:|,-]+"
_LOGGER = r"[\w.$/@*-]+(?:\([^)]*\)|\[[^\]]*\])*(?:: +| *\|[ \t]*)"
_PROGRAM = r"[\w.$/@*-]+(?: [\w.*-]+){0,2} - +"
_FIELDS = rf"(?:{_BRACKETS}|{_LEVEL}|\d+[ \t|]+){{0,6}}(?:{_PROGRAM}|{_LOGGER})?"
_HEADER = rf"^\s*(?:{_SYSLOG}|[\[(]?{_TIME}[\])]?[ \t:|,-]+{_FIELDS})"

_LEAST_SHARE = 0.2
"""Of lines with a header; where it is less, the others' first words are hardly a header either."""


def have_headers(lines: pa.StringArray) -> bool:
    """Whether these lines of one log are raw ones; blank ones do not tell."""
    told = pc.sum(pc.match_substring_regex(lines, _HEADER)).as_py() or 0
    filled = pc.sum(pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(lines)), 0)).as_py() or 0
    return bool(told > _LEAST_SHARE * filled)


def without_headers(lines: pa.StringArray) -> pa.StringArray:
    """The messages of raw lines; a line without a known header is all message.

    >>> raw = ["Jun 14 15:16:01 combo sshd[19939]: connection lost", "no header: here"]
    >>> raw += ["2016-12-19 16:11:09,123 [main] INFO kafka.Server: started 2 threads"]
    >>> without_headers(pa.array(raw)).to_pylist()
    ['connection lost', 'no header: here', 'started 2 threads']
    """
    return pc.replace_substring_regex(lines, _HEADER, "", max_replacements=1)
