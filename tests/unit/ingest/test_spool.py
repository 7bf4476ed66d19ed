from __future__ import annotations

import sys
from pathlib import Path

import pytest

from contracts.clock import ManualClock
from contracts.config import Seconds
from contracts.errors import Backpressure, ConfigError
from ingest.checkpoint import Checkpoint
from ingest.files import FilePosition
from ingest.hosts import HostSampler
from ingest.settings import HostSettings
from ingest.spool import Entry, Message, Spool
from ingest.writer import first_seq

POSITION = FilePosition(
    path="/a.log", device=1, inode=2, head_length=3, head_digest="x", offset=40, generation=1
)


def entry(seq: int, size: int = 10) -> Entry:
    """An entry with one message of so many bytes."""
    message = Message("t", b"k", b"v" * size, [("seq", str(seq).encode())])
    return Entry(seq=seq, last_seq=seq, positions=[POSITION], messages=[message])


def test_what_was_appended_comes_out_unchanged(tmp_path: Path) -> None:
    """The same bytes, headers and positions, oldest first."""
    spool = Spool(tmp_path, 10_000)
    spool.append(entry(1))
    spool.append(entry(2))

    assert [spool.next_entry(0), spool.next_entry(0)] == [entry(1), entry(2)]
    assert spool.next_entry(0) is None


def test_a_restart_finds_what_was_not_removed(tmp_path: Path) -> None:
    """Entries that were not acknowledged come again, with their positions; others do not."""
    spool = Spool(tmp_path, 10_000)
    for seq in (1, 2, 3):
        spool.append(entry(seq))
    spool.remove([1])

    again = Spool(tmp_path, 10_000)
    leftovers = again.recover()

    assert [(x.seq, x.positions) for x in leftovers] == [(2, [POSITION]), (3, [POSITION])]
    assert again.next_entry(0) == entry(2)


def test_no_name_is_interned_for_an_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's table of interned texts grows by those that are gone too: an agent's for ever."""
    spool, clock = Spool(tmp_path / "spool", 10_000), ManualClock()
    checkpoint = Checkpoint(tmp_path / "c.json", clock)
    sampler = HostSampler(HostSettings(every=Seconds(1.0)), "h", clock, tmp_path)
    interned: list[str] = []
    intern = sys.intern

    def noted(text: str) -> str:
        interned.append(text)
        return intern(text)

    monkeypatch.setattr(sys, "intern", noted)
    for seq in (1, 2, 3):
        interned.clear()  # once, names that stay are right
        clock.advance(1)
        assert sampler.sample_if_due() is not None
        spool.append(entry(seq))
        assert spool.next_entry(0) == entry(seq)
        checkpoint.advance([POSITION], seq)
        checkpoint.save()
        spool.remove([seq])

    assert not interned


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "foreign"])
def test_a_corrupt_entry_is_set_aside_and_the_rest_goes_on(tmp_path: Path, damage: str) -> None:
    """Whatever happened to one file, the others are sent, and the bad one is kept with a reason."""
    spool = Spool(tmp_path, 10_000)
    spool.append(entry(1))
    spool.append(entry(2))
    victim = next(tmp_path.glob("*1.entry"))
    data = victim.read_bytes()
    flipped = data[:-1] + bytes([data[-1] ^ 1])
    damages = {"flip": flipped, "cut": data[:-5], "empty": b"", "foreign": b"x" * 99}
    victim.write_bytes(damages[damage])

    again = Spool(tmp_path, 10_000)
    leftovers = again.recover()

    assert [x.seq for x in leftovers] == [2]
    assert (tmp_path / "quarantine" / victim.name).exists()
    assert (tmp_path / "quarantine" / f"{victim.name}.reason").read_text(encoding="utf-8")
    assert again.highest_seq() == 2


def test_a_full_spool_says_wait(tmp_path: Path) -> None:
    """Nothing is dropped and nothing is written above the limit; room comes back by removal."""
    spool = Spool(tmp_path, 500)
    spool.append(entry(1, size=300))

    with pytest.raises(Backpressure):
        spool.append(entry(2, size=300))

    assert len(list(tmp_path.glob("*.entry"))) == 1
    spool.remove([1])
    spool.append(entry(2, size=300))


def test_half_written_files_are_removed(tmp_path: Path) -> None:
    """What a crash left under a temporary name never counts."""
    (tmp_path / "00000000000000000001-00000000000000000001.entry.tmp").write_bytes(b"half")
    spool = Spool(tmp_path, 500)

    assert spool.recover() == []
    assert not list(tmp_path.glob("*.tmp"))


def test_checkpoint_keeps_positions_and_sequence(tmp_path: Path) -> None:
    """What was acknowledged is known to the next process."""
    checkpoint = Checkpoint(tmp_path / "c.json", ManualClock(now_ms=5_000))
    checkpoint.advance([POSITION], 7)
    checkpoint.save()

    again = Checkpoint(tmp_path / "c.json", ManualClock())

    assert (again.last_seq, again.seen_at, again.positions) == (7, 5_000, [POSITION])


def test_a_corrupt_checkpoint_stops_the_agent(tmp_path: Path) -> None:
    """Reading everything anew would count every line twice: the user decides."""
    path = tmp_path / "c.json"
    path.write_text("{", encoding="utf-8")

    with pytest.raises(ConfigError, match="remove it to read all files anew"):
        Checkpoint(path, ManualClock())


def test_sequence_numbers_never_go_back(tmp_path: Path) -> None:
    """The next number is above checkpoint, spool and quarantine; with no state it is the time."""
    clock = ManualClock(now_ms=1_000)
    checkpoint = Checkpoint(tmp_path / "c.json", clock)
    spool = Spool(tmp_path / "spool", 10_000)
    fresh = first_seq(checkpoint, spool, clock)
    spool.append(entry(fresh + 5))
    later = first_seq(checkpoint, spool, clock)
    spool.quarantine(fresh + 5, "test")
    after_quarantine = first_seq(checkpoint, spool, clock)

    assert fresh == 1_000_000
    assert (later, after_quarantine) == (fresh + 6, fresh + 6)
