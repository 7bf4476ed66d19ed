"""The agent's disk is full, read-only or out of inodes, its files fail: it waits and goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import FaultTable
from tests.integration.ingest.agent_process import is_all_acknowledged
from tests.support.agent_rig import Rig, append
from tests.support.agent_service import Service
from tests.support.log_writer import Rotation, line_of
from tests.support.small_disk import SmallDisk
from tests.support.waiting import wait_until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of the test's own."""
    with SmallDisk(tmp_path / "disk") as disk:
        yield disk


FAULTS: dict[str, tuple[Callable[[SmallDisk], None], Callable[[SmallDisk], None]]] = {
    "disk full": (SmallDisk.fill, SmallDisk.empty),
    "read-only": (lambda disk: disk.remount("ro"), lambda disk: disk.remount("rw")),
    "no inodes": (SmallDisk.take_inodes, SmallDisk.give_inodes),
}


@pytest.mark.integration
def test_a_disk_that_fails_for_a_while(
    service: Callable[[Rotation], Service], small_disk: SmallDisk, fault_table: FaultTable
) -> None:
    """Reading pauses, the process lives, and when the disk is well again every line arrives once;
    a kill in the middle changes nothing.
    """
    made = service(Rotation.NONE)
    made.state = small_disk.path / "state"
    written = 0

    def write(count: int) -> None:
        nonlocal written
        with made.log.open("ab") as file:
            for number in range(written, written + count):
                file.write(line_of(made.name, number, time.time_ns() // 1_000_000))
        written += count

    with made.agent() as agent:
        agent.wait_for("agent_started")
        for turn, (begin, end) in enumerate(FAULTS.values(), start=1):
            write(500)
            # what Kafka takes while the disk is being filled would leave room on it
            wait_until(lambda: is_all_acknowledged(made.state, made.logs), 30)
            begin(small_disk)
            write(500)
            agent.wait_for("reading_waits", turn)
            assert agent.is_alive
            end(small_disk)
            agent.wait_for("reading_goes_on", turn)
        small_disk.fill()
        write(500)
        agent.wait_for("reading_waits", len(FAULTS) + 1)
    small_disk.empty()
    made.settle(written)

    finding, repeated = made.finding(written + 1)
    assert finding.is_exact, finding
    result = f"pauses and goes on by itself; {finding}; {repeated} repeated before the fences"
    fault_table(", ".join(FAULTS), "1 each and a kill", result)


def test_a_spool_that_fills_its_disk_frees_it_again(
    small_disk: SmallDisk, service: Callable[[Rotation], Service]
) -> None:
    """Kafka is away until the spool has taken the whole disk; then no checkpoint can be written,
    and still the entries go as they are acknowledged.
    """
    made = service(Rotation.NONE)
    made.state = small_disk.path / "state"
    away = {"COALMINE_KAFKA": "127.0.0.1:1"}
    there, made.environment = made.environment, {**made.environment, **away}
    lines = 30_000
    with made.agent() as agent:
        agent.wait_for("agent_started")
        with made.log.open("ab") as file:
            for number in range(lines):
                file.write(line_of(made.name, number, time.time_ns() // 1_000_000))
        agent.wait_for("reading_waits")
        small_disk.fill()
    made.environment = there
    made.settle(lines)

    finding, _ = made.finding(lines + 1)
    assert finding.is_exact, finding


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """An input/output error of one file stops no other, and is tried again.

    Reading a process's own memory from its start is one.
    """
    (tmp_path / "a.log").symlink_to("/proc/self/mem")
    append(tmp_path / "b.log", "1")
    rig = Rig(tmp_path, {})
    rig.run()
    before = rig.users()
    (tmp_path / "a.log").unlink()
    append(tmp_path / "a.log", "2")
    rig.run(12)

    assert before == ["1"]
    assert rig.users() == ["1", "2"]


def test_an_error_while_reading_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an input/output error a file is read on from where it was, not from its start."""
    append(tmp_path / "a.log", "1", "2")
    rig = Rig(tmp_path, {})
    rig.run()
    read = os.pread
    failing = {"now": True}

    def fail(fd: int, length: int, offset: int) -> bytes:
        if failing["now"]:
            raise OSError(5, "Input/output error")
        return read(fd, length, offset)

    append(tmp_path / "a.log", "3")
    monkeypatch.setattr("os.pread", fail)
    rig.run(7)
    failing["now"] = False
    rig.run(12)

    assert rig.users() == ["1", "2", "3"]


def test_a_spool_entry_that_cannot_be_read_at_first(tmp_path: Path) -> None:
    """A passing error of the disk costs no entry: it is asked again before it is set aside."""
    append(tmp_path / "a.log", "1")
    rig = Rig(tmp_path, {})
    rig.clock.advance(1)
    rig.agent.step()
    rig.clock.advance(1)
    rig.agent.step()
    (entry,) = (rig.state / "spool").glob("*.entry")
    hidden = entry.with_name("hidden")
    entry.rename(hidden)
    (rig.state / "spool" / entry.name).symlink_to("/proc/self/mem")
    with pytest.raises(Exception, match="Input/output error"):
        rig.spool.next_entry(0)
    hidden.replace(entry)
    rig.run()

    assert rig.users() == ["1"]
    assert rig.spool.quarantined == 0
