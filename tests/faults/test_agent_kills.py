"""SIGKILL of the agent at any moment, while 3,000 lines a second are written and rotated."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.records import Event, RecordKind
from contracts.settings import KafkaSettings
from tests.faults.conftest import FaultTable
from tests.integration.ingest.agent_process import (
    AgentProcess,
    batches,
    fenced,
    is_all_acknowledged,
    write_config,
)
from tests.support.log_writer import LogWriter, Rotation, line_of
from tests.support.oracle import Finding, judge
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

SEEDS = 5
KILLS = 40
"""For each seed: 200 over all."""


@dataclass(slots=True)
class Service:
    """A service whose log is written and rotated, and the agent that ships it."""

    folder: Path
    rotation: Rotation
    environment: Mapping[str, str]
    settings: KafkaSettings
    name: str

    @property
    def log(self) -> Path:
        """The log as the glob names it."""
        return self.folder / "logs" / "access.log"

    @property
    def logs(self) -> list[Path]:
        """The log and what rotation made of it."""
        return sorted(self.log.parent.iterdir())

    def agent(self) -> AgentProcess:
        """The real agent, started."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        config = write_config(
            self.folder / "agent.yaml",
            {
                "agent": self.name,
                "state_dir": str(self.folder / "state"),
                "batch": {"max_age": "100ms"},
                "files": [{"paths": [str(self.log)], "idle_flush": "2s"}],
            },
        )
        return AgentProcess(config, self.environment, self.folder / "agent.log")

    def settle(self, written: int) -> None:
        """Let a last, undisturbed agent catch up; then a fresh line must still flow."""
        with self.agent() as agent:
            wait_until(lambda: is_all_acknowledged(self.folder / "state", self.logs), 60)
            with self.log.open("ab") as file:
                file.write(line_of(self.name, written, time.time_ns() // 1_000_000))
            wait_until(lambda: is_all_acknowledged(self.folder / "state", self.logs), 60)
            assert agent.stop() == 0

    def finding(self, written: int) -> tuple[Finding, int]:
        """What arrived behind the fences, and how many repetitions reached Kafka before them."""
        found = list(batches(self.settings, RecordKind.EVENTS, self.name))
        raw = sum(len(records) for _, records in found)
        events = [record for record in fenced(found) if isinstance(record, Event)]
        return judge(events, written, self.logs), raw - len(events)


@pytest.fixture
def service(
    tmp_path: Path, stack_environment: Mapping[str, str], kafka_settings: KafkaSettings
) -> Callable[[Rotation], Service]:
    """Makes services, each in a folder of its own."""

    def make(rotation: Rotation) -> Service:
        name = unique(rotation)
        return Service(tmp_path / name, rotation, stack_environment, kafka_settings, name)

    return make


def kill_again_and_again(service: Service, chosen: random.Random, kills: int) -> int:
    """The agent lives 0.6 to 2.5 s and is away up to 0.8 s, so often; gives the lines written."""
    with service.agent() as agent:
        agent.wait_for("agent_started")
        with LogWriter(service.log, service.name, service.rotation) as writer:
            for _ in range(kills):
                time.sleep(chosen.uniform(0.6, 2.5))
                agent.kill()
                time.sleep(chosen.uniform(0.05, 0.8))
                agent = service.agent()  # noqa: PLW2901 - the next life
            written = writer.stop()
            agent.kill()
    return written


def check(
    service: Callable[[Rotation], Service], rotation: Rotation, seeds: range, kills: int
) -> str:
    """Every line in a file arrives once behind the fences; the row for the table."""
    lines = repeated = cut_away = rescued = 0
    for seed in seeds:
        made = service(rotation)
        print(f"seed {seed}, rotation {rotation}, {kills} kills")
        written = kill_again_and_again(made, random.Random(seed), kills)
        made.settle(written)
        finding, repetitions = made.finding(written + 1)
        print(f"  {finding}; {repetitions} repeated in Kafka, before the fences")
        assert finding.is_exact, f"seed {seed}: {finding}; first lost {finding.lost[:20]}"
        lines += finding.written
        repeated += repetitions
        cut_away += finding.in_no_file
        rescued += finding.rescued
    result = f"{lines} lines: 0 lost, 0 twice behind the fences; {repeated} repeated before them"
    if rotation is Rotation.COPYTRUNCATE:
        result += f"; copytruncate itself cut away {cut_away}, {rescued} of them arrived"
    return result


@pytest.mark.parametrize("rotation", Rotation)
def test_a_few_kills(
    service: Callable[[Rotation], Service], rotation: Rotation, fault_seed: int
) -> None:
    """Nothing lost, nothing twice, nothing altered, in order, and a fresh line still flows."""
    check(service, rotation, range(fault_seed, fault_seed + 1), 3)


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rotation", Rotation)
def test_200_kills(
    service: Callable[[Rotation], Service],
    rotation: Rotation,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The same over 200 kills and 5 seeds for each kind of rotation."""
    kills = fault_rounds(KILLS)
    seeds = range(fault_seed, fault_seed + SEEDS)
    result = check(service, rotation, seeds, kills)
    fault_table(f"SIGKILL of the agent, rotation {rotation}", f"{SEEDS} x {kills}", result)
