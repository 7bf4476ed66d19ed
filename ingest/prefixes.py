"""Who wrote a line: the times, levels, processes and threads that stand before what it says.

Loggers, collectors and containers put them there. No list of formats: a prefix is a row of tokens,
and the tokens that tell writers apart are brackets, numbers of processes and names before a bar.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CLOCK = r"\d\d?:\d\d:\d\d(?:[.,:]\d+)?(?:\ [AP]M)?"
_ZONE = r"(?:\ ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
_TIME = rf"""
    [IWEF]\d{{4}}\ {_CLOCK}                                          # glog
  | \d{{4}}[-/.]\d\d[-/.]\d\d(?:(?:[T_-]|,?\ ){_CLOCK})?{_ZONE}       # ISO 8601 and its kin
  | \d\d-\d\d\ {_CLOCK}                                              # logcat
  | \d\d/\d\d/\d\d(?:\d\d)?,?\ {_CLOCK}
  | \d\d/[A-Z][a-z]{{2}}/\d{{4}}[:\ ]{_CLOCK}{_ZONE}                 # access logs
  | (?:[A-Z][a-z]{{2}}\ )?[A-Z][a-z]{{2}}\ [\ \d]?\d,?\ (?:\d{{4}},?\ )?
    {_CLOCK}{_ZONE}(?:\ \d{{4}})?                                   # syslog, Apache, Java
  | {_CLOCK}{_ZONE}
  | 1\d{{9}}(?:\.\d+|\d{{3}})?                                       # epoch
"""
_LEVEL = (
    r"(?:TRACE|FINEST|FINER|FINE|CONFIG|VERBOSE|DEBUG|INFO|INFORMATION|NOTICE|WARN|WARNING|ERR"
    r"|ERROR|SEVERE|CRIT|CRITICAL|FATAL|ALERT|EMERG|EMERGENCY|PANIC)"
)
_WRITER = r"""
    \[[^\[\]]{1,80}\]:?                                             # [worker-3], [pid 4711]
  | \([\w\ .:\#@/-]{1,60}\):?                                       # (MainThread)
  | <\d[\d.]*>                                                      # <0.123.0>
  | ==\d+==
  | [A-Za-z][\w./@-]*\[\d+\]:?                                      # app[4711]: of syslog
  | [\w.-]+\ [A-Za-z][\w./@-]*\[\d+\]:                              # the same behind its host
  | (?:pid|tid|thread|worker|process|proc|PID|TID)(?:[=:\#]\ ?|\ (?=\d))[\w./-]+[:,;]?
  | [A-Za-z][\w./@-]*\ *\|                                          # app-1  | of docker compose
  | [A-Za-z][\w.-]*[-_\#@]\d+:?                                     # Thread-3, pool-1-thread-7:
  | [A-Za-z]\w*Thread:?
  | [VDIWEF]/[\w.-]+\(\ *\d+\):                                     # logcat's brief form
  | (?:stdout|stderr)\ [FP]                                         # Kubernetes
  | \d{2,10}(?:[/:\#-]\d{1,10})?:?
"""
_TOKEN = re.compile(
    rf"""
    (?P<time>\[(?:{_TIME})\]|(?:{_TIME})(?::|\ \|)?)(?=[\s\[]|$)
  | (?P<level>(?:{_LEVEL}|\[(?i:{_LEVEL})\]|<(?i:{_LEVEL})>)[:,]?(?:\ *\|)?)(?=[\s\[]|$)
  | (?P<writer>{_WRITER})(?=\s|$)
  | (?P<separator>(?:-|:|---(?=\ +\[))(?=\s))
    """.encode(),
    re.VERBOSE,
)
_LOGGER = re.compile(rb"(?:[VDIWEFS] [\w./$:-]+ *:|[\w.$:<>/@]+ +[-:])(?=\s|$)")
_CHANGES = re.compile(rb"\d{4}-\d\d-\d\d[T ]?|\d\d:\d\d:\d\d(?:[.,]\d+)?")
_BLANKS = b" \t"


class Boundary(NamedTuple):
    """A place at which a line's prefix may end, and whose line it is then."""

    writer: bytes
    """The tokens up to here, without times and levels."""
    level: bytes
    end: int
    """Index after the last token; blanks may follow."""


def boundaries_of(line: bytes) -> list[Boundary]:
    """Where the prefix of ``line`` may end, the shortest one first; empty when it has none.

    What follows a prefix may look like one more token of it, for example ``[signal SIGSEGV: …]``.

    >>> boundaries_of(b"10:00:01 4711 [worker-3] ERROR failed")
    [Boundary(writer=b'4711', level=b'', end=13), \
Boundary(writer=b'4711 [worker-3]', level=b'ERROR', end=30)]
    >>> boundaries_of(b"2026-11-25T10:00:01Z failed")
    [Boundary(writer=b'', level=b'', end=20)]
    >>> boundaries_of(b"ordinary words")
    []
    """
    found: list[Boundary] = []
    writer = level = b""
    at = 0
    has_time = False
    while (token := _next_token(line, at)) is not None:
        at = token.end()
        if token.lastgroup == "writer":
            name = _CHANGES.sub(b"", token[0]) if b":" in token[0] else token[0]
            writer = writer + b" " + name if writer else name
            found.append(Boundary(writer, level, at))
            continue
        if token.lastgroup == "time":
            has_time = True
        elif token.lastgroup != "separator":
            level = token[0]
        if found:
            found[-1] = Boundary(writer, level, at)
    if has_time and not found:
        found.append(Boundary(b"", level, at))
    return found


def _next_token(line: bytes, at: int) -> re.Match[bytes] | None:
    start = at
    while start < len(line) and line[start] in _BLANKS:
        start += 1
    if start and not at:
        return None  # an indented line continues another
    token = _TOKEN.match(line, start)
    if token is not None and not at and token.lastgroup == "separator":
        return None
    return _LOGGER.match(line, start) if token is None and at else token
