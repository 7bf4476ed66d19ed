"""Records to bytes and back."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest

from contracts.arrow import (
    batch_from_records,
    decode,
    encode,
    joined,
    records_from_batch,
    schemas,
)
from contracts.errors import InvalidRecord
from contracts.records import Crash, Event, Frame, HostSample, LogLine, Record, RecordKind

NOW = 1_700_000_000_000
SAMPLES: dict[RecordKind, list[Record]] = {
    RecordKind.EVENTS: [
        Event(time=NOW, service="s", release="1", status=503, ok=False, duration_ms=1.5, user="ä"),
        Event(time=NOW + 1, service="s", release="2"),
    ],
    RecordKind.LOGS: [
        LogLine(time=NOW, service="s", release="1", message="a\nb", attributes={"k": "v"}),
        LogLine(time=NOW, service="s", release="1"),
    ],
    RecordKind.CRASHES: [
        Crash(
            time=NOW,
            service="s",
            release="1",
            exception_type="KeyError",
            frames=[Frame(module="m", function="f", file="m.py", line=3, in_app=True)],
        ),
        Crash(time=NOW, service="s", release="1"),
    ],
    RecordKind.HOSTS: [
        HostSample(time=NOW, host="h", cpu_percent=12.5),
        HostSample(time=1, host="i"),
    ],
}


@pytest.mark.parametrize("kind", list(RecordKind))
def test_records_come_back_as_they_were(kind: RecordKind) -> None:
    """Every field of every kind survives the wire."""
    records = SAMPLES[kind]
    payload = encode(batch_from_records(kind, records))
    assert records_from_batch(kind, decode(kind, payload)) == records


def test_batches_with_ids_of_any_length_are_joined() -> None:
    """Short ids travel in place; longer ones, and those of an older agent, do not."""
    ids = (None, "u-1", "session of more than twelve bytes", "")
    records = [Event(time=NOW, service="s", release="1", user=user) for user in ids]
    parts = [records[:2], records[2:], records[3:], records]
    batches = [batch_from_records(RecordKind.EVENTS, part) for part in parts]
    decoded = [decode(RecordKind.EVENTS, encode(batch)) for batch in batches]
    assert len({str(batch.schema) for batch in decoded}) == 2
    for some in (decoded, [*decoded, batches[0]], [decoded[0], decoded[2]]):
        joined_records = [r for batch in some for r in records_from_batch(RecordKind.EVENTS, batch)]
        assert records_from_batch(RecordKind.EVENTS, joined(some)) == joined_records


@pytest.mark.parametrize(("routes", "bits"), [(1, 8), (128, 8), (129, 32)])
def test_few_values_have_codes_of_one_byte(routes: int, bits: int) -> None:
    """Those of four are for many, and in what is read every code has four."""
    kind = RecordKind.EVENTS
    records = [Event(time=NOW, service="s", release="1", route=f"/{n}") for n in range(routes)]
    payload = encode(batch_from_records(kind, records))
    sent = pa.ipc.open_stream(payload).schema
    assert sent.field("route").type.index_type.bit_width == bits
    assert sent.field("service").type.index_type.bit_width == 8
    found = decode(kind, payload)
    assert found.schema == schemas[kind]
    many = joined([found, decode(kind, encode(batch_from_records(kind, SAMPLES[kind])))])
    assert records_from_batch(kind, many) == [*records, *SAMPLES[kind]]


@pytest.mark.parametrize("payload", [b"", b"garbage", b"\x00" * 64])
def test_bytes_that_are_no_batch_are_refused(payload: bytes) -> None:
    """Anything that is not Arrow is an invalid record, never a crash."""
    with pytest.raises(InvalidRecord, match="not an arrow batch"):
        decode(RecordKind.EVENTS, payload)


def test_a_truncated_batch_is_refused() -> None:
    """Half a message does not become half the records."""
    payload = encode(batch_from_records(RecordKind.EVENTS, SAMPLES[RecordKind.EVENTS]))
    with pytest.raises(InvalidRecord):
        decode(RecordKind.EVENTS, payload[: len(payload) // 2])


def test_a_batch_of_another_kind_is_refused() -> None:
    """Columns decide what a batch is, whatever its topic."""
    payload = encode(batch_from_records(RecordKind.HOSTS, SAMPLES[RecordKind.HOSTS]))
    with pytest.raises(InvalidRecord, match="unknown schema"):
        decode(RecordKind.EVENTS, payload)


def test_a_value_that_does_not_fit_its_column_is_refused() -> None:
    """A status beyond 16 bits is an error that names the cause."""
    with pytest.raises(InvalidRecord, match="does not fit"):
        batch_from_records(
            RecordKind.EVENTS, [Event(time=NOW, service="s", release="1", status=99_999)]
        )


def test_samples_of_an_older_agent_are_read() -> None:
    """A column that it does not know has no values; any other column that is missing is refused."""
    kind, [sample, *_] = RecordKind.HOSTS, SAMPLES[RecordKind.HOSTS]
    whole = batch_from_records(kind, [sample])
    older = encode(whole.drop_columns(["boot_time"]))
    [found] = records_from_batch(kind, decode(kind, older))
    assert isinstance(found, HostSample)
    assert found == msgspec.structs.replace(found, boot_time=None)
    with pytest.raises(InvalidRecord, match="unknown schema"):
        decode(kind, encode(whole.drop_columns(["open_files", "boot_time"])))
