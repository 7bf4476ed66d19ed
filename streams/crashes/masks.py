"""Masking: what differs between two crashes of one kind is taken out of their message."""

from __future__ import annotations

import re

_MASKS: tuple[tuple[str, str], ...] = (
    # the order matters: the more special form first, or its digits would be masked as numbers
    ("url", r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>)\]]+"),
    ("email", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"),
    ("uuid", r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"),
    ("date", r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"),
    ("ip", r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?![\w.])"),
    ("quoted", r"\"(?:[^\"\\\n]|\\.)*\"|(?<!\w)'(?:[^'\\\n]|\\.)*'(?!\w)|`[^`'\n]*[`']"),
    ("path", r"(?<![\w.])(?:[A-Za-z]:)?(?:[/\\][\w.@~+-]+){2,}[/\\]?|(?<![\w/])~?/[\w.@~+-]+"),
    ("hex", r"\b0[xX][0-9a-fA-F]+\b|\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{7,}\b"),
    ("id", r"\b(?=\w*\d\w*\d)(?=\w*[A-Za-z])[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*\b"),
    ("number", r"(?<![A-Za-z_])[-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?%?"),
)  # fmt: skip

_ANY = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _MASKS))

_ROW = re.compile(r"(<\w+>)(?:[,;]?\s*\1)+")
"""A list of things is masked like one thing: its length varies too."""

_MESSAGE_LIMIT = 1_000
"""Characters: beyond it a message is data, and its masking would cost more than it tells."""


def masked(message: str) -> str:
    """The message with everything that varies replaced by its kind.

    >>> masked("cart 4711 of 'ann' at /srv/app/7/x.json failed after 1.5 s")
    'cart <number> of <quoted> at <path> failed after <number> s'
    >>> masked("user ann@example.org got 0x7f3a from https://example.org/a?b=1")
    'user <email> got <hex> from <url>'
    """
    text = _ANY.sub(lambda m: f"<{m.lastgroup}>", message[:_MESSAGE_LIMIT]).strip()
    return _ROW.sub(r"\1", text)
