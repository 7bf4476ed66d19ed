"""Go panics and Rust panics."""

from __future__ import annotations

import re

from ingest.tracebacks.base import Traceback, frames_of

_GO_HEAD = re.compile(r"(?:panic: |http: panic serving [^\n]*?: |fatal error: )(?P<message>[^\n]*)")
_GO_FRAME = re.compile(
    r"^(?:created by )?(?P<function>[^\s(][^\n]*?)(?:\([^()\n]*\))?(?: in goroutine \d+)?\n"
    r"\s+(?P<file>[^\n:]+):(?P<line>\d+)",
    re.MULTILINE,
)
_GO_LIBRARY = re.compile(
    r"^/usr/(?:local|lib)/go[^/]*/src/|^go/src/|/pkg/mod/|^runtime\.|^panic$|^net/http\."
)
_RUST_HEAD = re.compile(
    r"thread '[^']*'[^\n]* panicked at "
    r"(?:'(?P<old>[^\n]*)', [^\n]*|[^\n]*:\n(?P<new>[^\n]*))"
)
_RUST_FRAME = re.compile(
    r"^\s+\d+:\s+(?:0x[0-9a-f]+ - )?(?P<function>[^\n]+)"
    r"(?:\n\s+at (?P<file>[^\n:]+):(?P<line>\d+))?",
    re.MULTILINE,
)
_RUST_LIBRARY = re.compile(
    r"/rustc/|^(?:<?core|<?std|<?alloc|rust_|__|_start|main$)|^\s*(?:core|std|alloc)::"
)
_ANYHOW_HEAD = re.compile(
    r"^Error: (?P<message>[^\n]+)\n(?:[^\n]*\n)?\n?(?:Caused by|Stack backtrace|Location):\n",
    re.MULTILINE,
)


def parse_go(text: str) -> Traceback | None:
    """The panic's message and the frames of the goroutine that panicked."""
    found = _GO_HEAD.search(text)
    if found is None or "goroutine " not in text:
        return None
    running = text.partition("goroutine ")[2].partition("\n")[2].partition("\n\ngoroutine ")[0]
    message = found["message"].strip()
    kind = "runtime error" if message.startswith("runtime error") else "panic"
    frames = frames_of(running, _GO_FRAME, _GO_LIBRARY, innermost_first=True)
    return Traceback("go", kind, message.removeprefix("runtime error: "), frames)


def parse_rust(text: str) -> Traceback | None:
    """The panic's message, and frames where a backtrace was on."""
    found = _RUST_HEAD.search(text)
    if found is None:
        return None
    frames = frames_of(text, _RUST_FRAME, _RUST_LIBRARY, innermost_first=True)
    return Traceback("rust", "panic", (found["old"] or found["new"] or "").strip(), frames)


def parse_anyhow(text: str) -> Traceback | None:
    """An error that ``main`` returned, with its causes: as ``anyhow`` and ``eyre`` print it."""
    found = _ANYHOW_HEAD.search(text)
    if found is None:
        return None
    backtrace = text.partition("Stack backtrace:\n")[2]
    frames = frames_of(backtrace, _RUST_FRAME, _RUST_LIBRARY, innermost_first=True)
    return Traceback("rust", "Error", found["message"], frames)
