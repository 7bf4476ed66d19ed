"""Files of recorded telemetry."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from contracts import arrow
from contracts.errors import ConfigError
from contracts.records import Crash, Event, Record, RecordKind
from streams.recordings import batches_of
from streams.set_aside import SetAside

START = 1_700_000_000_000
CODECS = ["", "gzip", "zstd", "bz2", "lz4"]


def _event(number: int) -> Event:
    return Event(
        time=START + number * 7,
        service="checkout",
        release="1.5.0" if number % 3 else "1.4.2",
        host=f"h{number % 5}",
        status=500 if number % 11 == 0 else 200,
        ok=number % 11 != 0,
        duration_ms=float(number % 97),
        session=f"s{number % 50}" if number % 2 else None,
    )


EVENTS = [_event(number) for number in range(3000)]
BATCH = arrow.batch_from_records(RecordKind.EVENTS, EVENTS)


def _json_lines() -> bytes:
    lines = [msgspec.to_builtins(event) for event in EVENTS]
    known = [{k: v for k, v in fields.items() if v is not None and k != "ok"} for fields in lines]
    return b"".join(msgspec.json.encode(fields) + b"\n" for fields in known)


def _arrow_file() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, BATCH.schema) as writer:
        writer.write_batch(BATCH)
    return bytes(sink.getvalue())


def _arrow_stream() -> bytes:
    return arrow.encode(BATCH)


FORMATS: dict[str, Callable[[], bytes]] = {
    "events.jsonl": _json_lines,
    "events.arrow": _arrow_file,
    "events.arrows": _arrow_stream,
}


def _written(path: Path, content: bytes, codec: str = "") -> Path:
    if codec:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as packer:
            packer.write(content)
        content = bytes(sink.getvalue())
    path.write_bytes(content)
    return path


def _read(path: Path) -> tuple[dict[RecordKind, list[Record]], SetAside]:
    set_aside = SetAside()
    found: dict[RecordKind, list[Record]] = {}
    for kind, batch in batches_of(path, set_aside):
        found.setdefault(kind, []).extend(arrow.records_from_batch(kind, batch))
    return found, set_aside


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_and_compression_gives_the_same_events(
    tmp_path: Path, name: str, codec: str
) -> None:
    """Nothing is lost, doubled or changed, and the name need not tell the compression."""
    found, set_aside = _read(_written(tmp_path / name, FORMATS[name](), codec))
    assert found == {RecordKind.EVENTS: EVENTS}
    assert not set_aside.counts


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", ["events.arrow", "events.arrows"])
@pytest.mark.parametrize("cut", [0.02, 0.5, 0.97])
def test_an_arrow_file_that_is_cut_short_is_an_error(
    tmp_path: Path, name: str, codec: str, cut: float
) -> None:
    """Wherever it ends: half a recording must not be judged as if it were whole."""
    path = _written(tmp_path / name, FORMATS[name](), codec)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(ConfigError, match=name):
        _read(path)


@pytest.mark.parametrize("codec", CODECS[1:])
def test_compressed_lines_that_are_cut_short_are_an_error(tmp_path: Path, codec: str) -> None:
    """The compression knows that its end is missing."""
    path = _written(tmp_path / "events.jsonl", _json_lines(), codec)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=r"events\.jsonl: cannot be read: Truncated"):
        _read(path)


def test_a_last_line_that_is_cut_short_is_set_aside(tmp_path: Path) -> None:
    """A service that is still writing ends its log in the middle of a line."""
    path = _written(tmp_path / "events.jsonl", _json_lines()[:-9])
    found, set_aside = _read(path)
    assert found[RecordKind.EVENTS] == EVENTS[:-1]
    assert set_aside.first == {"not json": f"{path}:3000"}


def test_an_arrow_file_without_its_footer_is_an_error(tmp_path: Path) -> None:
    """All batches may be there, but nothing says so."""
    path = _written(tmp_path / "events.arrow", _arrow_file()[:-3])
    with pytest.raises(ConfigError, match="footer is missing"):
        _read(path)


@pytest.mark.parametrize("codec", CODECS)
def test_an_empty_file_is_an_error(tmp_path: Path, codec: str) -> None:
    """An export that failed looks like this."""
    with pytest.raises(ConfigError, match=r"events\.jsonl: is empty$"):
        _read(_written(tmp_path / "events.jsonl", b"", codec))


def test_missing_files_and_directories_are_errors(tmp_path: Path) -> None:
    """One sentence that names the path."""
    with pytest.raises(ConfigError, match=r"gone\.arrow: cannot be read: No such file"):
        _read(tmp_path / "gone.arrow")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        _read(tmp_path)


def test_lines_under_an_arrow_name_are_an_error(tmp_path: Path) -> None:
    """Else every line of a damaged Arrow file would be set aside as no JSON."""
    with pytest.raises(ConfigError, match="is not Arrow"):
        _read(_written(tmp_path / "events.arrow.gz", _json_lines()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop_columns(["ok", "route"]), "as events, it lacks route, ok"),
        (lambda table: table.append_column("mood", table["host"]), "it also has mood"),
        (
            lambda table: table.set_column(1, "service", table["service"].cast(pa.utf8())),
            "service is string, not dictionary",
        ),
        (lambda table: table.select(table.column_names[::-1]), "stand in another order"),
    ],
)
def test_foreign_columns_are_named(
    tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    """Who exports the events learns what to change."""
    table = change(pa.Table.from_batches([BATCH]))
    path = tmp_path / "events.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ConfigError, match=rf"events\.arrow: its columns .*{message}"):
        _read(path)


@pytest.mark.parametrize("codec", CODECS)
def test_garbage_lines_are_set_aside_with_their_place(tmp_path: Path, codec: str) -> None:
    """Every reason is counted, and the first line of each is named."""
    lines = _json_lines().splitlines()
    too_large = (
        b'{"time":1,"service.name":"s","service.version":"1","http.response.status_code":%d}'
    )
    for number, line in {
        9: b"{oops",
        20: b"",
        700: b"17",
        900: b'{"time": "never", "service.name": "s", "service.version": "1"}',
        901: b'{"time": 1}',
        902: too_large % 70_000,
        903: b'{"a":' * 100_000,
        904: b"\xff\xfe\x00",
        905: b'{"time": 9e15, "service.name": "s", "service.version": "1"}',
    }.items():
        lines.insert(number - 1, line)
    path = _written(tmp_path / "events.jsonl", b"\r\n".join(lines), codec)
    found, set_aside = _read(path)
    assert found == {RecordKind.EVENTS: EVENTS}
    assert set_aside.counts == {
        "not json": 3,
        "not a json object": 1,
        "no time": 1,
        "wrong field": 1,
        "value does not fit its column": 1,
        "time out of range": 1,
    }
    assert set_aside.first == {
        "not json": f"{path}:9",
        "not a json object": f"{path}:700",
        "no time": f"{path}:900",
        "wrong field": f"{path}:901",
        "value does not fit its column": f"{path}:902",
        "time out of range": f"{path}:905",
    }


def test_how_a_line_is_written_does_not_matter(tmp_path: Path) -> None:
    """Dotted or nested names, RFC 3339 or milliseconds, numbers as text, one form beside others."""

    def nested(fields: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in fields.items():
            *path, last = name.split(".")
            at = made
            for step in path:
                at = at.setdefault(step, {})
            at[last] = value
        return made

    def with_text_time(fields: dict[str, Any]) -> dict[str, Any]:
        moment = datetime.fromtimestamp(fields["time"] / 1000, UTC)
        return fields | {"time": moment.isoformat(timespec="milliseconds")}

    def as_text(fields: dict[str, Any]) -> dict[str, Any]:
        return fields | {"duration_ms": str(fields["duration_ms"]), "message": "{}"}

    plain = [json.loads(line) for line in _json_lines().splitlines()]
    chosen = random.Random(3)
    forms: list[Callable[[dict[str, Any]], dict[str, Any]]]
    forms = [dict, nested, with_text_time, as_text]
    for mixed in (
        plain,
        [nested(fields) for fields in plain],
        [with_text_time(fields) for fields in plain],
        [chosen.choice(forms)(fields) for fields in plain],
    ):
        lines = "\n".join(json.dumps(fields) for fields in mixed)
        found, set_aside = _read(_written(tmp_path / "events.jsonl", lines.encode()))
        assert found == {RecordKind.EVENTS: EVENTS}
        assert not set_aside.counts


@pytest.mark.parametrize("spoiled", [b"", b"{oops\n"])
def test_ok_follows_from_the_status_only_where_it_is_missing(
    tmp_path: Path, spoiled: bytes
) -> None:
    """On the fast way and, beside a line that is none, on the slow one."""
    made = [
        {"time": START, "service.name": "s", "service.version": "1", **fields}
        for fields in (
            {"http.response.status_code": 500},
            {"http.response.status_code": 500, "ok": True},
            {"http.response.status_code": 404},
            {"http.response.status_code": 200, "ok": False},
            {},
        )
    ]
    lines = b"".join(msgspec.json.encode(fields) + b"\n" for fields in made)
    found, _ = _read(_written(tmp_path / "events.jsonl", lines + spoiled))
    events = found[RecordKind.EVENTS]
    assert [e.ok for e in events if isinstance(e, Event)] == [False, True, True, False, True]


def test_lines_of_several_kinds_are_told_apart(tmp_path: Path) -> None:
    """A log line or a host sample is not taken for a request that went well."""
    identity = {"time": START, "service.name": "s", "service.version": "1", "host.name": "h"}
    lines = [
        identity | {"http.route": "/"},
        identity | {"exception.type": "ValueError"},
        identity | {"exception": {"type": "ValueError"}},
        identity | {"severity": "error", "message": "no"},
        identity | {"cpu_percent": 12.5},
        identity,
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    found, _ = _read(_written(tmp_path / "all.jsonl", content))
    assert {kind: len(records) for kind, records in found.items()} == {
        RecordKind.EVENTS: 2,
        RecordKind.CRASHES: 2,
        RecordKind.LOGS: 1,
        RecordKind.HOSTS: 1,
    }


@pytest.mark.parametrize("codec", CODECS)
def test_streams_behind_one_another_are_all_read(tmp_path: Path, codec: str) -> None:
    """As when the messages of a topic are written into one file."""
    crashes = [Crash(time=START, service="checkout", release="1.5.0")]
    content = b"".join(
        [
            *(arrow.encode(BATCH.slice(start, 100)) for start in range(0, 3000, 100)),
            arrow.encode(arrow.batch_from_records(RecordKind.CRASHES, list(crashes))),
            arrow.encode(BATCH.slice(0, 1)),
        ]
    )
    found, _ = _read(_written(tmp_path / "dump.arrows", content, codec))
    assert found == {RecordKind.EVENTS: [*EVENTS, EVENTS[0]], RecordKind.CRASHES: crashes}
    with pytest.raises(ConfigError, match=r"dump\.arrows: cannot be read"):
        _read(_written(tmp_path / "dump.arrows", content + b"and more", codec))


def test_batches_come_in_about_one_size(tmp_path: Path) -> None:
    """Large ones are cut, so that memory does not depend on who wrote the file."""
    path = tmp_path / "large.arrow"
    rows = 300_000
    large = pa.Table.from_batches([BATCH] * (rows // BATCH.num_rows)).combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, large.schema) as writer:
        writer.write_table(large)
    sizes = [batch.num_rows for _, batch in batches_of(path, SetAside())]
    assert sum(sizes) == rows
    assert max(sizes) < rows / 2


def test_arrow_records_without_a_possible_time_are_set_aside(tmp_path: Path) -> None:
    """As JSON lines are: missing, before 1970, or microseconds taken for milliseconds."""
    times = [START, None, -5, START * 1000, None, START + 1]
    columns = [
        pa.array(times, field.type)
        if field.name == "time"
        else BATCH.column(field.name)[: len(times)]
        for field in BATCH.schema
    ]
    path = tmp_path / "times.arrow"
    bad = pa.RecordBatch.from_arrays(columns, schema=BATCH.schema)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, bad.schema) as writer:
        writer.write_batch(BATCH)
        writer.write_batch(bad)
    found, set_aside = _read(path)
    assert len(found[RecordKind.EVENTS]) == len(EVENTS) + 2
    assert set_aside.counts == {"no time": 2, "time out of range": 2}
    assert set_aside.first == {"no time": f"{path}:3002", "time out of range": f"{path}:3003"}


def test_a_damaged_file_is_an_error_or_a_reading_never_a_crash(tmp_path: Path) -> None:
    """Bytes changed anywhere in any format end in one plain sentence, or in values that differ."""
    chosen = random.Random(5)
    readable = 0
    for name, content in FORMATS.items():
        whole = content()
        for _ in range(60):
            damaged = bytearray(whole)
            start = chosen.randrange(len(whole) if chosen.random() < 0.5 else 4000)
            for at in range(start, min(start + 8, len(whole))):
                damaged[at] = chosen.randrange(256)
            path = _written(tmp_path / name, bytes(damaged))
            with suppress(ConfigError):
                _read(path)
                readable += 1
    assert 0 < readable < 180
