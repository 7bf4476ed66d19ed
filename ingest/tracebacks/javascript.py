"""JavaScript: Node and browsers, those of the V8 family and the others."""

from __future__ import annotations

import re

from ingest.tracebacks.base import Traceback, frames_of, split_exception

_FRAME = re.compile(
    r"^\s+at (?:async )?(?:new )?(?:(?P<function>[^\s(][^(\n]*?)(?: \[as [^\]]+\])? \()?"
    r"(?P<file>(?:node:|file://|https?://|[A-Za-z]:\\|/|\.|<)[^\n()]*?|[\w./()-]+\.[mc]?[jt]sx?[^:\n]*)"
    r":(?P<line>\d+):\d+\)?$",
    re.MULTILINE,
)
_GECKO = re.compile(
    r"^\s*(?P<function>[^\s@]*)@(?P<file>[^\s@]*?)(?::(?P<line>\d+)(?::\d+)?)?$", re.MULTILINE
)
"""A call as Firefox and Safari print it: ``total@https://host/app.js:10:15``."""
_LIBRARY = re.compile(r"node_modules/|^node:|^internal/|<anonymous>")
_HEAD = re.compile(
    r"^(?:[^\n]*?\] )??(?:Uncaught )?(?P<exception>(?:[A-Z]\w*)?(?:Error|Exception)\b[^\n]*)$",
    re.MULTILINE,
)


def parse(text: str) -> Traceback | None:
    """The exception and its frames."""
    first = _FRAME.search(text)
    if first is None:
        return _parse_gecko(text)
    found = _HEAD.search(text[: first.start()])
    kind, message = split_exception(found["exception"]) if found else ("Error", "")
    frames = frames_of(text, _FRAME, _LIBRARY, innermost_first=True)
    return Traceback("nodejs", kind.partition(" ")[0], message, frames)


def _parse_gecko(text: str) -> Traceback | None:
    first = _GECKO.search(text)
    found = _HEAD.search(text[: first.start()]) if first else None
    if found is None:  # a line with an @ alone is no call
        return None
    kind, message = split_exception(found["exception"])
    frames = frames_of(text, _GECKO, _LIBRARY, innermost_first=True)
    return Traceback("javascript", kind.partition(" ")[0], message, frames)
