"""A service whose log is written and rotated, and the agent process that ships it to Kafka."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.records import Event, RecordKind
from contracts.settings import KafkaSettings
from tests.integration.ingest.agent_process import (
    AgentProcess,
    batches,
    fenced,
    is_all_acknowledged,
    write_config,
)
from tests.support.log_writer import Rotation, line_of
from tests.support.oracle import Finding, judge
from tests.support.waiting import wait_until


@dataclass(slots=True)
class Service:
    """A service whose log is written and rotated, and the agent that ships it."""

    folder: Path
    rotation: Rotation
    environment: Mapping[str, str]
    settings: KafkaSettings
    name: str
    state: Path
    """The agent's state_dir."""
    max_age: str = "100ms"
    """Of a batch; shorter than an agent's own half second, so that a kill finds many of them."""

    @property
    def log(self) -> Path:
        """The log as the glob names it."""
        return self.folder / "logs" / "access.log"

    @property
    def logs(self) -> list[Path]:
        """The log and what rotation made of it."""
        return sorted(self.log.parent.iterdir())

    def agent(self, *program: str) -> AgentProcess:
        """The real agent, started; ``program`` as for ``AgentProcess``."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        config = write_config(
            self.folder / "agent.yaml",
            {
                "agent": self.name,
                "state_dir": str(self.state),
                "batch": {"max_age": self.max_age},
                "files": [{"paths": [str(self.log)], "idle_flush": "2s"}],
            },
        )
        return AgentProcess(config, self.environment, self.folder / "agent.log", program)

    def settle(self, written: int) -> None:
        """Let a last, undisturbed agent catch up; then a fresh line must still flow."""
        with self.agent() as agent:
            self.finish(agent, written)

    def finish(self, agent: AgentProcess, written: int) -> None:
        """Let this agent catch up, ship a fresh line, and end."""
        wait_until(lambda: is_all_acknowledged(self.state, self.logs), 60)
        with self.log.open("ab") as file:
            file.write(line_of(self.name, written, time.time_ns() // 1_000_000))
        wait_until(lambda: is_all_acknowledged(self.state, self.logs), 60)
        assert agent.stop() == 0

    def finding(self, written: int) -> tuple[Finding, int]:
        """What arrived behind the fences, and how many repetitions reached Kafka before them."""
        found = list(batches(self.settings, RecordKind.EVENTS, self.name))
        raw = sum(len(records) for _, records in found)
        events = [record for record in fenced(found) if isinstance(record, Event)]
        return judge(events, written, self.logs), raw - len(events)
