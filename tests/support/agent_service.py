"""A service whose log is written and rotated, and the agent process that ships it to Kafka."""

from __future__ import annotations

import random
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
from tests.support.log_writer import LogWriter, Rotation, line_of
from tests.support.oracle import Finding, judge
from tests.support.waiting import wait_until

ROTATE_WAIT_S = 300.0
"""An agent's own; only rounds of many minutes see it pass."""


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

    def write_while_killed(self, chosen: random.Random, kills: int) -> int:
        """The agent lives 0.6 to 2.5 s and is away up to 0.8 s, so often; gives the lines."""
        with self.agent() as agent:
            agent.wait_for("agent_started")
            with LogWriter(self.log, self.name, self.rotation) as writer:
                for _ in range(kills):
                    time.sleep(chosen.uniform(0.6, 2.5))
                    agent.kill()
                    time.sleep(chosen.uniform(0.05, 0.8))
                    agent = self.agent()  # noqa: PLW2901 - the next life
                written = writer.stop()
                agent.kill()
        return written

    def settle(self, written: int) -> None:
        """Let a last, undisturbed agent catch up; then a fresh line must still flow."""
        with self.agent() as agent:
            self.finish(agent, written)

    def finish(self, agent: AgentProcess, written: int) -> None:
        """Let this agent catch up, ship a fresh line, and end."""
        wait_until(self._is_caught_up, 60)
        with self.log.open("ab") as file:
            file.write(line_of(self.name, written, time.time_ns() // 1_000_000))
        wait_until(self._is_caught_up, 60)
        assert agent.stop() == 0

    def _is_caught_up(self) -> bool:
        """Rotated files that rested for ``rotate_wait`` are forgotten, for they were read."""
        recent_s = time.time() - ROTATE_WAIT_S / 2
        logs = [log for log in self.logs if log.stat().st_mtime >= recent_s]
        return is_all_acknowledged(self.state, logs)

    def finding(self, written: int) -> tuple[Finding, int]:
        """What arrived behind the fences, and how many repetitions reached Kafka before them."""
        found = list(batches(self.settings, RecordKind.EVENTS, self.name))
        raw = sum(len(records) for _, records in found)
        events = [record for record in fenced(found) if isinstance(record, Event)]
        return judge(events, written, self.logs), raw - len(events)
