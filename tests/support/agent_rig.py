"""The agent in this process, on real files with a clock turned by hand; the test is its Kafka."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from contracts import arrow
from contracts.clock import ManualClock
from contracts.records import Event, Record, RecordKind
from contracts.results import DeadLetter
from contracts.topics import TELEMETRY
from ingest.agent import Agent
from ingest.checkpoint import Checkpoint
from ingest.receiver.inbox import Inbox
from ingest.settings import AgentConfig
from ingest.spool import Entry, Spool

NOW = 1_795_428_000_000


class Rig:
    """An agent whose spool the test empties, as Kafka's acknowledgements would."""

    def __init__(
        self,
        tmp_path: Path,
        source: Mapping[str, Any],
        clock: ManualClock | None = None,
        **config: Any,
    ) -> None:
        defaults = {"paths": [str(tmp_path / "*.log")], "service": "shop", "release": "1"}
        settings = {"agent": "a", "files": [{**defaults, **source}], **config}
        self.config = msgspec.convert(settings, AgentConfig, dec_hook=lambda t, v: t(v))
        self.state = tmp_path / "state"
        self.clock = clock or ManualClock(now_ms=NOW)
        self.entries: list[Entry] = []
        self.wake = threading.Event()
        self.start()

    def start(self) -> None:
        """Begin as a new process would."""
        self.spool = Spool(self.state / "spool", self.config.spool.max_bytes)
        self.checkpoint = Checkpoint(self.state / "checkpoint.json", self.clock)
        self.inbox = None if self.config.receiver is None else Inbox(self.wake)
        self.agent = Agent(
            self.config,
            host="h",
            spool=self.spool,
            checkpoint=self.checkpoint,
            sampler=None,
            clock=self.clock,
            inbox=self.inbox,
        )

    def crash(self) -> None:
        """End without tidying up, then begin again."""
        self.agent._watcher.close()
        self.start()

    def run(self, seconds: float = 2.0) -> None:
        """Let time pass in steps, and acknowledge everything."""
        for _ in range(int(seconds / 0.25)):
            self.clock.advance(0.25)
            while self.agent.step():
                pass
        self.acknowledge()

    def acknowledge(self) -> None:
        """Do as the shipper does once Kafka has an entry."""
        while (entry := self.spool.next_entry(0)) is not None:
            self.entries.append(entry)
            self.checkpoint.advance(entry.positions, entry.last_seq, entry.received)
            self.checkpoint.save()
            self.spool.remove([entry.seq])

    def records(self, kind: RecordKind = RecordKind.EVENTS) -> list[Record]:
        """Everything acknowledged, sequence numbers checked to rise."""
        found: list[Record] = []
        last = 0
        for entry in self.entries:
            assert entry.seq > last
            last = entry.last_seq
            found += records_of(entry, kind)
        return found

    def users(self) -> list[str]:
        """Users of all events: the tests number lines by them."""
        return [r.user or "" for r in self.records() if isinstance(r, Event)]

    def letters(self) -> list[DeadLetter]:
        """All dead letters."""
        return [
            msgspec.json.decode(m.value, type=DeadLetter)
            for entry in self.entries
            for m in entry.messages
            if m.topic == "coalmine.deadletters"
        ]


def records_of(entry: Entry, kind: RecordKind) -> list[Record]:
    """The records of one kind in an entry."""
    values = [m.value for m in entry.messages if m.topic == TELEMETRY[kind].name]
    return [r for v in values for r in arrow.records_from_batch(kind, arrow.decode(kind, v))]


def line(user: str, padding: int = 60) -> str:
    """A JSON event, long enough that its beginning tells files apart."""
    return f'{{"time": {NOW}, "user": "{user}", "x": "{"x" * padding}"}}\n'


def append(path: Path, *users: str) -> None:
    """Write lines at the end of a file."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(line(user) for user in users)
