"""JavaScript: Node and browsers of the V8 family."""

from __future__ import annotations

import re

from ingest.tracebacks.base import Traceback, frames_of, split_exception

_FRAME = re.compile(
    r"^\s+at (?:async )?(?:new )?(?:(?P<function>[^\s(][^(\n]*?)(?: \[as [^\]]+\])? \()?"
    r"(?P<file>(?:node:|file://|https?://|[A-Za-z]:\\|/|\.|<)[^\n()]*?|[\w./()-]+\.[mc]?[jt]sx?[^:\n]*)"
    r":(?P<line>\d+):\d+\)?$",
    re.MULTILINE,
)
_GECKO_FRAME = re.compile(
    r"^(?P<function>[^\s@]*)@(?P<file>\S+?):(?P<line>\d+)(?::\d+)?$", re.MULTILINE
)
_LIBRARY = re.compile(r"node_modules/|^node:|^internal/|<anonymous>")
_HEAD = re.compile(
    r"^(?:Uncaught )?(?P<exception>(?:[A-Z]\w*)?(?:Error|Exception)\b[^\n]*)$", re.MULTILINE
)


def parse(text: str) -> Traceback | None:
    """The exception and its frames."""
    first = _FRAME.search(text)
    if first is None:
        return None
    found = _HEAD.search(text[: first.start()])
    kind, message = split_exception(found["exception"]) if found else ("Error", "")
    frames = frames_of(text, _FRAME, _LIBRARY, innermost_first=True)
    return Traceback("nodejs", kind.partition(" ")[0], message, frames)


def parse_gecko(text: str) -> Traceback | None:
    """Firefox and Safari; without the exception's own line (Safari) its type is not known."""
    first = _GECKO_FRAME.search(text)
    if first is None:
        return None
    found = _HEAD.search(text[: first.start()])
    if found is None and len(_GECKO_FRAME.findall(text)) < 2:
        return None  # an address of a mail or a host may look like this
    kind, message = split_exception(found["exception"]) if found else ("", "")
    frames = frames_of(text, _GECKO_FRAME, _LIBRARY, innermost_first=True)
    return Traceback("javascript", kind, message, frames)
