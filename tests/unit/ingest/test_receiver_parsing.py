"""Envelopes and exports of OpenTelemetry, as SDKs write them, to records."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from contracts.errors import InvalidRecord
from contracts.records import Crash, Event, LogLine
from ingest.parsers.base import Labels
from ingest.receiver.envelope import MAX_ITEMS, read_envelope
from ingest.receiver.intake import Seen
from ingest.receiver.origin import Origin
from ingest.receiver.otlp import MAX_RECORDS, read_logs, read_traces
from ingest.receiver.sentry import MAX_SESSIONS, read_envelope_request, read_store
from tests.support.envelopes import envelope_of

NOW = 1_795_428_000_000
HERE = Origin(Labels(host="h"), NOW, "1")
TRACE = "5b8efff798038103d269b633813fc60c"


def test_items_end_with_their_length_or_their_line() -> None:
    """Both forms mixed, a payload with newlines, newlines at the end, none at the end."""
    first = b'{"event_id":"a"}\n{"type":"event"}\n{"x":1}\n'
    second = b'{"type":"attachment","length":5}\n1\n2\n3\n'
    found = read_envelope(first + second + b"\n\n")
    assert found.headers == {"event_id": "a"}
    assert found.items == [("event", b'{"x":1}'), ("attachment", b"1\n2\n3")]
    assert read_envelope(first + second.rstrip(b"\n")).items == found.items
    assert read_envelope(b"{}").items == []
    assert read_envelope(b'{}\n{"type":"session","length":0}\n\n').items == [("session", b"")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not an envelope"),
        (b"[]\n", "not an envelope"),
        (b"{}\nhello\n", "not an envelope"),
        (b'{}\n{"type":"event","length":9}\n{}', "envelope is cut"),
        (b'{}\n{"type":"event","length":1}\n{}\n', "wrong length of an item"),
        (b'{}\n{"type":"event","length":-1}\n{}\n', "wrong length of an item"),
        (b'{}\n{"type":"event","length":"2"}\n{}\n', "wrong length of an item"),
        (b"{}\n" + b"{}\n\n" * (MAX_ITEMS + 1), "too many items in an envelope"),
    ],
)
def test_what_is_no_envelope(body: bytes, reason: str) -> None:
    """Refused with a reason of few words."""
    with pytest.raises(InvalidRecord) as error:
        read_envelope(body)
    assert error.value.reason == reason


def _event(**fields: Any) -> dict[str, Any]:
    exception = {"values": [{"type": "TypeError", "value": "x is not a function"}]}
    return {"event_id": "a" * 32, "timestamp": NOW / 1000, "exception": exception, **fields}


def _crash(origin: Origin = HERE, **fields: Any) -> Crash:
    [group] = read_store(msgspec.json.encode(_event(**fields)), origin).groups
    [crash] = group.records
    assert isinstance(crash, Crash)
    return crash


@pytest.mark.parametrize(
    ("fields", "labels", "service", "release"),
    [
        ({"release": "shop@1.2"}, Labels(), "shop", "1.2"),
        ({"release": "com.acme.shop@1.2+45"}, Labels(service="shop"), "shop", "1.2+45"),
        ({"release": "1.2", "tags": {"service.name": "cart"}}, Labels(service="s"), "cart", "1.2"),
        ({"release": "@acme/shop@1.2"}, Labels(service="shop"), "shop", "@acme/shop@1.2"),
        ({}, Labels(release="7"), "project-1", "7"),
    ],
)
def test_service_and_release(
    fields: dict[str, Any], labels: Labels, service: str, release: str
) -> None:
    """The event first, then the configuration, then the release's package, then the project."""
    crash = _crash(Origin(labels, NOW, "1"), **fields)
    assert (crash.service, crash.release) == (service, release)


def test_wrong_clocks_are_set_right() -> None:
    """An hour behind is mended by what the envelope says it was sent at; no time is to come."""
    hour_ms = 3_600_000
    item = ("event", _event(timestamp=(NOW - hour_ms - 5_000) / 1000))
    for sent_at, expected in (("2026-11-23T09:00:00Z", NOW - 5_000), ("soon", None)):
        body = envelope_of(item, headers={"sent_at": sent_at})
        [group] = read_envelope_request(body, HERE).groups
        assert group.records[0].time == (NOW - hour_ms - 5_000 if expected is None else expected)
    assert _crash(timestamp=(NOW + hour_ms) / 1000).time == NOW


def test_what_nobody_asked_for_is_counted() -> None:
    """By the name of the item; a harmless message and an update of a session too."""
    body = envelope_of(
        ("transaction", {}), ("client_report", {}), ("client_report", {}),
        ("event", {"message": "hello", "level": "info"}), ("session", {"sid": "a"}),
    )  # fmt: skip
    received = read_envelope_request(body, HERE)
    assert received.groups == []
    assert received.refused == []
    assert received.ignored == {
        "transaction": 1, "client_report": 2, "message": 1, "session update": 1
    }  # fmt: skip


def test_sessions_are_bounded() -> None:
    """A count that nobody could have had is refused before anything is made of it."""
    counts = {"aggregates": [{"exited": MAX_SESSIONS + 1}]}
    received = read_envelope_request(envelope_of(("sessions", counts)), HERE)
    assert [part.error.reason for part in received.refused] == ["too many sessions"]
    assert received.groups == []


def test_equal_counts_of_two_processes_are_two() -> None:
    """The same words at another moment; only a second try is the same in every byte."""
    counts = ("sessions", {"aggregates": [{"exited": 1}]})
    first, second = (
        read_envelope_request(envelope_of(counts, headers={"sent_at": NOW + i}), HERE).groups[0]
        for i in (0, 1)
    )
    assert first.key
    assert first.key != second.key
    assert isinstance(first.records[0], Event)


def _value(text: str) -> dict[str, Any]:
    return {"stringValue": text}


def _attributes(**named: str) -> list[dict[str, Any]]:
    return [{"key": k.replace("_", "."), "value": _value(v)} for k, v in named.items()]


_RESOURCE = {
    "attributes": [
        *_attributes(service_name="shop", service_version="1.2", host_name="web-7"),
        *_attributes(telemetry_sdk_language="python"),
    ]
}
_STACK = (
    'Traceback (most recent call last):\n  File "/srv/app.py", line 7, in pay\n'
    "    charge()\nValueError: no\n"
)


def _logs(*records: dict[str, Any], resource: dict[str, Any] | None = None) -> bytes:
    scope = {"scope": {"name": "x"}, "logRecords": list(records)}
    part = {"resource": _RESOURCE if resource is None else resource, "scopeLogs": [scope]}
    return msgspec.json.encode({"resourceLogs": [part]})


def test_an_exception_in_a_log_is_a_crash() -> None:
    """Labels of the resource, frames of the trace, the runtime of the SDK."""
    attributes = _attributes(
        exception_type="shop.PaymentError",
        exception_message="no",
        exception_stacktrace=_STACK,
        thread_name="T1",
        user_id="ann",
    )
    record = {
        "timeUnixNano": str((NOW - 5) * 1_000_000),
        "severityNumber": 17,
        "body": _value("failed"),
        "traceId": TRACE,
        "attributes": attributes,
    }
    [group] = read_logs(_logs(record), HERE).groups
    assert group.key
    assert group.records == [
        Crash(
            time=NOW - 5, service="shop", release="1.2", host="web-7", runtime="python",
            exception_type="shop.PaymentError", exception_message="no", stacktrace=_STACK,
            frames=group.records[0].frames, thread="T1", user="ann", trace=TRACE,  # type: ignore[union-attr]
        )
    ]  # fmt: skip
    assert [f.function for f in group.records[0].frames] == ["pay"]


def test_other_logs_are_log_lines() -> None:
    """Severity by number or word, values of all types as text, a time of receipt where none is."""
    record = {
        "severityText": "WARN",
        "body": {"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "1"}}]}},
        "attributes": [
            {"key": "n", "value": {"intValue": "5"}},
            {"key": "b", "value": {"boolValue": True}},
            {"key": "l", "value": {"arrayValue": {"values": [_value("x"), {"doubleValue": 0.5}]}}},
        ],
    }
    timed = {"observedTimeUnixNano": NOW * 1_000_000, "severityNumber": 9, "body": _value("hi")}
    [group] = read_logs(_logs(record, timed), HERE).groups
    first, second = group.records
    assert isinstance(first, LogLine)
    assert (first.severity, first.message, first.time) == ("warning", '{"a":"1"}', NOW)
    assert first.attributes == {"n": "5", "b": "true", "l": '["x",0.5]'}
    assert isinstance(second, LogLine)
    assert (second.severity, second.message, second.time) == ("info", "hi", NOW)
    assert not group.key  # the first names no time: the same again may be another one


def test_a_service_without_a_name_gets_the_configured_one() -> None:
    """SDKs that were told none say unknown_service."""
    resource = {"attributes": _attributes(service_name="unknown_service:node")}
    for labels, service in ((Labels(), "unknown_service:node"), (Labels(service="a"), "a")):
        body = _logs({"body": _value("x")}, resource=resource)
        [group] = read_logs(body, Origin(labels, NOW)).groups
        assert group.records[0].service == service


def test_an_exception_counts_once_in_a_trace() -> None:
    """It is noted in every span that it passes; spans without one are passed over."""
    attributes = _attributes(exception_type="E", exception_message="m")
    event = {"name": "exception", "timeUnixNano": str(NOW * 1_000_000), "attributes": attributes}
    spans = [
        {"traceId": TRACE, "name": "inner", "events": [event, {"name": "retry"}]},
        {"traceId": TRACE, "name": "outer", "events": [event]},
        {"traceId": TRACE, "name": "other"},
    ]
    part = {"resource": _RESOURCE, "scopeSpans": [{"spans": spans}]}
    received = read_traces(msgspec.json.encode({"resourceSpans": [part]}), HERE)
    assert received.ignored == {"span": 1}
    first, second = received.groups
    assert first.key == second.key
    [crash] = first.records
    assert isinstance(crash, Crash)
    assert (crash.exception_type, crash.trace, crash.runtime) == ("E", TRACE, "python")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "not json"),
        (b"[]", "not an otlp request"),
        (b'{"resourceSpans":[]}', "not an otlp request"),
        (b'{"resourceLogs":{}}', "not an otlp request"),
        (b'{"resourceLogs":[1]}', "not an otlp request"),
        (_logs(*[{}] * (MAX_RECORDS + 1)), "too many records in a request"),
    ],
)
def test_what_is_no_export(body: bytes, reason: str) -> None:
    """Refused as a whole."""
    with pytest.raises(InvalidRecord) as error:
        read_logs(body, HERE)
    assert error.value.reason == reason


def test_an_empty_export_is_none() -> None:
    """As an exporter sends to see whether anybody listens."""
    assert read_logs(b"{}", HERE).groups == []


def test_the_window_of_keys_is_bounded() -> None:
    """The oldest are forgotten."""
    keys = [bytes([i]) * 8 for i in range(5)]
    seen = Seen(b"".join(keys[:3]), 3)
    seen.add(b"".join(keys[3:]))
    assert [key in seen for key in keys] == [False, False, True, True, True]


def test_bytes_are_text() -> None:
    """A body of bytes stays base64, as it came."""
    raw = base64.b64encode(b"\0\1").decode()
    [group] = read_logs(_logs({"body": {"bytesValue": raw}}), HERE).groups
    assert isinstance(group.records[0], LogLine)
    assert group.records[0].message == raw
