"""Python: tracebacks (chained, groups) and faulthandler dumps."""

from __future__ import annotations

import re

from contracts.records import Frame
from ingest.tracebacks.base import Traceback, frames_of, split_exception

_FRAME = re.compile(
    r'^[ |+]*File "(?P<file>[^"\n]+)", line (?P<line>\d+),? in (?P<function>[^\n]+)$', re.MULTILINE
)
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib/python\d|^<frozen |/runtimes/python")
_CHAIN = re.compile(
    r"\n\n(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n"
)
_EXCEPTION = re.compile(
    r"^(?P<type>[A-Za-z_][\w.]*)(?::[ ]?(?P<message>.*))?\Z", re.MULTILINE | re.DOTALL
)
_GROUP = re.compile(
    r"^[ ]*\| (?P<type>[A-Za-z_][\w.]*Group)(?:: (?P<message>[^\n]*))?$", re.MULTILINE
)
_FATAL = re.compile(r"(?:Fatal Python error: |Windows fatal exception: )(?P<message>[^\n]+)")
_OLD_RUBY = re.compile(r"^Traceback [^\n]+\n\s+\d+: from ", re.MULTILINE)


def parse(text: str) -> Traceback | None:
    """The last exception of a chain: the one that was not handled."""
    if (fatal := _FATAL.search(text)) is not None:
        threads = text[fatal.end() :]
        current = threads.find("\nCurrent thread 0x")  # others may stand before it
        first_thread = threads[max(0, current) :].partition("\n\nThread 0x")[0]
        kind, message = split_exception(fatal["message"])
        frames = frames_of(first_thread, _FRAME, _LIBRARY, innermost_first=True)
        return Traceback("python", kind, message, frames)
    if "Traceback (most recent call last):" not in text or _OLD_RUBY.search(text):
        return None
    if "Exception Group Traceback" in text:
        return _group(text)
    tail = _CHAIN.split(text)[-1].partition("Traceback (most recent call last):")[2].rstrip()
    lines = tail.split("\n")
    for index, line in enumerate(lines):
        # the first line at the margin is the exception; what follows is its message
        if line and not line[0].isspace():
            found = _EXCEPTION.match("\n".join(lines[index:]))
            kind = found["type"] if found else line
            message = (found["message"] or "") if found else ""
            return Traceback("python", kind, message, _frames(tail))
    return Traceback("python", "", "", _frames(tail))


def _frames(text: str) -> list[Frame]:
    return frames_of(text, _FRAME, _LIBRARY, innermost_first=False)


def _group(text: str) -> Traceback:
    found = _GROUP.search(text)
    kind = found["type"] if found else "ExceptionGroup"
    message = (found["message"] or "") if found else ""
    own = text.partition("\n  +-+")[0] if found is None else text[: found.end()]
    return Traceback("python", kind, message, _frames(own))
