"""A model of what happens to log files, against the real agent on real files.

Lines are numbered. Whatever is done to the files, every line arrives once and in the order of its
file, except where docs/reliability.md says that lines are lost; the agent counts those times.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contracts.clock import ManualClock
from contracts.records import LogLine, RecordKind
from ingest.files import FilePosition, is_same_content
from ingest.spool import Entry, decode_entry
from tests.faults.conftest import FaultTable
from tests.support.agent_rig import Rig, records_of

EXAMPLES = 5_000
NAMES = st.sampled_from(["a.log", "b.log"])


class DayClock(ManualClock):
    """Waiting is turned by hand, the day's time is real: the files' own times are."""

    def now_ms(self) -> int:
        """See ``Clock``."""
        return time.time_ns() // 1_000_000


@dataclass(slots=True, eq=False)
class Content:
    """The lines of one life of a file, wherever they stand now."""

    lines: list[int] = field(default_factory=list)
    partial: str = ""


class FileModel(RuleBasedStateMachine):
    """Does to files what services and logrotate do, stops and starts the agent meanwhile."""

    handles = 0

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory(prefix="coalmine-model-")
        self.folder = Path(self._temporary.name)
        (self.folder / "targets").mkdir()
        self.at: dict[Path, Content] = {}
        self.everything: list[Content] = []
        self.next_number = 0
        self.targets = 0
        self.arrived: list[int] = []
        self.last_seq = 0
        self.is_up = True
        self.may_be_lost: set[int] = set()
        self.unlinked: list[tuple[Content, bool]] = []
        self.cuts: list[set[int]] = []
        self.moved_unseen: list[tuple[Path, Content]] = []
        self.counted = 0

    @initialize(
        globs=st.sampled_from([["*.log"], ["*.log*"]]),
        records=st.sampled_from([2, 1000]),
        handles=st.sampled_from([12, 1000]),
    )
    def begin(self, globs: list[str], records: int, handles: int) -> None:
        """An agent that has looked once, at an empty folder; it may open half of ``handles``."""
        FileModel.handles = handles
        source = {
            "paths": [str(self.folder / glob) for glob in globs],
            "kind": "logs",
            "format": "plain",
            "multiline": {"mode": "none"},
            "idle_flush": 3600,
        }
        batch = {"max_records": records}
        self.rig = Rig(self.folder, source, batch=batch, rotate_wait=36_000, clock=DayClock())
        self.look()

    # what services do

    @rule(name=NAMES, count=st.integers(1, 3), width=st.sampled_from([0, 0, 70, 1500]))
    def write(self, name: str, count: int, width: int) -> None:
        """Whole lines at the end of a file, which is made if need be."""
        self._append(self.folder / name, count, width)

    @rule(name=NAMES)
    def write_half(self, name: str) -> None:
        """The beginning of a line."""
        content = self._content(self.folder / name)
        if not content.partial:
            content.partial = f"{self.next_number:04}"
            self.next_number += 1
            self._put(self.folder / name, content.partial)

    # what logrotate and people do

    @rule(name=NAMES)
    def rotate_by_rename(self, name: str) -> None:
        """``a.log.1`` becomes ``a.log.2``, ``a.log`` becomes ``a.log.1``."""
        log = self.folder / name
        if log in self.at:
            self._shift(log)
            if not self._is_seen(log):
                self.moved_unseen.append((log, self.at[log]))
            self._move(log, self._numbered(log, 1))

    @rule(name=NAMES)
    def rotate_by_copytruncate(self, name: str) -> None:
        """The copy takes over what was written; the file begins anew."""
        log = self.folder / name
        if log in self.at:
            self._shift(log)
            if not self._is_seen(log):
                self.moved_unseen.append((log, self.at[log]))
            elif self._is_held(log) and not self._is_begun(log):
                self._cut(self.at[log], is_known=False)  # was empty when the agent looked
            copy = self._numbered(log, 1)
            shutil.copyfile(log, copy)
            os.truncate(log, 0)
            self.at[copy] = self.at[log]
            self.at[log] = self._new()

    @rule(name=NAMES, number=st.integers(1, 2))
    def compress(self, name: str, number: int) -> None:
        """A rotated file becomes ``.gz`` and is deleted."""
        rotated = self._numbered(self.folder / name, number)
        packed = rotated.with_name(f"{rotated.name}.gz")
        if rotated in self.at and not packed.exists():
            packed.write_bytes(gzip.compress(rotated.read_bytes()))
            content = self.at.pop(rotated)
            if self._is_held(rotated):
                self.unlinked.append((content, self._is_known(rotated)))
            elif not self._is_known(rotated):
                self._cut(content, is_known=False)  # nobody had looked at it yet
            rotated.unlink()
            self.at[packed] = content

    @rule(name=NAMES)
    def truncate(self, name: str) -> None:
        """Cut with no copy: what was not read is gone, and that is counted."""
        log = self.folder / name
        if log in self.at:
            self._cut(self.at[log], is_known=self._is_known(log))
            os.truncate(log, 0)
            self.at[log] = self._new()

    @rule(name=NAMES, number=st.integers(0, 3))
    def delete(self, name: str, number: int) -> None:
        """An open file is still read to its end; an unopened one is gone."""
        path = self._numbered(self.folder / name, number) if number else self.folder / name
        if path in self.at:
            content = self.at.pop(path)
            if self._is_held(path):
                self.unlinked.append((content, self._is_known(path)))
            else:
                self._cut(content, is_known=self._is_known(path))
            path.unlink()

    @rule(count=st.integers(1, 3))
    def swap_symlink(self, count: int) -> None:
        """``s.log`` points to another file, outside of the globs; the agent has seen the old."""
        self.targets += 1
        target = self.folder / "targets" / f"{self.targets}"
        link = self.folder / "s.log"
        if link.exists() and not self._is_held(link):
            return  # a target that came and went between two looks is out of sight
        self._append(target, count, 0)
        link.with_suffix(".new").symlink_to(target)
        link.with_suffix(".new").rename(link)

    # what happens to the agent

    @precondition(lambda self: self.is_up)
    @rule()
    def look(self) -> None:
        """The agent reads what there is."""
        self.rig.clock.advance(0.25)
        while self.rig.agent.step():
            pass

    @precondition(lambda self: self.is_up)
    @rule(is_noted=st.booleans())
    def deliver(self, is_noted: bool) -> None:  # noqa: FBT001 - a case
        """Kafka takes everything; a crash may come before that is noted."""
        before = len(self.rig.entries)
        if is_noted:
            self.rig.acknowledge()
        else:
            while (entry := self.rig.spool.next_entry(0)) is not None:
                self.rig.entries.append(entry)
        self._take_new(before)
        if not is_noted:
            self.kill()

    @precondition(lambda self: self.is_up)
    @rule()
    def kill(self) -> None:
        """SIGKILL: only what is on disk survives."""
        self.rig.agent._watcher.close()
        self.counted += self.rig.agent.counters.possible_losses
        self.is_up = False
        for content, is_known in self.unlinked:
            is_packed = any(content is kept for kept in self.at.values())
            if not (is_packed and is_known):
                self._cut(content, is_known=is_known and not is_packed)
        self.unlinked = []

    @precondition(lambda self: not self.is_up)
    @rule()
    def start(self) -> None:
        """A new process, a first look."""
        self.rig.start()
        self.is_up = True
        self.look()

    def teardown(self) -> None:
        """At the end everything is read, delivered and compared."""
        with self._temporary, closing(self.rig.agent._watcher):
            self._check()

    def _check(self) -> None:
        if not self.is_up:
            self.start()
        for log, content in self.moved_unseen:
            if log not in self.at:  # nothing there points to what rotation made of it
                self._cut(content, is_known=False)
        self._append(self.folder / "a.log", 1, 0)  # a fresh line still flows
        for _ in range(8):
            self.look()
            self.rig.clock.advance(12)
        self.deliver(is_noted=True)
        written = {number for content in self.everything for number in content.lines}
        times = Counter(self.arrived)
        lost = written - times.keys()
        assert not [n for n, count in times.items() if count > 1], f"twice: {times}"
        assert times.keys() <= written
        assert lost <= self.may_be_lost, f"lost: {lost - self.may_be_lost}"
        counted = self.counted + self.rig.agent.counters.possible_losses
        assert counted >= sum(bool(cut & lost) for cut in self.cuts), f"not counted: {lost}"
        position = {number: at for at, number in enumerate(self.arrived)}
        for content in self.everything:
            order = [position[number] for number in content.lines if number in position]
            assert order == sorted(order), f"order: {content.lines}, {self.arrived}"

    # helpers

    def _append(self, path: Path, count: int, width: int) -> None:
        content = self._content(path)
        for _ in range(count):
            if content.partial:
                number, text = int(content.partial), ""
            else:
                number = self.next_number
                text = f"{number:04}"
                self.next_number += 1
            content.partial = ""
            content.lines.append(number)
            self._put(path, f"{text};{'x' * width}\n")

    def _content(self, path: Path) -> Content:
        if path not in self.at:
            self.at[path] = self._new()
        return self.at[path]

    def _new(self) -> Content:
        content = Content()
        self.everything.append(content)
        return content

    @staticmethod
    def _put(path: Path, text: str) -> None:
        with path.open("a", encoding="ascii") as file:
            file.write(text)

    @staticmethod
    def _numbered(log: Path, number: int) -> Path:
        return log.with_name(f"{log.name}.{number}")

    def _shift(self, log: Path) -> None:
        rotated = [path for path in self.at if path.name.startswith(f"{log.name}.")]
        for path in sorted(rotated, key=lambda p: int(p.name.split(".")[2]), reverse=True):
            _, _, number, *packed = path.name.split(".")
            self._move(path, path.with_name(".".join([log.name, str(int(number) + 1), *packed])))

    def _move(self, path: Path, to: Path) -> None:
        path.rename(to)
        self.at[to] = self.at.pop(path)

    def _is_held(self, path: Path) -> bool:
        """Whether the agent has the file open."""
        status = path.stat()
        return (
            self.is_up and (status.st_dev, status.st_ino) in self.rig.agent._watcher.followed.files
        )

    def _is_seen(self, path: Path) -> bool:
        return self._is_held(path) or self._is_known(path)

    def _is_begun(self, path: Path) -> bool:
        status = path.stat()
        file = self.rig.agent._watcher.followed.files[status.st_dev, status.st_ino][1]
        return bool(file.head) and not file.was_truncated()

    def _is_known(self, path: Path) -> bool:
        """Whether the next process would remember what the file holds now."""
        with path.open("rb") as file:
            return any(
                position.head_length and is_same_content(file.fileno(), position)
                for position in self._positions()
            )

    def _positions(self) -> Iterator[FilePosition]:
        yield from self.rig.checkpoint.positions
        for entry in self._spooled():
            yield from entry.positions

    def _spooled(self) -> list[Entry]:
        paths = sorted((self.rig.state / "spool").glob("*.entry"))
        return [decode_entry(path.read_bytes()) for path in paths]

    def _durable(self) -> set[int]:
        """Lines that outlive a kill of the agent, wherever their files are."""
        return {*self.arrived, *numbers_of(self._spooled())}

    def _cut(self, content: Content, *, is_known: bool) -> None:
        """Lines that are in no file any more are lost unless the agent has them on disk."""
        unread = set(content.lines) - self._durable()
        self.may_be_lost |= unread
        if is_known:
            self.cuts.append(unread)

    def _take_new(self, since: int) -> None:
        """What the fences let through of the entries delivered since."""
        for entry in self.rig.entries[since:]:
            if entry.last_seq > self.last_seq:
                self.last_seq = entry.last_seq
                self.arrived += numbers_of([entry])


def numbers_of(entries: Sequence[Entry]) -> list[int]:
    """The numbers of the whole lines in entries; beginnings of lines that never ended are none."""
    logs = [r for entry in entries for r in records_of(entry, RecordKind.LOGS)]
    lines = [r.message for r in logs if isinstance(r, LogLine)]
    return [int(line.split(";")[0]) for line in lines if ";" in line]


def run_model(examples: int, seed: int) -> None:
    """Let hypothesis look for a sequence of steps that breaks the promise."""
    configuration = settings(
        max_examples=examples,
        stateful_step_count=30,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    # durability is another test's matter (test_power_cut), and the disk's fsync is slow
    with (
        patch("os.fsync", lambda _: None),
        patch("ingest.watch.log"),
        patch("ingest.open_files.log"),
    ):
        run_state_machine_as_test(with_seed(seed)(FileModel), settings=configuration)


def test_some_sequences_of_file_operations(fault_seed: int) -> None:
    """Exact over some dozens of sequences, in every run."""
    run_model(40, fault_seed)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_5000_sequences_of_file_operations(
    fault_seed: int, fault_rounds: Callable[[int], int], fault_table: FaultTable
) -> None:
    """Exact over 5,000 sequences."""
    examples = fault_rounds(EXAMPLES)
    run_model(examples, fault_seed)
    fault_table("model of files", str(examples), "0 twice; lost only as documented and counted")
