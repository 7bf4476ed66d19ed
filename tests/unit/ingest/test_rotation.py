"""What rotation does while the agent is stopped, full, or between two looks; on real files."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from tests.support.agent_rig import Rig, append


def cut(log: Path, copy: Path) -> None:
    """Copytruncate."""
    shutil.copyfile(log, copy)
    os.truncate(log, 0)


def test_copytruncate_while_stopped(tmp_path: Path) -> None:
    """The copy is read from where its original was left, one that was never seen from its start."""
    log = tmp_path / "a.log"
    append(log, "1", "2")
    rig = Rig(tmp_path, {})
    rig.run()
    append(log, "3")
    cut(log, tmp_path / "a.log.2")
    append(log, "4")
    cut(log, tmp_path / "a.log.1")
    append(log, "5")
    rig.crash()
    rig.run()

    assert sorted(rig.users()) == ["1", "2", "3", "4", "5"]
    assert rig.agent.counters.possible_losses == 0


def test_copies_that_the_glob_matches(tmp_path: Path) -> None:
    """A copy is known as one, although it looks like a new file of the source."""
    log = tmp_path / "a.log"
    append(log, "1", "2")
    rig = Rig(tmp_path, {"paths": [str(tmp_path / "*.log*")]})
    rig.run()
    shutil.copyfile(log, tmp_path / "a.log.1")
    rig.run()
    os.truncate(log, 0)
    append(log, "3")
    rig.run()

    assert rig.users() == ["1", "2", "3"]


def test_a_kill_right_after_a_copy_was_opened(tmp_path: Path) -> None:
    """The copy's position is noted together with the lines that were read before it, or not."""
    log = tmp_path / "a.log"
    append(log, "1")
    rig = Rig(tmp_path, {})
    rig.run()
    append(log, "2")
    rig.clock.advance(0.1)
    rig.agent.step()
    cut(log, tmp_path / "a.log.1")
    rig.clock.advance(0.1)
    rig.agent.step()
    rig.crash()
    rig.run()

    assert rig.users() == ["1", "2"]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstandard.compress)])
def test_compressed_while_stopped(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    """A rotated file that was compressed and deleted is read on from its compressed form."""
    log = tmp_path / "a.log"
    append(log, "1")
    rig = Rig(tmp_path, {})
    rig.run()
    append(log, "2")
    (tmp_path / f"a.log.1{suffix}").write_bytes(pack(log.read_bytes()))
    log.unlink()
    append(log, "3")
    rig.crash()
    rig.run()
    rig.crash()
    rig.run()

    assert sorted(rig.users()) == ["1", "2", "3"]


def test_a_damaged_compressed_file(tmp_path: Path) -> None:
    """It stops nothing, and the loss is counted."""
    log = tmp_path / "a.log"
    append(log, "1")
    rig = Rig(tmp_path, {})
    rig.run()
    (tmp_path / "a.log.1.gz").write_bytes(gzip.compress(log.read_bytes())[:-12])
    log.unlink()
    append(log, "2")
    rig.crash()
    rig.run()

    assert rig.users() == ["1", "2"]
    assert rig.agent.counters.possible_losses == 1


def test_another_file_with_the_inode_of_one_that_is_gone(tmp_path: Path) -> None:
    """A file beside the logs that got a deleted log's inode is not taken for it."""
    log = tmp_path / "a.log"
    append(log, "1")
    rig = Rig(tmp_path, {})
    rig.run()
    log.rename(tmp_path / "settings.json")
    (tmp_path / "settings.json").write_text('{"user": "nobody"}\n', encoding="utf-8")
    append(log, "2")
    rig.crash()
    rig.run()

    assert rig.users() == ["1", "2"]
    assert rig.letters() == []


def test_a_symbolic_link_that_points_elsewhere(tmp_path: Path) -> None:
    """After a stop the old target is read to its end, the new one from its start."""
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
    current = tmp_path / "current"
    current.symlink_to(tmp_path / "1")
    append(current / "a.log", "1")
    rig = Rig(tmp_path, {"paths": [str(current / "*.log")]})
    rig.run()
    append(tmp_path / "1" / "a.log", "2")
    current.unlink()
    current.symlink_to(tmp_path / "2")
    append(tmp_path / "2" / "a.log", "3")
    rig.crash()
    rig.run()

    assert sorted(rig.users()) == ["1", "2", "3"]


def test_files_that_go_while_reading_waits(tmp_path: Path) -> None:
    """While the spool is full the agent still opens what comes: deleted files are read later, and
    the copy of one that was cut.
    """
    append(tmp_path / "a.log", *map(str, range(3_000)))
    rig = Rig(tmp_path, {}, spool={"max_bytes": 50_000})
    for _ in range(10):
        rig.clock.advance(1)
        rig.agent.step()
    waits = rig.agent._is_waiting
    append(tmp_path / "b.log", "b1")
    append(tmp_path / "c.log", "c1")
    rig.clock.advance(1)
    rig.agent.step()
    (tmp_path / "b.log").unlink()
    cut(tmp_path / "c.log", tmp_path / "c.log.1")
    append(tmp_path / "c.log", "c2")
    rig.clock.advance(1)
    rig.agent.step()
    for _ in range(30):
        rig.acknowledge()
        rig.run(1)

    assert waits
    assert sorted(rig.users()) == sorted([*map(str, range(3_000)), "b1", "c1", "c2"])
    assert rig.agent.counters.possible_losses == 0


def test_a_cut_without_a_copy_is_counted(tmp_path: Path) -> None:
    """Nobody can know what was lost, but that it may have been."""
    log = tmp_path / "a.log"
    append(log, "1")
    rig = Rig(tmp_path, {})
    rig.run()
    log.write_text("", encoding="utf-8")
    rig.run()
    live = rig.agent.counters.possible_losses
    append(log, "2")
    rig.run()
    log.unlink()
    rig.crash()
    rig.run()

    assert (live, rig.agent.counters.possible_losses) == (1, 1)
