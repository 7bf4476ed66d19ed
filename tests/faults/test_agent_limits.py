"""More of everything than anybody planned for: files, one line's bytes, hours on the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from contracts.clock import ManualClock
from contracts.records import LogLine, RecordKind
from tests.faults.conftest import FaultTable
from tests.support.agent_rig import NOW, Rig, append, line

FILES = 100_000
MIB = 1024 * 1024


def make_files(folder: Path, count: int) -> list[str]:
    """So many files of one line; gives the users in them."""
    users = [str(number) for number in range(count)]
    for user in users:
        (folder / f"{user}.log").write_text(line(user, 1), encoding="ascii")
    return users


def test_more_files_than_handles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that rest are closed to make room; what is written to them later is read from where
    they were left, also after a kill, a rename and a truncation.
    """
    monkeypatch.setattr("ingest.open_files._open_files_limit", lambda: 40)
    users = make_files(tmp_path, 150)
    rig = Rig(tmp_path, {})
    rig.run(8)
    at_first = rig.users()
    most = len(rig.agent._watcher.followed.files)
    for user in ("3", "77", "149"):
        append(tmp_path / f"{user}.log", f"{user}b")
    rig.run(4)
    append(tmp_path / "5.log", "5b")
    (tmp_path / "5.log").rename(tmp_path / "5.log.1")
    append(tmp_path / "5.log", "5c")
    rig.crash()
    rig.run(8)
    (tmp_path / "9.log").write_text(line("9b", 0), encoding="ascii")
    rig.run(4)

    assert most <= 20
    assert sorted(at_first) == sorted(users)
    more = ["3b", "5b", "5c", "77b", "9b", "149b"]
    assert sorted(rig.users()) == sorted([*users, *more])


def test_history_in_more_files_than_handles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``start_at: end`` holds for files that had to wait for a handle."""
    monkeypatch.setattr("ingest.open_files._open_files_limit", lambda: 40)
    make_files(tmp_path, 60)
    rig = Rig(tmp_path, {"start_at": "end"})
    rig.run(8)
    append(tmp_path / "59.log", "new")
    append(tmp_path / "60.log", "60")
    rig.run(4)

    assert sorted(rig.users()) == ["60", "new"]


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_100_000_files(
    tmp_path: Path, fault_rounds: Callable[[int], int], fault_table: FaultTable
) -> None:
    """All are read, and a later line in any of them is found; memory and time are measured."""
    users = make_files(tmp_path, fault_rounds(FILES))
    process = psutil.Process()
    before = process.memory_info().rss
    rig = Rig(tmp_path, {})
    began = time.perf_counter()
    while rig.agent.counters.lines < len(users):
        rig.run(0.5)
    took = time.perf_counter() - began
    grown = (process.memory_info().rss - before) / MIB
    append(tmp_path / "777.log", "late")
    began = time.perf_counter()
    while rig.agent.counters.lines == len(users):
        rig.run(0.5)
        rig.clock.advance(10)
    late = time.perf_counter() - began
    rig.run()

    assert sorted(rig.users()) == sorted([*users, "late"])
    result = (
        f"all read in {took:.0f} s with {len(rig.agent._watcher.followed.files)} handles, "
        f"{grown:.0f} MiB more memory, a late line found after {late:.1f} s of work"
    )
    print(result)
    fault_table(f"{len(users)} files in a glob", "1", result)


def test_a_line_of_100_mb(tmp_path: Path) -> None:
    """It is cut at the limit and marked with its length; memory stays small, the rest arrives."""
    with (tmp_path / "a.log").open("wb") as file:
        for _ in range(100):
            file.write(b"x" * MIB)
        file.write(b"\nshort\n")
    before = psutil.Process().memory_info().rss
    rig = Rig(tmp_path, {"kind": "logs", "format": "plain"})
    rig.run()
    grown = psutil.Process().memory_info().rss - before

    logs = [r for r in rig.records(RecordKind.LOGS) if isinstance(r, LogLine)]
    assert [r.attributes for r in logs] == [{"log.truncated_bytes": str(100 * MIB)}, {}]
    assert 200 * 1024 < len(logs[0].message) <= 256 * 1024
    assert logs[1].message == "short"
    assert grown < 30 * MIB


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps(tmp_path: Path, hours: int) -> None:
    """Whoever sets the clock, while the agent runs or is stopped, loses and repeats nothing:
    waiting goes by a clock that never jumps, and files are told apart by content.
    """
    clock = ManualClock(NOW)
    rig = Rig(tmp_path, {}, clock=clock)
    append(tmp_path / "a.log", "1")
    rig.run()
    clock._now_ms += hours * 3_600_000
    append(tmp_path / "a.log", "2")
    (tmp_path / "a.log").rename(tmp_path / "a.log.1")
    append(tmp_path / "a.log", "3")
    rig.run()
    clock._now_ms -= 2 * hours * 3_600_000
    append(tmp_path / "a.log", "4")
    (tmp_path / "a.log").rename(tmp_path / "a.log.2")
    append(tmp_path / "a.log", "5")
    rig.crash()
    rig.run()

    assert rig.users() == ["1", "2", "3", "4", "5"]
