"""``coalmine agent fsck`` on real spool folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coalmine.cli.main import build
from contracts.clock import ManualClock
from ingest.checkpoint import Checkpoint
from ingest.spool import Entry, Message, Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Three entries, of which the first is acknowledged."""
    made = Spool(tmp_path / "spool", 1 << 20)
    for seq in (1, 3, 5):
        message = Message("t", b"k", b"v", [])
        made.append(Entry(seq=seq, last_seq=seq + 1, positions=[], messages=[message], records=7))
    checkpoint = Checkpoint(tmp_path / "checkpoint.json", ManualClock())
    checkpoint.advance([], 2)
    checkpoint.save()
    return made


def fsck(state: Path, *options: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    result = CliRunner().invoke(build(), ["agent", "fsck", "--state", str(state), *options])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.usefixtures("spool")
def test_a_sound_spool(tmp_path: Path) -> None:
    """Every entry with its numbers, records and bytes; exit code 0."""
    code, output, _ = fsck(tmp_path, "--json")

    report = json.loads(output)
    assert code == 0
    assert report["last_acknowledged_seq"] == 2
    assert [(e["seq"], e["last_seq"], e["records"]) for e in report["waiting"]] == [
        (1, 2, 7),
        (3, 4, 7),
        (5, 6, 7),
    ]
    assert [e.get("is_acknowledged", False) for e in report["waiting"]] == [True, False, False]
    assert (report["quarantined"], report["problems"]) == ([], [])


def test_damage_is_named_before_and_after_quarantine(tmp_path: Path, spool: Spool) -> None:
    """A damaged entry is a problem where it lies, and with its reason once it was set aside."""
    victim = next((tmp_path / "spool").glob("*3-*.entry"))
    victim.write_bytes(victim.read_bytes()[:-1])

    before = fsck(tmp_path)
    Spool(tmp_path / "spool", 1 << 20).recover()
    code, output, _ = fsck(tmp_path, "--json")

    assert before[0] == 1
    assert "wrong checksum" in before[1]
    assert "wrong checksum" in before[2]
    report = json.loads(output)
    assert code == 1
    assert [e["seq"] for e in report["waiting"]] == [1, 5]
    (aside,) = report["quarantined"]
    assert aside["seq"] == 3
    assert aside["bytes"] == victim.with_name("quarantine").joinpath(victim.name).stat().st_size
    assert aside["problem"].startswith("wrong checksum")
    assert spool.size_bytes > 0


def test_a_damaged_checkpoint_is_a_problem(tmp_path: Path, spool: Spool) -> None:
    """The agent would not start with it, so fsck says so."""
    (tmp_path / "checkpoint.json").write_text("{", encoding="utf-8")

    code, output, _ = fsck(tmp_path, "--json")

    assert code == 1
    assert "checkpoint.json cannot be read" in json.loads(output)["problems"][0]
    assert not spool.is_empty


def test_a_folder_that_is_no_state(tmp_path: Path) -> None:
    """One sentence and the exit code of wrong usage."""
    result = CliRunner().invoke(build(), ["agent", "fsck", "--state", str(tmp_path)])

    assert "expected the state_dir of an agent" in str(result.exception)
