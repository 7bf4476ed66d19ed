"""Masks: what varies from line to line is replaced by a wildcard, whole columns at once.

One table for every log. The patterns are RE2's (linear in the text, no lookaround), because
pyarrow runs them over a column without a Python object for a line.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

WILDCARD = "<*>"
TEXT_LIMIT = 2_000
"""Characters of a message that are looked at; beyond it a message is data."""

_DAYS = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_UNITS = (
    "(?:B|(?i:bytes?|[kmgt]i?b|bits?|[kmg]?hz|[mun]?s|secs?|seconds?|mins?|minutes?|hours?"
    "|m(?:illi|icro)?seconds?|m(?:illi|icro)?secs?|days?))"
)

_VALUES: tuple[tuple[str, str], ...] = (
    # the order matters: of two that begin at one place, the first is taken
    ("url", r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>)\],;]+"),
    ("who@where", r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"),
    ("object@hash", r"\b[\w.$/-]+@[0-9a-fA-F]+\b"),
    ("uuid", r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"),
    ("date", rf"\b(?:{_DAYS},? +)?{_MONTHS} +\d{{1,2}}\b"),
    ("day first", rf"\b\d{{1,2}}[ /-]{_MONTHS}[ /-]\d{{2,4}}\b"),
    ("colons", r"\b[0-9a-fA-F]{1,4}(?:::?[0-9a-fA-F]{1,4}){3,15}(?:%\w+)?\b"),
    ("colons first", r"\B::(?:[0-9a-fA-F]{1,4}:)*[0-9a-fA-F]{1,4}\b"),
    ("quoted", r"\"[^\"]*\"|\B'[^']*'\B|\\042[^\\]*\\042"),
    ("drive", r"\b[A-Za-z]:\\[^\s\"'<>|,;]+"),
    ("path from here", r"(?:\.{1,2}|~)/(?:[\w.@~+-]+/)*[\w.@~+-]*\w"),
    ("path", r"\B/(?:[\w.@~+%$*:-]*/)*[\w.@~+%$*-]*[\w*]"),
    ("relative path", r"\b[\w.-]+(?:/[\w.@~+%$*-]+){2,}"),
    ("component", r"\b\w+(?:\.\w+){2,}/[\w.$]+"),
    ("host:port, file:line", r"\b\w[\w-]*(?:\.[\w$-]+)+:\d+"),
    ("host", r"\b[\w-]*\d[\w-]*(?:\.[\w-]*[A-Za-z][\w-]*){2,}\b"),
    ("name_1", r"\b\w+_-?\w*\d\w*\b|\b[A-Za-z]+\d+_\w+\b"),
    ("name-1", r"\b[A-Za-z]\w*(?:-\w+)*-\d+\b"),
    ("R1-N2", r"\b\w*\d\w*(?:[-:]\w+)*[-:]\w*\d\w*\b"),
    ("hex", r"\b0[xX][0-9a-fA-F]+\b|\b[0-9a-fA-F]{8,}\b"),
    ("short hex", r"\b[a-f]+\d[0-9a-f]+\b|\b\d+[a-f]+[0-9a-f]*\b"),
    ("name12", r"\b[A-Za-z]+\d{2,}\b"),
    ("mixed", r"\b\w*\d\w*[A-Za-z]\w*\d\w*\b"),
    ("number", rf"(?:\B[-+<>~])?\d+(?:[.,:/_-]+\d+)*(?:%| ?{_UNITS}\b)?"),
)

_VALUE = "|".join(f"(?:{pattern})" for _, pattern in _VALUES)
_REQUEST = r'"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE) [^"]*"'
_SAID = (
    r"\"(?:message|msg|log|event|text)\" ?: ?\"((?:[^\"\\]|\\.)*)\""
    r"|\b(?:message|msg|event)=\"((?:[^\"\\]|\\.)*)\""
)
"""What a structured line says is no value, although it stands in quotes."""
_MORE_LINES = r"(?s)^\s+|\s*[\r\n].*"
"""Of a message of several lines (a stack trace below it) the first one is the message."""
_RUN = r"<\*>(?:[ ,.:;/|#+~-]*(?:<\*>|\(<\*>\)|\[<\*>\])| \(\))+"
"""Several values in a row are one: lists have any length, and a gloss in brackets may lack."""


def masked(messages: pa.StringArray) -> pa.StringArray:
    """The messages with everything that varies replaced by ``<*>``.

    >>> masked(pa.array(["cart 4711 of 'ann' at /srv/app/7/x.json failed after 1.5 s"]))[0].as_py()
    'cart <*> of <*> at <*> failed after <*>'
    """
    texts = pc.utf8_slice_codeunits(messages, 0, TEXT_LIMIT)
    texts = pc.replace_substring_regex(texts, _MORE_LINES, "")
    texts = pc.replace_substring_regex(texts, _SAID, r"\1\2")
    texts = pc.replace_substring_regex(texts, _REQUEST, r"\1 <*>")
    texts = pc.replace_substring_regex(texts, _VALUE, WILDCARD)
    return pc.replace_substring_regex(texts, _RUN, WILDCARD)
