"""One JSON object to a record."""

from __future__ import annotations

import msgspec
import pytest

from contracts.errors import InvalidRecord
from contracts.foreign import decode_json, parse_time_ms
from contracts.records import Crash, Event, RecordKind

BASE = {"time": 1_700_000_000_000, "service.name": "s", "service.version": "1"}


def test_dotted_and_nested_names_mean_the_same() -> None:
    """Both spellings of OpenTelemetry's names give one record."""
    nested = {
        "time": "2023-11-14T22:13:20Z",
        "service": {"name": "s", "version": "1"},
        "http": {"response": {"status_code": 404}, "route": "/a"},
    }
    dotted = {**BASE, "http.response.status_code": 404, "http.route": "/a"}
    found = [decode_json(RecordKind.EVENTS, msgspec.json.encode(f)) for f in (nested, dotted)]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("fields", "ok"),
    [
        ({}, True),
        ({"http.response.status_code": 404}, True),
        ({"http.response.status_code": 500}, False),
        ({"http.response.status_code": 500, "ok": True}, True),
        ({"ok": False}, False),
    ],
)
def test_ok_follows_from_the_status_unless_it_is_said(
    fields: dict[str, object],
    ok: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A status of 500 and above is bad; the sender's own word wins."""
    record = decode_json(RecordKind.EVENTS, msgspec.json.encode({**BASE, **fields}))
    assert isinstance(record, Event)
    assert record.ok is ok


def test_a_crash_keeps_its_frames() -> None:
    """Structured frames of an SDK are read."""
    frames = [{"module": "m", "function": "f", "line": 3}]
    body = {**BASE, "exception.type": "KeyError", "frames": frames}
    record = decode_json(RecordKind.CRASHES, msgspec.json.encode(body))
    assert isinstance(record, Crash)
    assert (record.exception_type, record.frames[0].line) == ("KeyError", 3)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "not json"),
        (b"\xff\xfe", "not json"),
        (b"[]", "not a json object"),
        (b'{"service.name": "s", "service.version": "1"}', "wrong field"),
        (b'{"time": 1, "service.name": "s"}', "wrong field"),
        (b'{"time": "soon", "service.name": "s", "service.version": "1"}', "no time"),
        (b'{"time": 99999999999999, "service.name": "s"}', "time out of range"),
        (b'{"time": 1, "service.name": {"a": 1}, "service.version": "1"}', "wrong field"),
    ],
)
def test_what_is_no_record_is_refused_with_its_reason(payload: bytes, reason: str) -> None:
    """Every kind of garbage has a named reason."""
    with pytest.raises(InvalidRecord) as caught:
        decode_json(RecordKind.EVENTS, payload)
    assert caught.value.reason == reason


def test_times_without_a_zone_are_utc() -> None:
    """A naive time does not depend on the machine's zone."""
    assert parse_time_ms("2023-11-14T22:13:20") == parse_time_ms("2023-11-14T22:13:20+00:00")
