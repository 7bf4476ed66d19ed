"""Machine code: sanitizers, debuggers, and backtraces that programs print of themselves."""

from __future__ import annotations

import re

from contracts.records import Frame
from ingest.tracebacks.base import Traceback, frames_of

_PLACE = r"(?P<file>[^\s():]+):(?P<line>\d+)"
_FRAMES = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # sanitizers
        (
            r"^\s+#\d+ (?:0x[0-9a-f]+ )?(?:in )?(?P<function>[^\n]+?)"
            rf"(?: {_PLACE}(?::\d+)?(?: \([^\n]*\))?"
            r"| \((?P<module>[^()\s+]+)\+0x[0-9a-f]+\)[^\n]*)$"
        ),
        # gdb
        (
            r"^#\d+\s+(?:0x[0-9a-f]+ in )?(?P<function>\S[^\n(]*?) \([^\n]*\)"
            rf"(?: at {_PLACE}| from (?P<module>\S+))?$"
        ),
        # glibc, libunwind, Android, glog
        (
            r"^(?:\[bt\] )?(?P<module>[./\w+-]+)\((?P<function>[^()\n+]*)\+0x[0-9a-f]+\)"
            r"\s?\[0x[0-9a-f]+\]$"
        ),
        r"^\s*0x[0-9a-f]+: \((?P<function>[^()\s+]+)\+0x[0-9a-f]+\)$",
        r"^\s+#\d+ pc [0-9a-f]+\s+(?P<module>\S+)(?: \((?P<function>[^\n]*?)\+\d+\))?",
        r"^\s+@\s+0x[0-9a-f]+\s+(?P<function>[^\n]+)$",
    )
)
_LIBRARY = re.compile(
    r"^/(?:usr/)?lib(?:32|64)?/|sysdeps/|^\.\.?/(?:csu|nptl|stdlib)/|libsanitizer|compiler-rt"
    r"|^_*(?:asan|tsan|msan|ubsan|interceptor|sanitizer|libc|GI)_|^std::|^_*start$|^abort$|^raise$"
)
_SANITIZER = re.compile(
    r"(?:ERROR|WARNING): (?P<tool>\w+Sanitizer): "
    r"(?P<what>[^\n]+?)(?=:? on |: | \(|\n|$)(?P<message>[^\n]*)"
)
_UNDEFINED = re.compile(rf"^{_PLACE}:\d+: runtime error: (?P<message>[^\n]+)", re.MULTILINE)
_HEADS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        (
            r"terminate called after throwing an instance of '(?P<type>[^'\n]+)'"
            r"(?:\n\s+what\(\):\s*(?P<message>[^\n]*))?"
        ),
        (
            r"^(?:Program (?:received|terminated) |Program terminated with )(?:with )?signal "
            r"(?P<type>SIG[A-Z]+)(?:, (?P<message>[^\n]*?)\.?)?$"
        ),
        r"\bsignal \d+ \((?P<type>SIG[A-Z]+)\)(?P<message>)",
        r"^\*\*\* (?P<type>SIG[A-Z]+) (?P<message>)\(@",
        r"^\*\*\* Error in `[^\n]*': (?P<type>[\w ()!-]+)(?P<message>):? 0x",
        r"^\*\*\* (?P<type>[^\n*]+ detected)(?P<message>) \*\*\*",
    )
)
_FIRST_THREAD = re.compile(r"^Thread 1 \(", re.MULTILINE)
_INNERMOST = re.compile(r"^\s*#0+ ", re.MULTILINE)


def parse_sanitizer(text: str) -> Traceback | None:
    """Reports of Address-, Thread-, Memory-, Leak- and UndefinedBehaviorSanitizer."""
    if (found := _SANITIZER.search(text)) is not None:
        kind = f"{found['tool']}: {found['what']}"
        frames = _frames(text[found.end() :])
        return Traceback("native", kind, found["message"].lstrip(": "), frames)
    found = _UNDEFINED.search(text)
    if found is None:
        return None
    here = Frame(file=found["file"], line=int(found["line"][:9]), in_app=True)
    frames = _frames(text[found.end() :]) or [here]
    return Traceback("native", "UndefinedBehaviorSanitizer", found["message"], frames)


def parse(text: str) -> Traceback | None:
    """What gdb, glibc, libunwind and others print; a message alone or two frames are enough."""
    found = next((m for head in _HEADS if (m := head.search(text))), None)
    first = _FIRST_THREAD.search(text)
    frames = _frames(text[first.start() :] if first else text)
    if found is None and len(frames) < 2:
        return None
    kind, message = (found["type"].strip(), found["message"] or "") if found else ("", "")
    return Traceback("native", kind, message, frames)


def _frames(text: str) -> list[Frame]:
    """Frames of the first stack; others (allocated by, other threads) stay in the text."""
    starts = [m.start() for m in _INNERMOST.finditer(text)]
    text = text[: starts[1]] if len(starts) > 1 else text
    found = ((p, m.start()) for p in _FRAMES if (m := p.search(text)))
    pattern = min(found, key=lambda item: item[1], default=None)
    return frames_of(text, pattern[0], _LIBRARY, innermost_first=True) if pattern else []
