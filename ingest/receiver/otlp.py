"""What OpenTelemetry's SDKs send in JSON (OTLP/HTTP): exceptions become crashes, logs log lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from contracts.errors import UNREADABLE, InvalidRecord
from contracts.foreign import parse_time_ms
from contracts.records import Crash, LogLine, Record
from ingest.parsers.base import Labels, shortened
from ingest.parsers.fields import severity_of
from ingest.receiver.origin import Origin
from ingest.receiver.received import Group, Received, key_of
from ingest.tracebacks.detect import crash_of

MAX_RECORDS = 100_000
"""Of one request; exporters send some hundreds."""

_Fields = Mapping[str, Any]
_EXCEPTION = frozenset({"exception.type", "exception.message", "exception.stacktrace"})
_SEVERITIES = ("trace", "debug", "info", "warning", "error", "fatal")
_RUNTIMES = {"webjs": "javascript"}
_UNNAMED = "unknown_service"
_MAX_STACKTRACE = 256 * 1024


def read_logs(body: bytes, origin: Origin) -> Received:
    """The records of an export of logs; those with an exception are crashes.

    Raises:
        InvalidRecord: it is none.
    """
    records: list[Record] = []
    is_timed = True
    for resource, fields in _leaves(body, "resourceLogs", "scopeLogs", "logRecords"):
        time_ms = _claimed_ms(fields, "timeUnixNano") or _claimed_ms(fields, "observedTimeUnixNano")
        is_timed &= time_ms > 0
        attributes = _attributes(fields)
        make = _log_line if _EXCEPTION.isdisjoint(attributes) else _crash
        records.append(make(fields, attributes, resource, time_ms, origin))
    # records without a time of their own may be the same twice and yet be two
    key = key_of("logs", body) if is_timed else b""
    return Received(groups=[Group(key, records)] if records else [])


def read_traces(body: bytes, origin: Origin) -> Received:
    """The exceptions that an export of spans tells of; spans themselves are passed over.

    An exception is noted in each span that it passes through: in one trace it counts once.

    Raises:
        InvalidRecord: it is none.
    """
    received = Received()
    for resource, span in _leaves(body, "resourceSpans", "scopeSpans", "spans"):
        noted = [e for e in _objects(span.get("events")) if e.get("name") == "exception"]
        received.ignored["span"] += not noted
        for event in noted:
            time_ms = _claimed_ms(event, "timeUnixNano")
            crash = _crash(span, _attributes(event), resource, time_ms, origin)
            named = crash.trace, crash.exception_type, crash.exception_message
            key = key_of("exception", *map(str, named)) if crash.trace else b""
            received.groups.append(Group(key, [crash]))
    return received


def _crash(
    fields: _Fields,
    attributes: Mapping[str, str],
    resource: Mapping[str, str],
    time_ms: int,
    origin: Origin,
) -> Crash:
    text = shortened(attributes.get("exception.stacktrace", ""), _MAX_STACKTRACE)
    labels = _labels(resource, origin)
    time = origin.time_ms(time_ms or origin.now_ms)
    crash = crash_of(text, time, labels) or Crash(
        time=time,
        service=labels.service,
        release=labels.release,
        host=labels.host,
        arm=labels.arm,
        stacktrace=text,
    )
    language = resource.get("telemetry.sdk.language", "")
    crash.runtime = _RUNTIMES.get(language, language) or crash.runtime
    kind = attributes.get("exception.type", "")
    message = attributes.get("exception.message", "")
    crash.exception_type = shortened(kind, 1024) or crash.exception_type
    crash.exception_message = shortened(message, 8192) or crash.exception_message
    crash.thread = attributes.get("thread.name", "")
    crash.user = attributes.get("user.id") or attributes.get("enduser.id")
    crash.session = attributes.get("session.id")
    crash.trace = _text(fields.get("traceId")) or None
    return crash


def _log_line(
    fields: _Fields,
    attributes: dict[str, str],
    resource: Mapping[str, str],
    time_ms: int,
    origin: Origin,
) -> LogLine:
    labels = _labels(resource, origin)
    return LogLine(
        time=origin.time_ms(time_ms or origin.now_ms),
        service=labels.service,
        release=labels.release,
        host=labels.host,
        severity=_severity(fields),
        message=_said(fields.get("body")),
        trace=_text(fields.get("traceId")) or None,
        attributes=attributes,
    )


def _labels(resource: Mapping[str, str], origin: Origin) -> Labels:
    service = resource.get("service.name", "")
    # an SDK that was told no name says unknown_service:python
    told = "" if service.startswith(_UNNAMED) else service
    labels = origin.named(told, resource.get("service.version", ""), resource.get("host.name", ""))
    return labels if labels.service else dataclasses.replace(labels, service=service or _UNNAMED)


def _severity(fields: _Fields) -> str:
    """Of a number (four to each word) or else a text."""
    number = fields.get("severityNumber")
    if isinstance(number, int) and 1 <= number <= 24:
        return _SEVERITIES[(number - 1) // 4]
    return severity_of(fields.get("severityText") or "info")


def _leaves(body: bytes, *path: str) -> Iterator[tuple[Mapping[str, str], _Fields]]:
    """Each record with its resource's attributes.

    Raises:
        InvalidRecord: another shape, or too many.
    """
    outer, middle, inner = path
    try:
        request = msgspec.json.decode(body)
    except UNREADABLE as error:
        raise InvalidRecord("not json", str(error)) from error
    if not isinstance(request, dict) or (request and outer not in request):
        raise InvalidRecord("not an otlp request", f"expected an object with {outer}")
    count = 0
    for part in _objects(request.get(outer)):
        resource = _attributes(_object(part.get("resource")))
        for scope in _objects(part.get(middle)):
            for leaf in _objects(scope.get(inner)):
                count += 1
                if count > MAX_RECORDS:
                    raise InvalidRecord("too many records in a request", f"more than {MAX_RECORDS}")
                yield resource, leaf


def _object(value: object) -> _Fields:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRecord("not an otlp request", f"an object is {type(value).__name__}")
    return value


def _objects(value: object) -> list[_Fields]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRecord("not an otlp request", f"a list is {type(value).__name__}")
    return [_object(v) for v in value]


def _attributes(fields: _Fields) -> dict[str, str]:
    """Names to texts, of anything that has ``attributes``."""
    return {
        _text(pair.get("key")): _said(pair.get("value"))
        for pair in _objects(fields.get("attributes"))
    }


def _said(value: object) -> str:
    """A value of any type as text; lists and maps as JSON."""
    plain = _plain(value)
    if isinstance(plain, str):
        return plain
    return "" if plain is None else msgspec.json.encode(plain).decode()


def _plain(value: object) -> object:
    """What an ``AnyValue`` holds.

    >>> _plain({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "1"}}]}})
    {'a': '1'}
    """
    fields = _object(value)
    if "kvlistValue" in fields:
        pairs = _objects(_object(fields["kvlistValue"]).get("values"))
        return {_text(pair.get("key")): _plain(pair.get("value")) for pair in pairs}
    if "arrayValue" in fields:
        return [_plain(v) for v in _objects(_object(fields["arrayValue"]).get("values"))]
    for name in ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue"):
        if name in fields:
            return fields[name]
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _claimed_ms(fields: _Fields, name: str) -> int:
    """Epoch milliseconds of a field that holds nanoseconds; 0 where it holds none that can be."""
    try:
        return parse_time_ms(int(fields.get(name) or 0) // 1_000_000)
    except (InvalidRecord, ValueError, TypeError, OverflowError):
        return 0
