"""Named fields to one record: their names to ours, units, severities, labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.errors import InvalidRecord
from contracts.foreign import record_from_fields
from contracts.records import Crash, Event, LogLine, Record, RecordKind
from ingest.parsers.base import Labels
from ingest.parsers.stacks import Reported, reported_in
from ingest.parsers.times import TimeParser
from ingest.tracebacks.detect import understood

SHORT_NAMES = {
    "service": "service.name",
    "release": "service.version",
    "version": "service.version",
    "host": "host.name",
    "hostname": "host.name",
    "timestamp": "time",
    "@timestamp": "time",
    "ts": "time",
    "level": "severity",
    "log.level": "severity",
    "severity_text": "severity",
    "msg": "message",
    "body": "message",
    "name": "event.name",
    "route": "http.route",
    "status": "http.response.status_code",
    "size_bytes": "http.response.body.size",
    "user": "user.id",
    "session": "session.id",
    "session_id": "session.id",
    "user_id": "user.id",
    "trace": "trace.id",
    "trace_id": "trace.id",
    "runtime": "process.runtime.name",
    "exception_type": "exception.type",
    "exception_message": "exception.message",
    "stacktrace": "exception.stacktrace",
    "thread": "thread.name",
}
"""Names that many loggers use, and ours in Python, with the OpenTelemetry names they mean."""

DURATION_UNITS = {"duration_s": 1000.0, "duration_us": 1e-3, "duration_ns": 1e-6}

_SEVERITIES = {
    "trace": "trace",
    "finest": "trace",
    "debug": "debug",
    "fine": "debug",
    "info": "info",
    "information": "info",
    "informational": "info",
    "notice": "info",
    "warn": "warning",
    "warning": "warning",
    "err": "error",
    "error": "error",
    "severe": "error",
    "crit": "critical",
    "critical": "critical",
    "fatal": "fatal",
    "alert": "critical",
    "emerg": "fatal",
    "emergency": "fatal",
    "panic": "fatal",
    "10": "trace",
    "20": "debug",
    "30": "info",
    "40": "warning",
    "50": "error",
    "60": "fatal",
}
_IDENTIFIERS = frozenset({"user.id", "session.id", "trace.id"})
"""Texts that many loggers write as numbers."""
_LARGEST_INT64 = (1 << 63) - 1


def severity_of(value: object) -> str:
    """One of ``trace debug info warning error critical fatal``; an unknown word in lower case.

    >>> severity_of("WARN"), severity_of(50), severity_of("Verbose")
    ('warning', 'error', 'verbose')
    """
    word = str(value).strip().lower()
    return _SEVERITIES.get(word, word or "info")


def our_name(name: str) -> str:
    """The OpenTelemetry name that a mapping's target means.

    >>> our_name("status"), our_name("http.route")
    ('http.response.status_code', 'http.route')
    """
    return SHORT_NAMES.get(name, name)


def check_ranges(record: Record) -> Record:
    """The record itself, when its numbers fit what can be stored.

    Raises:
        InvalidRecord: a status that is none, a negative or too large size.
    """
    if isinstance(record, Event):
        if record.status is not None and not 0 <= record.status <= 999:
            raise InvalidRecord("wrong field", f"status {record.status}, expected 0 to 999")
        if not 0 <= record.size_bytes <= _LARGEST_INT64:
            raise InvalidRecord("wrong field", f"size {record.size_bytes}")
    return record


class RecordBuilder:
    """Makes the records of one source from named values.

    Args:
        kind: what the records are.
        mapping: their field names to ours.
        times: how their times are written.
        uses_read_time: whether records get the time at which they were read.
    """

    def __init__(
        self,
        kind: RecordKind,
        mapping: Mapping[str, str],
        times: TimeParser,
        *,
        uses_read_time: bool = False,
    ) -> None:
        self.kind = kind
        self.mapping = {theirs: our_name(ours) for theirs, ours in mapping.items()}
        self.times = times
        self.uses_read_time = uses_read_time

    def build(self, fields: Mapping[str, Any], labels: Labels, read_time: int) -> Record:
        """The record that ``fields`` (flat or nested) describe.

        Raises:
            InvalidRecord: a field missing or of the wrong type.
        """
        ours = self._renamed(fields)
        if self.kind is not RecordKind.EVENTS and (reported := reported_in(ours)) is not None:
            self._add_failure(ours, reported)
        ours["time"] = read_time if self.uses_read_time else self.times.parse(ours.get("time"))
        for name, label in (
            ("service.name", labels.service),
            ("service.version", labels.release),
            ("host.name", labels.host),
            ("arm", labels.arm),
        ):
            if ours.get(name) in (None, ""):
                ours[name] = label
        if not ours["service.name"]:
            raise InvalidRecord("no service", "neither in the line nor in the configuration")
        record = check_ranges(record_from_fields(self.kind, ours))
        if isinstance(record, LogLine):
            record.severity = severity_of(record.severity)
        return understood(record) if isinstance(record, Crash) else record

    def _add_failure(self, ours: dict[str, Any], reported: Reported) -> None:
        """What fields tell of a failure, where plain lines have it: below the log's message."""
        if self.kind is RecordKind.LOGS:
            message = str(ours.get("message") or "")
            if reported.stack not in message:
                ours["message"] = f"{message}\n{reported.text}".removeprefix("\n")
            return
        ours["exception.stacktrace"] = reported.text
        ours["exception.type"] = reported.kind or ours.get("exception.type") or ""
        ours["exception.message"] = reported.message or ours.get("exception.message") or ""

    def _renamed(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        ours: dict[str, Any] = {}
        for theirs, value in flatten(fields).items():
            if value is None or value == "":
                continue
            mapped = self.mapping.get(theirs)
            name = mapped if mapped is not None else SHORT_NAMES.get(theirs, theirs)
            if name in DURATION_UNITS:
                name, value = "duration_ms", _scaled(value, DURATION_UNITS[name])  # noqa: PLW2901
            if name in _IDENTIFIERS and type(value) is int:
                value = str(value)  # noqa: PLW2901
            # a name the user mapped wins over one that only looks right
            if mapped is not None or name not in ours:
                ours[name] = value
        return ours


def _scaled(value: object, factor: float) -> float:
    try:
        return float(str(value)) * factor
    except ValueError as error:
        raise InvalidRecord("wrong field", f"duration {value!r}"[:80]) from error


def flatten(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects as dotted names; ``attributes`` stay one object of texts.

    >>> flatten({"http": {"route": "/cart"}, "ok": True})
    {'http.route': '/cart', 'ok': True}
    """
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "attributes" and isinstance(value, Mapping):
            flat[prefix + name] = {str(k): str(v) for k, v in value.items()}
        elif isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
