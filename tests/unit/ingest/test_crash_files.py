"""Crash files: one record each, once they rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.records import Crash, RecordKind
from tests.support.agent_rig import Rig

WHOLE = {"kind": "crashes", "format": "crash_file", "idle_flush": 2}
HALF = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n"
REST = '  File "/srv/cart.py", line 3, in total\n  File "/srv/cart.py", line 9, in <module>\n'


def crashes(rig: Rig) -> list[Crash]:
    """What was acknowledged."""
    return [r for r in rig.records(RecordKind.CRASHES) if isinstance(r, Crash)]


def test_a_file_that_is_being_written_waits(tmp_path: Path) -> None:
    """Nothing is given before the file rests; then it is one record."""
    log = tmp_path / "a.log"
    log.write_text(HALF, encoding="utf-8")
    rig = Rig(tmp_path, WHOLE)
    rig.run(1.5)
    with log.open("a", encoding="utf-8") as file:
        file.write(REST)
    rig.run(1.5)
    assert not rig.entries
    rig.run(3)

    (crash,) = crashes(rig)
    assert (crash.runtime, crash.exception_type) == ("python", "Segmentation fault")
    assert crash.stacktrace == (HALF + REST).rstrip()
    assert [f.line for f in crash.frames] == [9, 3]


@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize("steps", range(0, 16, 3))
def test_a_crash_of_the_agent_loses_and_repeats_nothing(
    tmp_path: Path,
    steps: int,
    acknowledged: bool,  # noqa: FBT001 - a case
) -> None:
    """Killed before, at or after the record was given, the agent gives it once; what is added to
    the file later is a record of its own.
    """
    log = tmp_path / "a.log"
    log.write_text(HALF + REST, encoding="utf-8")
    rig = Rig(tmp_path, WHOLE)
    for _ in range(steps):
        rig.clock.advance(0.25)
        rig.agent.step()
    if acknowledged:
        rig.acknowledge()
    rig.crash()
    rig.run(6)
    with log.open("a", encoding="utf-8") as file:
        file.write(HALF + REST)
    rig.run(6)

    assert [c.stacktrace for c in crashes(rig)] == [(HALF + REST).rstrip()] * 2


def test_a_stop_leaves_a_file_that_is_being_written(tmp_path: Path) -> None:
    """An ordinary stop gives no half file."""
    (tmp_path / "a.log").write_text(HALF, encoding="utf-8")
    rig = Rig(tmp_path, WHOLE)
    rig.run(1)
    rig.agent.finish()
    rig.start()
    (tmp_path / "a.log").write_text(HALF + REST, encoding="utf-8")
    rig.run(6)

    assert [len(c.frames) for c in crashes(rig)] == [2]


def test_a_file_that_is_too_large_is_cut_and_says_so(tmp_path: Path) -> None:
    """As much as one line may have is kept; the whole length stands behind it."""
    text = HALF + REST + "  padding\n" * 100
    (tmp_path / "a.log").write_text(text, encoding="utf-8")
    rig = Rig(tmp_path, {**WHOLE, "max_line_bytes": 400})
    rig.run(6)

    (crash,) = crashes(rig)
    assert len(crash.stacktrace) < 440
    assert crash.stacktrace.endswith(f"[log.truncated_bytes: {len(text)}]")


def test_a_file_without_a_failure_is_a_dead_letter(tmp_path: Path) -> None:
    """What is not understood is kept with its reason; an empty file is nothing."""
    (tmp_path / "a.log").write_text("nothing\nof note\n", encoding="utf-8")
    (tmp_path / "b.log").touch()
    rig = Rig(tmp_path, WHOLE)
    rig.run(6)

    assert [letter.reason for letter in rig.letters()] == ["no failure recognised"]
