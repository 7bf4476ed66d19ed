"""zstd as the worker reads it."""

import zlib

import cramjam
import pytest
import zstandard
from aiokafka.record.memory_records import MemoryRecords
from kafka.record import MemoryRecordsBuilder

from streams import decompression

PAYLOAD = b"".join(b"%d" % zlib.crc32(b"%d" % n) for n in range(9_000))
KNOWN = zstandard.compress(PAYLOAD)
STREAMED = zstandard.ZstdCompressor(write_content_size=False).compress(PAYLOAD)


@pytest.mark.parametrize(
    ("compressed", "expected"),
    [
        (KNOWN, PAYLOAD),
        (STREAMED, PAYLOAD),
        (KNOWN + KNOWN, PAYLOAD * 2),
        (zstandard.compress(b""), b""),
        (zstandard.compress(b"") + KNOWN, PAYLOAD),
    ],
    ids=["says its size", "does not", "two frames", "nothing", "nothing first"],
)
def test_gives_what_was_compressed(compressed: bytes, expected: bytes) -> None:
    """However many frames there are, and whatever they say of their sizes."""
    assert decompression.zstd_decode(compressed) == expected


@pytest.mark.parametrize(
    "broken", [KNOWN[:-5], KNOWN + b"beyond", b"none", b""], ids=["cut", "longer", "none", "empty"]
)
def test_what_is_broken_is_an_error_as_it_was(broken: bytes) -> None:
    """The one that aiokafka's own codec raises."""
    with pytest.raises(cramjam.DecompressionError):
        decompression.zstd_decode(broken)


class Recorder:
    """A decompressor that notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def decompress(self, payload: bytes, *, allow_extra_data: bool) -> bytes:
        self.asked.append(len(payload))
        return zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=allow_extra_data)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """In place of this thread's decompressor."""
    found = Recorder()
    monkeypatch.setattr(decompression._own, "zstd", found)
    return found


def test_a_size_beyond_belief_is_not_made_room_for(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head can promise what it likes."""
    monkeypatch.setattr(decompression, "_LARGEST", len(PAYLOAD) - 1)
    assert decompression.zstd_decode(KNOWN) == PAYLOAD
    assert recorder.asked == []


def test_aiokafka_reads_what_the_agent_writes_at_once(recorder: Recorder) -> None:
    """In the batches that the agent's library makes."""
    decompression.install()
    builder = MemoryRecordsBuilder(magic=2, compression_type=4, batch_size=1_000_000)
    for offset in range(3):
        builder.append(timestamp=7 + offset, key=None, value=PAYLOAD, headers=[])
    builder.close()
    batch = MemoryRecords(bytes(builder.buffer())).next_batch()
    assert [(r.timestamp, r.value) for r in batch] == [(7 + n, PAYLOAD) for n in range(3)]
    assert len(recorder.asked) == 1
