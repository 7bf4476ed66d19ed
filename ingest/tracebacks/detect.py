"""Which runtime printed this trace, and what it says."""

from __future__ import annotations

from collections.abc import Callable

from contracts.records import Crash
from ingest.parsers.base import Labels, shortened
from ingest.tracebacks import javascript, jvm, native, python, scripts
from ingest.tracebacks.base import Traceback

_PARSERS: tuple[Callable[[str], Traceback | None], ...] = (
    python.parse,
    native.parse_go,
    native.parse_rust,
    scripts.parse_dart,
    scripts.parse_php,
    scripts.parse_ruby,
    javascript.parse,
    scripts.parse_dotnet,
    jvm.parse,
)
_MAX_STACKTRACE = 256 * 1024


def find_traceback(text: str) -> Traceback | None:
    """The failure that ``text`` shows, or None; the most telling layouts are tried first."""
    if "\n" not in text and "panicked at" not in text:
        return None
    for parse in _PARSERS:
        found = parse(text)
        if found is not None:
            return found
    return None


def crash_of(text: str, time: int, labels: Labels) -> Crash | None:
    """The crash that ``text`` tells of, or None where it shows no trace.

    Args:
        text: one joined record.
        time: epoch milliseconds of the crash.
        labels: where it happened.
    """
    found = find_traceback(text)
    if found is None:
        return None
    return Crash(
        time=time,
        service=labels.service,
        release=labels.release,
        host=labels.host,
        arm=labels.arm,
        runtime=found.runtime,
        exception_type=shortened(found.exception_type, 1024),
        exception_message=shortened(found.exception_message, 8192),
        stacktrace=shortened(text, _MAX_STACKTRACE),
        frames=found.frames,
    )
