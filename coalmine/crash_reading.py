"""Crashes out of files of any kind: reports as JSON, Sentry's events, crash files, plain logs."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from coalmine.reading import opened
from contracts.errors import UNREADABLE, InvalidRecord
from contracts.foreign import record_from_fields
from contracts.records import Crash, RecordKind
from contracts.sentry import crashes_of_event
from ingest.multiline import Joiner, JoinRules
from ingest.parsers.base import Labels, decode_text
from ingest.tracebacks.detect import crash_of
from streams.crashes.frames import read_trace
from streams.crashes.runtimes import runtime_of

_DOCUMENT_BYTES = 256 << 20
_CRASH_FILE_BYTES = 4 << 20
_LINES_AT_ONCE = 4_096
_LONGEST_LINE = 16 << 20
_ENVELOPE = frozenset(
    ("event_id", "dsn", "sdk", "sent_at", "trace", "type", "length", "content_type", "filename",
     "attachment_type", "item_count", "platform")
)  # fmt: skip
_SENTRY = (
    "exception", "stacktrace", "threads", "logentry", "template", "csp", "expectct", "expectstaple",
    "hpkp",
)  # fmt: skip
_ARRAY = re.compile(rb"\s*\[\s*[\[{\]]")
"""How an array of reports begins; a log line may begin with a bracket as well."""
_CRASH_FILE = re.compile(
    rb"(?:[#=\s-]*\n)*(?:# +A fatal error has been detected by the Java|=+\d+=+ ?ERROR: "
    rb"|WARNING: ThreadSanitizer|Fatal Python error: |(?:Current t|T)hread 0x|\*\*\* \*\*\* \*\*\*"
    rb"|Incident Identifier:|Process: +\S+ \[|Operating system: |Crash reason:|\s*#0+ )"
)
"""How a file begins that is one crash as a whole."""

_LOG_LINE = re.compile(
    rb"^\[?(?:\d{4}-\d\d-\d\d[T ]\d\d:|\d\d:\d\d:\d\d|[A-Z][a-z]{2} +\d+ \d\d:|\d{10})"
    rb"|^\[?(?:TRACE|DEBUG|INFO|WARN|WARNING|ERROR|FATAL|CRITICAL)\b|^Traceback \(most recent",
    re.MULTILINE,
)
"""No crash file has such a line: a log that begins with a crash does."""


class Found(NamedTuple):
    """A crash and where it stood: the file and the line (of JSON: the number) it begins at."""

    crash: Crash
    file: str
    line: int


Refuse = Callable[[str, int, str], None]
"""Told of a record that cannot be used: file, line, and why."""


def crashes_in(path: Path, refuse: Refuse) -> Iterator[Found]:
    """Every crash of a file, in its order; memory does not grow with the length of a log.

    Args:
        path: plain or compressed; ``-`` is standard input.
        refuse: called for each unusable record; the rest goes on.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    name = str(path)
    with opened(path) as stream:
        head = stream.peek(1)
        if _ARRAY.match(head):
            yield from _document(stream.read(_DOCUMENT_BYTES), name, refuse)
        elif head.lstrip().startswith(b"{"):
            yield from _json(stream, name, refuse)
        else:
            yield from _text(stream, name)


def _json(stream: io.BufferedReader, name: str, refuse: Refuse) -> Iterator[Found]:
    """JSON lines and envelopes; one document over many lines where the first is no JSON."""
    first = stream.readline(_LONGEST_LINE)
    try:
        msgspec.json.decode(first)
    except UNREADABLE:
        whole = first + stream.read(_DOCUMENT_BYTES)
        try:
            msgspec.json.decode(whole)
        except UNREADABLE:
            yield from _lines(io.BytesIO(whole), name, refuse, 1)
        else:
            yield from _document(whole, name, refuse)
        return
    yield from _lines([first], name, refuse, 1)
    yield from _lines(stream, name, refuse, 2)


def _lines(lines: Iterable[bytes], name: str, refuse: Refuse, first: int) -> Iterator[Found]:
    for number, line in enumerate(lines, first):
        if not line or line.isspace():
            continue
        try:
            value = msgspec.json.decode(line)
        except UNREADABLE as error:
            refuse(name, number, f"not json: {error}")
            continue
        yield from _values(value, name, number, refuse)


def _document(whole: bytes, name: str, refuse: Refuse) -> Iterator[Found]:
    try:
        value = msgspec.json.decode(whole)
    except UNREADABLE as error:
        refuse(name, 1, f"not json: {error}")
        return
    for number, item in enumerate(value if isinstance(value, list) else [value], 1):
        yield from _values(item, name, number, refuse)


def _values(value: object, name: str, number: int, refuse: Refuse) -> Iterator[Found]:
    try:
        for crash in _crashes(value):
            yield Found(crash, name, number)
    except (InvalidRecord, RecursionError) as error:
        refuse(name, number, str(error))


def _crashes(value: object) -> list[Crash]:
    if not isinstance(value, dict):
        raise InvalidRecord("not a json object", type(value).__name__)
    now_ms = time.time_ns() // 1_000_000
    if _is_crash(value):
        known = {"time": now_ms, "service.name": "", "service.version": ""}
        record = record_from_fields(RecordKind.CRASHES, {**known, **value})
        return [record] if isinstance(record, Crash) else []
    if value and value.keys() <= _ENVELOPE:
        return []
    if _is_event(value):
        return crashes_of_event(value, now_ms=now_ms)
    # a line of a structured log: its traceback stands in one of the texts
    texts = (text for text in value.values() if isinstance(text, str) and "\n" in text)
    found = (crash_of(text, now_ms, Labels()) for text in texts)
    if crash := next((crash for crash in found if crash), None):
        return [crash]
    if value:
        return []
    raise InvalidRecord("no failure in the record", "it is empty")


def _is_crash(value: Mapping[str, Any]) -> bool:
    """Whether it has OpenTelemetry's names, dotted or nested."""
    nested = value.get("exception")
    if isinstance(nested, dict) and "values" not in nested:
        return isinstance(nested.get("stacktrace"), str) or "message" in nested
    return any(name.startswith("exception.") for name in value) or isinstance(
        value.get("frames"), list
    )


def _is_event(value: Mapping[str, Any]) -> bool:
    return (
        any(isinstance(value.get(name), dict | list) for name in _SENTRY)
        or any(name.startswith("sentry.interfaces.") for name in value)
        or (("event_id" in value or "platform" in value) and "message" in value)
        or value.get("type") in ("event", "error", "transaction")
    )


def _text(stream: io.BufferedReader, name: str) -> Iterator[Found]:
    """A crash file is one crash; a log is joined, and its tracebacks are the crashes."""
    now_ms = time.time_ns() // 1_000_000
    head = stream.peek(1 << 16)
    if _CRASH_FILE.match(head) and not _LOG_LINE.search(head):
        whole = decode_text(stream.read(_CRASH_FILE_BYTES))
        yield Found(_crash_of_file(whole, now_ms), name, 1)
        return
    joiner = Joiner(JoinRules())
    number = 0
    while lines := stream.readlines(1 << 20):
        ends = range(number + 1, number + len(lines) + 1)
        number += len(lines)
        stripped = [line.rstrip(b"\r\n") for line in lines]
        yield from _tracebacks(joiner.feed(stripped, ends), name, now_ms)
    yield from _tracebacks(joiner.flush(), name, now_ms)


def _tracebacks(records: Iterable[Any], name: str, now_ms: int) -> Iterator[Found]:
    for record in records:
        if b"\n" not in record.line and b"panicked at" not in record.line:
            continue
        text = decode_text(record.line)
        crash = crash_of(text, now_ms, Labels()) or _native_crash(text, now_ms)
        if crash is not None:
            yield Found(crash, name, record.end - record.line.count(b"\n"))


def _crash_of_file(text: str, now_ms: int) -> Crash:
    if (crash := crash_of(text, now_ms, Labels())) is not None:
        return crash
    return _crash_of_trace(runtime_of("", text), text, now_ms)


def _native_crash(text: str, now_ms: int) -> Crash | None:
    """What sanitizers, debuggers and C libraries print into a log."""
    if runtime_of("", text) != "native" or not read_trace("native", text).calls:
        return None
    return _crash_of_trace("native", text, now_ms)


def _crash_of_trace(runtime: str, text: str, now_ms: int) -> Crash:
    raised = read_trace(runtime, text).raised
    return Crash(
        time=now_ms,
        service="",
        release="",
        runtime=runtime,
        exception_type=raised[0].type if raised else "",
        exception_message=raised[0].message if raised else "",
        stacktrace=text,
    )
