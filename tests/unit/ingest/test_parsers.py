from __future__ import annotations

import json
from typing import Any

import pytest

from contracts.records import Event, LogLine
from ingest.parsers.base import Labels, Parsed
from ingest.parsers.factory import parser_for
from ingest.settings import FileSource, Format, SourceKind, TimeSource

LABELS = Labels(service="shop", release="1.2", host="h1", arm="")
NOON = 1_795_428_000_000  # 2026-11-23T10:00:00Z


def parse(lines: list[bytes], **source: Any) -> Parsed:
    """Lines through the parser of a source."""
    return parser_for(FileSource(paths=["x"], **source)).parse(lines, LABELS, NOON + 5)


def combined(line: bytes) -> Event:
    """The event of one access-log line."""
    (event,) = parse([line], format=Format.COMBINED).records
    assert isinstance(event, Event)
    return event


def test_combined_line() -> None:
    """Time, route without query, status, bytes and user of an access-log line."""
    event = combined(
        b'10.0.0.1 - ann [23/Nov/2026:11:00:00 +0100] "GET /cart?id=1 HTTP/1.1" 503 12 "-" "curl"'
    )

    assert event == Event(
        time=NOON,
        service="shop",
        release="1.2",
        host="h1",
        route="/cart",
        status=503,
        ok=False,
        size_bytes=12,
        user="ann",
    )


@pytest.mark.parametrize(
    ("line", "route", "size"),
    [
        (rb'::1 - - [23/Nov/2026:10:00:00 +0000] "\x16\x03\x01" 400 -', "", 0),
        (b'h - - [23/Nov/2026:10:00:00 +0000] "-" 408 0 "-" "-"', "", 0),
        (b'h - - [23/Nov/2026:10:00:00 +0000] "" 400 5', "", 5),
        (rb'h - - [23/Nov/2026:10:00:00 +0000] "GET /a\"b HTTP/1.1" 200 5 "x\"y" "z"', '/a\\"b', 5),
        (b'h - - [23/Nov/2026:10:00:00 +0000] "GET http://a/b?c HTTP/1.0" 200 5', "/b", 5),
        (b'v:80 h - - [23/Nov/2026:10:00:00 +0000] "GET /v HTTP/1.1" 200 5 "-" "-"', "/v", 5),
        (b'h - a b [23/Nov/2026:10:00:00 +0000] "GET /u HTTP/1.1" 200 5 "-" "-" 0.12', "/u", 5),
        (b'h - - [23/Nov/2026:10:00:00 +0000] "GET /\xff HTTP/1.1" 200 5', "/\\xff", 5),
    ],
)
def test_combined_lines_that_real_servers_write(line: bytes, route: str, size: int) -> None:
    """Garbage requests, quotes, proxies, virtual hosts and bytes that are no text all parse."""
    event = combined(line)

    assert (event.route, event.size_bytes) == (route, size)


def test_combined_duration() -> None:
    """Nginx's $request_time after the user agent becomes milliseconds when the config says so."""
    line = b'h - - [23/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-" 0.250'

    (event,) = parse([line], format=Format.COMBINED, fields={"extra": "duration_s"}).records

    assert isinstance(event, Event)
    assert event.duration_ms == 250


def test_combined_rejects_with_reason() -> None:
    """A line that is none is named by its place and reason; its neighbours are records."""
    good = b'h - - [23/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5'

    parsed = parse([good, b"hello", good], format=Format.COMBINED)

    assert len(parsed.records) == 2
    assert [(r.line, r.reason) for r in parsed.rejected] == [(1, "not an access log line")]


JSON_SHAPES: dict[str, dict[str, object]] = {
    "dotted": {
        "time": "2026-11-23T10:00:00.250Z",
        "service.name": "pay",
        "http.route": "/cart",
        "http.response.status_code": 500,
        "duration_ms": 12.5,
        "user.id": "u1",
    },
    "nested": {
        "time": NOON + 250,
        "service": {"name": "pay"},
        "http": {"route": "/cart", "response": {"status_code": 500}},
        "duration_ms": 12.5,
        "user": {"id": "u1"},
    },
    "short": {
        "ts": "2026-11-23T11:00:00.250+01:00",
        "service": "pay",
        "route": "/cart",
        "status": 500,
        "duration_s": 0.0125,
        "user": "u1",
    },
    "texts": {
        "timestamp": str(NOON + 250),
        "service": "pay",
        "route": "/cart",
        "status": "500",
        "duration_ms": "12.5",
        "user_id": "u1",
    },
    "mapped": {
        "when": "2026-11-23T10:00:00.250Z",
        "app": "pay",
        "req": {"path": "/cart"},
        "code": 500,
        "took": 12500,
        "who": "u1",
        "status": "fine",
    },
}
MAPPING = {
    "when": "time",
    "app": "service",
    "req.path": "route",
    "code": "status",
    "took": "duration_us",
    "who": "user.id",
    "status": "note",
}


@pytest.mark.parametrize("shape", JSON_SHAPES)
@pytest.mark.parametrize("neighbour", [None, b"not json"])
def test_json_shapes_give_the_same_event(shape: str, neighbour: bytes | None) -> None:
    """Dotted, nested, short, textual and mapped names mean the same, whether a batch is decoded
    at once or, because of a bad line in it, line by line.
    """
    lines = [json.dumps(JSON_SHAPES[shape]).encode()] * 2 + ([neighbour] if neighbour else [])
    fields = MAPPING if shape == "mapped" else {}

    parsed = parse(lines, fields=fields)

    expected = Event(
        time=NOON + 250,
        service="pay",
        release="1.2",
        host="h1",
        route="/cart",
        status=500,
        ok=False,
        duration_ms=12.5,
        user="u1",
    )
    assert parsed.records == [expected, expected]
    assert [r.line for r in parsed.rejected] == ([2] if neighbour else [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not json"),
        (b"[1]", "not a json object"),
        (b'{"time": 1}{"time": 2}', "not json"),
        (b'{"status": 200}', "no time"),
        (b'{"time": "yesterday", "status": 200}', "no time"),
        (b'{"time": 99999999999999, "status": 200}', "time out of range"),
        (b'{"time": 1, "status": "many"}', "wrong field"),
        (b'{"time": 1, "status": 99999}', "wrong field"),
        (b'{"time": 1, "size_bytes": -1}', "wrong field"),
        (b'{"time": 1, "duration_s": "slow"}', "wrong field"),
        (b"{" * 5000, "not json"),
        (b"\xff\xfe", "not json"),
    ],
)
def test_json_lines_that_are_no_events(line: bytes, reason: str) -> None:
    """Each is rejected with a stable reason and does not touch its neighbours."""
    good = b'{"time": 1795428000000}'

    parsed = parse([good, line, good])

    assert len(parsed.records) == 2
    assert [(r.line, r.reason) for r in parsed.rejected] == [(1, reason)]


def test_the_path_is_a_default_for_what_the_line_says() -> None:
    """A service in the line wins over the labels of its file."""
    parsed = parse([b'{"time": 1, "service": "a"}', b'{"time": 1}'])

    assert [r.service for r in parsed.records] == ["a", "shop"]


def test_read_time_only_when_asked_for() -> None:
    """Lines without a time get the time of reading only if the source says so."""
    parsed = parse([b'{"status": 200}'], time=TimeSource.INGEST)

    assert [r.time for r in parsed.records] == [NOON + 5]


def test_logfmt() -> None:
    """Quoted values, short names and the lines joined to the first one."""
    line = b'ts=2026-11-23T10:00:00Z level=WARN msg="disk \\"a\\" full" trace_id=t1\n  more'

    (log,) = parse([line], kind=SourceKind.LOGS, format=Format.LOGFMT).records

    assert log == LogLine(
        time=NOON,
        service="shop",
        release="1.2",
        host="h1",
        severity="warning",
        message='disk "a" full\n  more',
        trace="t1",
    )


def test_regex_with_time_format() -> None:
    """A broker's log: time with a comma and milliseconds, severity, message with its trace."""
    line = b"[2026-11-23 10:00:00,569] WARN went away (kafka.Log)\n\tat a.B.c(B.scala:1)"

    (log,) = parse(
        [line],
        kind=SourceKind.LOGS,
        format=Format.REGEX,
        pattern=r"\[(?P<time>[^\]]+)\] (?P<severity>\w+) (?P<message>.*)",
        time_format="%Y-%m-%d %H:%M:%S,%f",
    ).records

    assert isinstance(log, LogLine)
    assert (log.time, log.severity) == (NOON + 569, "warning")
    assert log.message == "went away (kafka.Log)\n\tat a.B.c(B.scala:1)"


def test_times_without_a_zone_are_in_the_source_s_zone() -> None:
    """``timezone`` is used where a time names none."""
    parsed = parse([b'{"time": "2026-11-23 11:00:00"}'], timezone="Europe/Berlin")

    assert [r.time for r in parsed.records] == [NOON]


@pytest.mark.parametrize(
    ("written", "time_format"),
    [(NOON // 1000, "epoch_s"), (f"{NOON / 1000:.3f}", "epoch_s"), (NOON * 1000, "epoch_us")],
)
def test_epoch_units(written: object, time_format: str) -> None:
    """Seconds and microseconds become milliseconds."""
    parsed = parse([json.dumps({"time": written}).encode()], time_format=time_format)

    assert [r.time for r in parsed.records] == [NOON]


def test_plain_lines() -> None:
    """The whole line is the message; a severity word near its start is believed."""
    parsed = parse([b"ERROR no disk", b"caf\xe9"], kind=SourceKind.LOGS, format=Format.PLAIN)

    assert [(r.severity, r.message) for r in parsed.records if isinstance(r, LogLine)] == [
        ("error", "ERROR no disk"),
        ("info", "caf\\xe9"),
    ]
