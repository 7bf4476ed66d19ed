"""Many JSON objects read at once mean what each of them means alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import arrow, foreign
from contracts.arrivals import MAX_AHEAD_MS, from_the_future
from contracts.errors import InvalidRecord
from contracts.json_columns import decode_all
from contracts.records import RecordKind, type_of_kind

NOW = 1_700_000_000_000
Member = tuple[bytes, bytes]
"""A name and its value, as they stand in JSON."""

TEXTS = st.text(max_size=12).map(msgspec.json.encode)
NUMBERS = st.one_of(st.integers(), st.integers(0, 999), st.floats(width=32)).map(
    lambda number: repr(number).encode()  # nan and inf among them
)
MOMENTS = st.builds(
    lambda ms, us, offset: (
        datetime.fromtimestamp((NOW + ms) // 1000, UTC)
        .replace(microsecond=us)
        .astimezone(timezone(timedelta(minutes=offset)))
    ),
    st.integers(-(10**9), MAX_AHEAD_MS),
    st.one_of(st.integers(0, 999_999), st.integers(0, 1999).map(lambda n: n * 500)),
    st.integers(-1439, 1439),
)
TIMES = st.one_of(
    st.integers(NOW - 10**6, NOW + 2 * MAX_AHEAD_MS).map(lambda ms: b"%d" % ms),
    st.floats(0, 5e12).map(lambda ms: repr(ms).encode()),
    st.sampled_from(["milliseconds", "microseconds", "auto", "seconds", "minutes"]).flatmap(
        lambda spec: MOMENTS.map(lambda moment: f'"{moment.isoformat("T", spec)}"'.encode())
    ),
    MOMENTS.map(lambda moment: moment.astimezone(UTC).strftime('"%Y-%m-%dT%H:%M:%S.%fZ"').encode()),
    MOMENTS.map(lambda moment: moment.strftime('"%Y-%m-%d %H:%M:%S"').encode()),
    st.sampled_from(
        b'"" "soon" "1700000000000" "2023" "2023-11-14" "20231114T221320Z" "2023-11-14T22:13Z" '
        b'"2023-11-14T22:13:60Z" "2023-11-14T24:00:00Z" "2023-02-30T00:00:00Z" -1 -0.5 0 1e12 '
        b'"2023-11-14T22:13:20.123456789Z" "2023-11-14T22:13:20,5Z" "2023-11-14T22:13:20+01" '
        b'"2023-11-14T22:13:20z" "2023-11-14T22:13:20.1Z" "1969-12-31T23:59:59Z" 1e400 '
        b'"2100-01-01T00:00:00Z" 4102444800000 true null {} [1] 99999999999999999999 '
        b'"2023-W46-2T10:00:00Z" "2023-318T10:00:00Z" "0000-01-01T00:00:00Z" '
        b'"\xd9\xa1\xd9\xa7" "2023-11-14T22:13:20+25:00" "2023-11-14T22:13:20Z "'.split(b" ")
    ),
)
ODD = st.sampled_from(
    [
        *b"null true false {} [] -0 1e400 -1e309 0e999 1.0 1.5 NaN Infinity 040 +1 .5 tru".split(),
        *rb'"null" "NULL" "true" "1" "0" "200" "1.0" "1e2" "nan" "inf" "\ud800" "\u0000"'.split(),
        *rb'{"a":1} {"a":"b"} {"a":{"b":1e400}} {"version":"9"} {"status_code":500} [{"a":1}]'
        .split(),
        *rb'[{"module":"m","line":3}] [{"line":"3","in_app":1}] [{"x":1}] [null] {"a":1,"a":2}'
        .split(),
        b"9" * 30, b"9" * 400, b"9" * 5000, b'"\xff"', b'"\xed\xa0\x80"', b'"a\nb"',
        b"[" * 3000 + b"]" * 3000, b'{"a":' * 1200 + b"1" + b"}" * 1200, b"",
    ]
)  # fmt: skip
VALUES = st.one_of(TEXTS, NUMBERS, ODD)
BY_TYPE: dict[object, st.SearchStrategy[bytes]] = {
    str: TEXTS,
    str | None: TEXTS,
    bool: st.sampled_from([*b"true false null 1 0".split(), b'"false"']),
    int: st.integers(-1, 600).map(lambda number: b"%d" % number),
}
"""What a field of a type is good for; others take any number."""
OTHER_NAMES = st.sampled_from(
    rb'"x" "" "service" "http" "http.response" "host" "user" "exception" "attributes" "frames" '
    rb'"event" "TIME" "t\u0069me" "ok" "arm" "service.name.x" "\xff" "process" "a.attributes"'
    .split()
).map(lambda name: name.replace(rb"\xff", b"\xff"))  # fmt: skip
BREAKS = st.sampled_from([b"", b" ", b"\n", b"\t", b"\r\n "])
WHOLE = st.sampled_from(
    [b"", b" ", b"null", b"[]", b"{}", b"1", b'"x"', b"{", b'{"time":', b"\xff", b"{}{}", b"\x00",
     b"{},{}", b'{"time":1', b"\xef\xbb\xbf{}"]
)  # fmt: skip


@st.composite
def objects(draw: st.DrawFn, kind: RecordKind) -> bytes:
    """An object that is good, or nearly: of its members one at most is odd."""
    fields = {field.name: field for field in msgspec.structs.fields(type_of_kind[kind])}
    chosen = [name for name, field in fields.items() if field.required]
    chosen += draw(st.lists(st.sampled_from(sorted(fields)), max_size=3))
    members = [
        (
            f'"{fields[name].encode_name}"'.encode(),
            draw(TIMES if name == "time" else BY_TYPE.get(fields[name].type, NUMBERS)),
        )
        for name in chosen
    ]
    odd = draw(st.integers(0, 5))
    if odd == 0:
        names = st.one_of(OTHER_NAMES, st.sampled_from([name for name, _ in members]))
        members.append((draw(names), draw(VALUES)))
    elif odd == 1:
        members.pop(draw(st.integers(0, len(members) - 1)))
    gap = draw(BREAKS)
    body = (b"," + gap).join(name + gap + b":" + gap + value for name, value in members)
    return gap + b"{" + body + b"}" + gap


def one_at_a_time(
    kind: RecordKind, payloads: list[bytes], arrivals_ms: list[int]
) -> tuple[list[pa.RecordBatch], dict[int, InvalidRecord]]:
    """What ``decode_json`` says about each."""
    batches, refused = [], {}
    for number, (payload, arrival_ms) in enumerate(zip(payloads, arrivals_ms, strict=True)):
        try:
            record = foreign.decode_json(kind, payload)
            if record.time > arrival_ms + MAX_AHEAD_MS:
                raise from_the_future()
            record.time = min(record.time, arrival_ms)
            batches.append(arrow.batch_from_records(kind, [record]))
        except InvalidRecord as error:
            refused[number] = error
    return batches, refused


def said(errors: dict[int, InvalidRecord]) -> dict[int, tuple[str, str]]:
    """Reasons and details, which can be compared."""
    return {number: (error.reason, error.detail) for number, error in errors.items()}


@settings(max_examples=120)
@given(st.sampled_from(RecordKind), st.data())
def test_at_once_is_as_one_at_a_time(kind: RecordKind, data: st.DataObject) -> None:
    """The same objects are taken, with the same values; the others for the same reasons."""
    some = st.one_of(objects(kind), objects(kind), objects(kind), WHOLE)
    payloads = data.draw(st.lists(some, max_size=6))
    arrivals_ms = [NOW] * len(payloads)
    batches, refused = one_at_a_time(kind, payloads, arrivals_ms)
    found = decode_all(kind, payloads, arrivals_ms)
    assert said(found.refused) == said(refused)
    assert found.batch.schema == arrow.schemas[kind]
    expected = [row for batch in batches for row in batch.to_pylist()]
    assert repr(found.batch.to_pylist()) == repr(expected)  # nan equals nan


BASE = b'"service.name":"s","service.version":"1"'
EDGES = [
    (b'{"time":%d,%s,"ok":null}' % (NOW, BASE), "wrong field"),
    (b'{"time":true,%s}' % BASE, "no time"),
    (b'{"time":4102444800000,%s}' % BASE, "time out of range"),
    (b'{"time":4102444799999,%s}' % BASE, "time in the future"),
    (b'{"time":%d,%s}' % (NOW + MAX_AHEAD_MS + 1, BASE), "time in the future"),
    (
        b'{"time":%d,%s,"http.response.status_code":99999}' % (NOW + 10**9, BASE),
        "time in the future",
    ),
    (
        b'{"time":%d,%s,"http.response.status_code":99999}' % (NOW, BASE),
        "value does not fit its column",
    ),
    (b'{"time":%d,%s,"x":1e400}' % (NOW, BASE), "not json"),
    (b'{"time":%d,%s,"x":"\xff"}' % (NOW, BASE), "not json"),
    (b'{"time":%d,%s},{"time":%d,%s}' % (NOW, BASE, NOW, BASE), "not json"),
    (b"", "not json"),
]
GOOD = [
    b'{"time":%d,%s}' % (NOW + MAX_AHEAD_MS, BASE),
    b'{"time":"2023-11-14T22:13:20.0005Z",%s,"http.response.status_code":500}' % BASE,
    b'{"time":%d,"service":{"name":"s","version":"1"},"http":{"response":{"status_code":500}}}'
    % NOW,
    b'{"time":%d,%s,"http.response.status_code":500,"ok":true,"x":{"y":[1]}}' % (NOW, BASE),
    b'{"time":0,%s,"time":"%d","user.id":{"a":1}}' % (BASE, NOW),
]


def test_edges_are_refused_alone() -> None:
    """Each with its own reason, among good ones that are all taken, in their order."""
    payloads = [one for bad, _ in EDGES for one in (*GOOD, bad)]
    arrivals_ms = [NOW] * len(payloads)
    found = decode_all(RecordKind.EVENTS, payloads, arrivals_ms)
    batches, refused = one_at_a_time(RecordKind.EVENTS, payloads, arrivals_ms)
    assert [error.reason for error in found.refused.values()] == [reason for _, reason in EDGES]
    assert said(found.refused) == said(refused)
    alone = [decode_all(RecordKind.EVENTS, [bad], [NOW]).refused[0] for bad, _ in EDGES]
    assert [error.reason for error in alone] == [reason for _, reason in EDGES]
    assert found.batch.to_pylist() == [row for batch in batches for row in batch.to_pylist()]
    assert found.batch.column("ok").to_pylist()[: len(GOOD)] == [True, False, False, True, True]


def test_nothing_is_left_where_all_are_refused_after_their_columns_were_made() -> None:
    """Several values that fit no column, and no good one beside them."""
    payloads = [b'{"time":1699999000000,"host.name":"h","open_files":2147483648}'] * 3
    found = decode_all(RecordKind.HOSTS, payloads, [NOW] * 3)
    assert list(found.refused) == [0, 1, 2]
    assert found.batch.num_rows == 0
    assert found.batch.schema == arrow.schemas[RecordKind.HOSTS]
