"""Order and persistence of sending, with a sink that fails as told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from contracts.clock import SystemClock
from contracts.errors import InvalidRecord, Recoverable
from ingest.checkpoint import Checkpoint
from ingest.files import FilePosition
from ingest.ship import Shipper
from ingest.sink import rounds
from ingest.spool import Entry, Message, Spool
from tests.support.waiting import wait_until


class FailingSink:
    """Takes messages, but first raises the given errors, one for each try."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.taken: list[str] = []
        self.closed = threading.Event()

    def deliver(self, messages: Sequence[Message], should_stop: Callable[[], bool]) -> None:
        """See ``Sink``."""
        assert not should_stop() or self._errors
        if self._errors:
            raise self._errors.pop(0)
        self.taken += [m.value.decode() for m in messages]

    def close(self) -> None:
        """See ``Sink``."""
        self.closed.set()


def entry(seq: int) -> Entry:
    """An entry with one message."""
    message = Message("t", b"k", str(seq).encode(), [("seq", b"1")])
    return Entry(seq=seq, last_seq=seq, positions=[], messages=[message], records=1)


def ship(tmp_path: Path, sink: FailingSink, seqs: range) -> tuple[Spool, Checkpoint]:
    """Ship entries until the spool is empty, then stop."""
    spool = Spool(tmp_path / "spool", 100_000)
    checkpoint = Checkpoint(tmp_path / "checkpoint.json", SystemClock())
    for seq in seqs:
        spool.append(entry(seq))
    shipper = Shipper(spool, checkpoint, sink, SystemClock())
    shipper.start()
    wait_until(lambda: spool.size_bytes == 0, 20)
    shipper.stop(5)
    assert shipper.failure is None
    return spool, checkpoint


def test_a_failed_entry_is_sent_again_before_the_next(tmp_path: Path) -> None:
    """Order is kept through failures, or the fences would drop the late one."""
    sink = FailingSink(Recoverable("away"), Recoverable("still away"))

    _, checkpoint = ship(tmp_path, sink, range(1, 4))

    assert sink.taken == ["1", "2", "3"]
    assert checkpoint.last_seq == 3
    assert sink.closed.is_set()


def test_an_entry_that_kafka_refuses_is_set_aside(tmp_path: Path) -> None:
    """What can never be accepted does not stand in the way of the rest, and is kept."""
    sink = FailingSink(InvalidRecord("message too large for kafka"))

    spool, _ = ship(tmp_path, sink, range(1, 3))

    assert sink.taken == ["2"]
    assert spool.quarantined == 1


def test_what_was_acknowledged_before_a_crash_is_not_sent_again(tmp_path: Path) -> None:
    """The checkpoint is written before entries are deleted; a crash in between costs nothing."""
    checkpoint = Checkpoint(tmp_path / "checkpoint.json", SystemClock())
    checkpoint.advance([], 2)
    checkpoint.save()
    sink = FailingSink()

    ship(tmp_path, sink, range(2, 4))

    assert sink.taken == ["3"]


def test_stopping_does_not_wait_for_a_dead_broker(tmp_path: Path) -> None:
    """The thread ends in bounded time and leaves the entry for the next start."""
    spool = Spool(tmp_path / "spool", 100_000)
    spool.append(entry(1))
    sink = FailingSink(*[Recoverable("away")] * 1000)
    shipper = Shipper(
        spool, Checkpoint(tmp_path / "checkpoint.json", SystemClock()), sink, SystemClock()
    )
    shipper.start()
    shipper.stop(0.2)

    assert not shipper.is_alive()
    assert [x.seq for x in Spool(tmp_path / "spool", 100_000).recover()] == [1]


def test_one_sequence_number_after_another() -> None:
    """A batch that was split goes out in rounds: a topic's second message waits for its first."""
    telemetry = [Message("e", b"k", value, [("seq", b"1")]) for value in (b"1", b"2", b"3")]
    crash = Message("c", b"k", b"c1", [("seq", b"1")])
    letter = Message("d", b"k", b"d1")

    found = [[m.value for m in group] for group in rounds([*telemetry, crash, letter, letter])]

    assert found == [[b"1", b"c1", b"d1", b"d1"], [b"2"], [b"3"]]


def test_a_checkpoint_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """Sending goes on; what later entries cover is deleted all the same, so that a full disk has
    room again; the rest goes when the checkpoint can be written.
    """
    spool = Spool(tmp_path / "spool", 100_000)
    checkpoint = Checkpoint(tmp_path / "checkpoint.json", SystemClock())
    blocked = tmp_path / "checkpoint.json.tmp"
    blocked.mkdir()
    position = FilePosition(path="/a", device=1, inode=2, head_length=1, head_digest="x", offset=1)
    for seq in (1, 2, 3):
        spool.append(
            Entry(seq=seq, last_seq=seq, positions=[position], messages=entry(seq).messages)
        )
    sink = FailingSink()
    shipper = Shipper(spool, checkpoint, sink, SystemClock())
    shipper.start()
    wait_until(lambda: [x.seq for x in Spool(tmp_path / "spool", 1).recover()] == [3], 20)
    blocked.rmdir()
    wait_until(lambda: spool.size_bytes == 0, 20)
    shipper.stop(5)

    assert sink.taken == ["1", "2", "3"]
    assert shipper.failure is None
    assert Checkpoint(tmp_path / "checkpoint.json", SystemClock()).last_seq == 3
