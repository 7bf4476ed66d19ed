"""Many lines at once become the same records as each line by itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidRecord
from ingest.parsers.base import Labels, Parsed, Parser
from ingest.parsers.factory import parser_for
from ingest.parsers.times import TimeParser
from ingest.settings import FileSource, Format, SourceKind

LABELS = Labels(service="shop", release="1", host="h", arm="a")
NOON = 1_795_428_000_000
MAPPING = {"took": "duration_us", "ref": "trace", "req.path": "route"}
VALUES: dict[str, st.SearchStrategy[object]] = {
    "time": st.sampled_from([NOON, "2026-11-23T10:00:00.1239Z", "2026-11-23 10:00:00", "x", None]),
    "service": st.sampled_from(["pay", "", None]),
    "status": st.sampled_from([200, 503, None, "404", 1000, 2.5]),
    "duration_ms": st.sampled_from([1, 2.5, None, "3"]),
    "took": st.sampled_from([1500, None, "slow"]),
    "size_bytes": st.sampled_from([0, 17, -1, 1 << 63, None]),
    "ok": st.sampled_from([True, False, None]),
    "user": st.sampled_from(["u", "", 7, None]),
    "ref": st.sampled_from(["t", 8]),
    "method": st.sampled_from(["GET", 1, [2], {"a": 1}]),
    "req": st.sampled_from([{"path": "/a"}, None, "x"]),
    'o"dd': st.just(1),
}
OBJECTS = st.dictionaries(st.sampled_from([*VALUES]), st.none(), max_size=6).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
)
JSON_LINES = st.one_of(
    OBJECTS.map(lambda found: json.dumps({"time": NOON, **found}).encode()),
    st.sampled_from([b"{}", b"{", b"[1]", b'{"time": 1}{"time": 2}', b'{"time": 1, "x": "\xff"}']),
)
COMBINED_LINES = st.builds(
    '{}{} - {} [{}] "{}" {} {}{}'.format,
    st.sampled_from(["", "v:80 ", "v.example:8080 "]),
    st.sampled_from(["10.0.0.1", "::1", "h:1"]),
    st.sampled_from(["-", "ann", "a b", "x[y]"]),
    st.sampled_from(["23/Nov/2026:10:00:00 +0000", "23/Nov/2026:11:00:00 +0100", "never", ""]),
    st.sampled_from(
        ["GET /cart?id=1 HTTP/1.1", "GET /a", "-", "", r"\x16\x03", r"GET /a\"b HTTP/1.1",
         "GET http://a/b?c HTTP/1.0", "GET /to/http://x HTTP/1.1", "GET /a b HTTP/1.1",
         "G1T /a HTTP/1.1", "GET /" + "x" * 1100 + " HTTP/1.1", "GET /a#b?c HTTP/2.0"]
    ),
    st.sampled_from(["200", "503", "-", "20"]),
    st.sampled_from(["5", "-", "9" * 18, "9" * 19]),
    st.sampled_from(["", ' "-" "curl"', ' "-" "x\\"y" 0.25', ' "-" "z" 0.5 1', " 7"]),
).map(str.encode)  # fmt: skip


def singly(parser: Parser, lines: list[bytes]) -> list[tuple[list[object], list[object]]]:
    """What a parser makes of each line by itself."""
    return [made(parser.parse([line], LABELS, NOON)) for line in lines]


def made(parsed: Parsed) -> tuple[list[object], list[object]]:
    """Records, and reasons of what was rejected."""
    return list(parsed.records), [r.reason for r in parsed.rejected]


def assert_same(lines: list[bytes], **source: Any) -> None:
    """All lines together give what each one gives."""
    together = parser_for(FileSource(paths=["x"], **source)).parse(lines, LABELS, NOON)
    each = singly(parser_for(FileSource(paths=["x"], **source)), lines)
    assert together.records == [record for records, _ in each for record in records]
    wrong = [(i, reason) for i, (_, reasons) in enumerate(each) for reason in reasons]
    assert [(r.line, r.reason) for r in together.rejected] == wrong


@given(st.lists(JSON_LINES, max_size=40))
def test_json_events_together_or_singly(lines: list[bytes]) -> None:
    """Names that come and go, nested objects, wrong values and garbage between good lines."""
    assert_same([line for line in lines if b"\xff" not in line], fields=MAPPING)


@given(st.lists(COMBINED_LINES, max_size=40))
def test_access_lines_together_or_singly(lines: list[bytes]) -> None:
    """Every shape of an access log line beside every other."""
    assert_same(lines, format=Format.COMBINED, fields={"extra": "duration_s"})


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_plain_lines_together_or_singly(lines: list[bytes]) -> None:
    """Any bytes."""
    assert_same(lines, kind=SourceKind.LOGS, format=Format.PLAIN)


@pytest.mark.parametrize("at", [0, 17, 998, 999])
def test_one_bad_line_among_many(at: int) -> None:
    """It alone is rejected, by its place; its neighbours stay in order."""
    lines = [json.dumps({"time": NOON + n, "user": f"u{n}"}).encode() for n in range(1000)]
    lines[at] = b'{"time": "never"}'

    parsed = parser_for(FileSource(paths=["x"])).parse(lines, LABELS, NOON)

    assert [(r.line, r.reason) for r in parsed.rejected] == [(at, "no time")]
    assert parsed.rows.column("time") == [NOON + n for n in range(1000) if n != at]


TEXTS = st.one_of(
    st.builds(
        lambda seconds, zone, digits, form: (
            datetime.fromtimestamp(seconds, UTC)
            .astimezone(timezone(timedelta(minutes=zone)))
            .isoformat(form)
            .replace("+", f"{digits}+")
        ),
        st.integers(0, 4_102_444_799),
        st.integers(0, 840),
        st.sampled_from(["", ".1", ".123", ",5", ".1239", ".999999999", ".1234567890"]),
        st.sampled_from(["T", " "]),
    ),
    st.sampled_from(["2026-11-23", "2026-11-23T10", "20261123T100000Z", "23:59:60", " 2026-11-23",
                     "2026-11-23T10:00:00", "1795428000000", "1969-12-31T23:59:59.5Z", "x", ""]),
)  # fmt: skip


@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_times_together_or_singly(texts: list[str]) -> None:
    """Arrow reads the times that it can read as Python does, and leaves the others to it."""
    parser = TimeParser()
    try:
        singly = [parser.parse(text) for text in texts]
    except InvalidRecord:
        with pytest.raises(InvalidRecord):
            parser.parse_all(texts)
    else:
        assert parser.parse_all(texts) == singly
