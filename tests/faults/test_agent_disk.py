"""The agent's disk is full, read-only or out of inodes, its files fail: it waits and goes on."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import FaultTable
from tests.support.agent_rig import Rig, append
from tests.support.agent_service import Service
from tests.support.log_writer import Rotation, line_of

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB and 64 inodes, of the test's own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=64", "none", folder], check=True
    )
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def remount(disk: Path, option: str) -> None:
    """Make the disk read-only (``ro``) or writable (``rw``)."""
    subprocess.run(["mount", "-o", f"remount,{option}", disk], check=True)


def fill(disk: Path) -> None:
    """Leave no byte free."""
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


def take_inodes(disk: Path) -> None:
    """Leave no inode free."""
    (disk / "many").mkdir()
    try:
        for number in range(1000):
            (disk / "many" / str(number)).touch()
    except OSError:
        return


def give_inodes(disk: Path) -> None:
    """Give them back."""
    for path in (disk / "many").iterdir():
        path.unlink()
    (disk / "many").rmdir()


FAULTS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "disk full": (fill, lambda disk: (disk / "ballast").unlink()),
    "read-only": (lambda disk: remount(disk, "ro"), lambda disk: remount(disk, "rw")),
    "no inodes": (take_inodes, give_inodes),
}


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk to fill")
def test_a_disk_that_fails_for_a_while(
    service: Callable[[Rotation], Service], small_disk: Path, fault_table: FaultTable
) -> None:
    """Reading pauses, the process lives, and when the disk is well again every line arrives once;
    a kill in the middle changes nothing.
    """
    made = service(Rotation.NONE)
    made.state = small_disk / "state"
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
            begin(small_disk)
            write(500)
            agent.wait_for("reading_waits", turn)
            assert agent.is_alive
            end(small_disk)
            agent.wait_for("reading_goes_on", turn)
        fill(small_disk)
        write(500)
        agent.wait_for("reading_waits", len(FAULTS) + 1)
    (small_disk / "ballast").unlink()
    made.settle(written)

    finding, repeated = made.finding(written + 1)
    assert finding.is_exact, finding
    result = f"pauses and goes on by itself; {finding}; {repeated} repeated before the fences"
    fault_table(", ".join(FAULTS), "1 each and a kill", result)


def test_a_spool_that_fills_its_disk_frees_it_again(
    small_disk: Path, service: Callable[[Rotation], Service]
) -> None:
    """Kafka is away until the spool has taken the whole disk; then no checkpoint can be written,
    and still the entries go as they are acknowledged.
    """
    made = service(Rotation.NONE)
    made.state = small_disk / "state"
    away = {"COALMINE_KAFKA": "127.0.0.1:1"}
    there, made.environment = made.environment, {**made.environment, **away}
    lines = 30_000
    with made.agent() as agent:
        agent.wait_for("agent_started")
        with made.log.open("ab") as file:
            for number in range(lines):
                file.write(line_of(made.name, number, time.time_ns() // 1_000_000))
        agent.wait_for("reading_waits")
        fill(small_disk)
    made.environment = there
    made.settle(lines)

    finding, _ = made.finding(lines + 1)
    assert finding.is_exact, finding


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the file whose reading is an EIO")
def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """An input/output error of one file stops no other, and is tried again."""
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
