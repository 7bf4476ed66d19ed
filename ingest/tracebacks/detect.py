"""Which runtime printed this trace, and what it says."""

from __future__ import annotations

from collections.abc import Callable

from contracts.records import Crash
from ingest.parsers.base import Labels, shortened
from ingest.tracebacks import hs_err, javascript, jvm, machine, native, python, scripts
from ingest.tracebacks.base import Traceback

_PARSERS: tuple[Callable[[str], Traceback | None], ...] = (
    hs_err.parse,
    machine.parse_sanitizer,
    python.parse,
    native.parse_go,
    native.parse_rust,
    native.parse_anyhow,
    scripts.parse_dart,
    scripts.parse_php,
    scripts.parse_ruby,
    javascript.parse,
    scripts.parse_dotnet,
    jvm.parse,
    machine.parse,
)
_ONE_LINE = ("panicked at", "runtime error: ")

_MAX_STACKTRACE = 256 * 1024


def find_traceback(text: str) -> Traceback | None:
    """The failure that ``text`` shows, or None; the most telling layouts are tried first."""
    if "\n" not in text and not any(sign in text for sign in _ONE_LINE):
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
    crash = Crash(
        time=time,
        service=labels.service,
        release=labels.release,
        host=labels.host,
        arm=labels.arm,
        stacktrace=text,
    )
    return _filled(crash, found)


def understood(crash: Crash) -> Crash:
    """A crash that was reported with fields; what they leave out is read from its stack."""
    return _filled(crash, find_traceback(crash.stacktrace) or Traceback("", ""))


def _filled(crash: Crash, found: Traceback) -> Crash:
    crash.runtime = crash.runtime or found.runtime
    crash.exception_type = shortened(crash.exception_type or found.exception_type, 1024)
    crash.exception_message = shortened(crash.exception_message or found.exception_message, 8192)
    crash.stacktrace = shortened(found.text or crash.stacktrace, _MAX_STACKTRACE)
    crash.frames = crash.frames or found.frames
    crash.thread = crash.thread or found.thread
    return crash
