"""The power fails at any moment: what was synced is there, the rest perhaps."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import pytest

from contracts.clock import ManualClock
from contracts.records import Event, RecordKind
from ingest.ship import Shipper
from ingest.spool import Entry, Message
from tests.faults.conftest import FaultTable
from tests.support.agent_rig import Rig, append, records_of
from tests.support.power_cut import Disk, Recorder, disks_after

STATES = 2_000


class Kafka:
    """A sink that takes everything and marks it in the recording."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def deliver(self, messages: Sequence[Message], should_stop: Callable[[], bool]) -> None:
        """See ``Sink``."""
        assert not should_stop()
        self._recorder.mark(list(messages))

    def close(self) -> None:
        """See ``Sink``."""


def ship(rig: Rig, sink: Kafka) -> None:
    """Send everything that waits, as the shipping thread does, in this one."""
    shipper = Shipper(rig.spool, rig.checkpoint, sink, rig.clock)
    shipper._stopping.set()
    shipper.run()
    assert shipper.failure is None


def record(tmp_path: Path, lines: int) -> Recorder:
    """An agent at work: files appear and grow, entries are written, sent, acknowledged, deleted."""
    recorder = Recorder(tmp_path / "state")
    with recorder.recording():
        rig = Rig(tmp_path, {}, batch={"max_records": 3})
        for number in range(lines):
            append(tmp_path / f"{'ab'[number % 2]}.log", str(number))
            rig.clock.advance(0.25)
            while rig.agent.step():
                pass
            if number % 5 == 4:
                ship(rig, Kafka(recorder))
    rig.agent._watcher.close()
    return recorder


def users_after(folder: Path, logs: Path, disk: Disk, recorder: Recorder) -> list[str]:
    """What the fences let through, before the cut and after it, when the agent starts anew."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "state" / "spool").mkdir(parents=True)
    for path, data in disk.files.items():
        target = folder / "state" / path.relative_to(recorder._folder)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
    with patch("os.fsync"):  # nothing is cut a second time
        rig = Rig(folder, {"paths": [str(logs / "*.log")]}, clock=ManualClock(1_900_000_000_000))
        rig.run(2)
    rig.agent._watcher.close()
    delivered = [
        Entry(seq=seq_of(messages), last_seq=seq_of(messages), positions=[], messages=messages)
        for messages in disk.marks
    ]
    users: list[str] = []
    last_seq = 0
    for entry in [*delivered, *rig.entries]:
        if entry.last_seq > last_seq:
            last_seq = entry.last_seq
            found = records_of(entry, RecordKind.EVENTS)
            users += [record.user or "" for record in found if isinstance(record, Event)]
    return users


def seq_of(messages: Sequence[Message]) -> int:
    """The sequence number of an entry's messages; 0 for one that only notes positions."""
    return max((int(dict(m.headers)["seq"]) for m in messages), default=0)


def check(tmp_path: Path, lines: int, states: int, seed: int) -> str:
    """Every line arrives once, whatever state the disk was left in; the result for the table."""
    recorder = record(tmp_path, lines)
    chosen = random.Random(seed)
    moments = range(1, len(recorder.ops) + 1)
    disks = [disk for moment in moments for disk in disks_after(recorder.ops[:moment], chosen)]
    picked = disks if len(disks) <= states else chosen.sample(disks, states)
    print(f"seed {seed}: {len(recorder.ops)} writes, {len(disks)} states, {len(picked)} tried")
    for disk in picked:
        users = users_after(tmp_path / "after", tmp_path, disk, recorder)
        names = {path.name: len(data) for path, data in disk.files.items()}
        assert sorted(users, key=int) == [str(n) for n in range(lines)], (users, names)
    return f"{len(picked)} states of {len(recorder.ops)} recorded writes: every line once"


def test_some_states_after_a_power_cut(tmp_path: Path, fault_seed: int) -> None:
    """Every line arrives once behind the fences, delivered before the cut or read again."""
    check(tmp_path, 24, 60, fault_seed)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_states_after_a_power_cut(
    tmp_path: Path,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The same over 2,000 states."""
    result = check(tmp_path, 250, fault_rounds(STATES), fault_seed)
    fault_table("power cut: prefixes and reorderings", result.split()[0], result)
