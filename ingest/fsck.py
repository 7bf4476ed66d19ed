"""What lies in an agent's state folder and what is wrong with it; nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from contracts.errors import ConfigError, InvalidRecord
from ingest.checkpoint import Snapshot
from ingest.spool import QUARANTINE, Entry, decode_entry


class EntryReport(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One entry of the spool, or one that was set aside."""

    file: str
    bytes: int
    seq: int | None = None
    last_seq: int | None = None
    records: int = 0
    is_acknowledged: bool = False
    """Kafka has it; only its deletion is missing."""
    problem: str = ""


class SpoolReport(msgspec.Struct, kw_only=True):
    """What ``coalmine agent fsck`` found."""

    state_dir: str
    last_acknowledged_seq: int | None
    """None when there is no readable checkpoint."""
    waiting: list[EntryReport]
    quarantined: list[EntryReport]
    problems: list[str]
    """Everything that is wrong, one sentence each; empty when all is well."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def inspect(state_dir: Path) -> SpoolReport:
    """Read the spool, the quarantine and the checkpoint below ``state_dir``.

    The agent may run meanwhile; entries that it deletes in between are left out.

    Raises:
        ConfigError: there is no such folder.
    """
    if not (state_dir / "spool").is_dir():
        raise ConfigError(str(state_dir), "expected the state_dir of an agent that ran")
    problems: list[str] = []
    last_seq = _last_acknowledged(state_dir / "checkpoint.json", problems)
    waiting = list(_waiting(state_dir / "spool", last_seq or 0))
    quarantined = list(_quarantined(state_dir / "spool" / QUARANTINE))
    problems += [f"{report.file}: {report.problem}" for report in waiting if report.problem]
    problems += [f"{report.file} was set aside: {report.problem}" for report in quarantined]
    return SpoolReport(
        state_dir=str(state_dir),
        last_acknowledged_seq=last_seq,
        waiting=waiting,
        quarantined=quarantined,
        problems=problems,
    )


def _last_acknowledged(path: Path, problems: list[str]) -> int | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Snapshot).last_seq
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        problems.append(f"{path.name} cannot be read: {error}")
        return None


def _waiting(folder: Path, last_seq: int) -> Iterator[EntryReport]:
    previous = 0
    for path in sorted(folder.glob("*.entry")):
        report, entry = _read(path)
        if report is None:
            continue
        if entry is not None:
            report.is_acknowledged = entry.last_seq <= last_seq
            if entry.seq <= previous:
                report.problem = f"its sequence numbers overlap with those up to {previous}"
            previous = max(previous, entry.last_seq)
        yield report


def _quarantined(folder: Path) -> Iterator[EntryReport]:
    for path in sorted(folder.glob("*.entry")):
        report, _ = _read(path)
        if report is not None:
            report.problem = _reason(path) or report.problem or "no reason was noted"
            yield report


def _reason(path: Path) -> str:
    try:
        return path.with_name(f"{path.name}.reason").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _read(path: Path) -> tuple[EntryReport | None, Entry | None]:
    """The report of one file; None when it is gone meanwhile."""
    numbers = [int(part) if part.isdigit() else None for part in path.stem.split("-")]
    seq, last_seq = (*numbers, None, None)[:2]
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None, None
    except OSError as error:
        problem = error.strerror or str(error)
        return EntryReport(
            file=path.name, bytes=0, seq=seq, last_seq=last_seq, problem=problem
        ), None
    report = EntryReport(file=path.name, bytes=len(data), seq=seq, last_seq=last_seq)
    try:
        entry = decode_entry(data)
    except InvalidRecord as error:
        report.problem = str(error)
        return report, None
    report.records = entry.records
    if (entry.seq, entry.last_seq) != (seq, last_seq):
        report.problem = f"it holds the numbers {entry.seq} to {entry.last_seq}"
    return report, entry
