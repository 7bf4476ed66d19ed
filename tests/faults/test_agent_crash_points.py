"""SIGKILL of the agent at named points: spool, send, acknowledge, checkpoint, rotate, start."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.conftest import FaultTable
from tests.support.agent_service import Service
from tests.support.crashing_agent import POINTS
from tests.support.log_writer import LogWriter, Rotation

pytestmark = pytest.mark.integration

ROUNDS = 3
SHORT = ("checkpoint: complete, entries not deleted", "rotate: copy opened")


def crash_at(service: Service, names: list[str], rounds: int, seed: int) -> str:
    """Die at each point so often while a log is written and cut; the result for the table."""
    chosen = random.Random(seed)
    print(f"seed {seed}, {len(names)} points x {rounds}")
    with service.agent() as agent:  # what was rotated before an agent's first look is history
        agent.wait_for("agent_started")
        assert agent.stop() == 0
    with LogWriter(
        service.log, service.name, service.rotation, lines_per_s=1_000, rotate_every_s=1.0
    ) as writer:
        for name in names * rounds:
            count = 1 if name.startswith("start") else chosen.randint(1, 3)
            point = "-m", "tests.support.crashing_agent", name, str(count)
            with service.agent(*point) as agent:
                assert agent.wait_for_end() == -9, name
        written = writer.stop()
    service.settle(written)
    finding, repeated = service.finding(written + 1)
    result = f"{finding}; {repeated} repeated in Kafka, before the fences"
    print(result)
    assert finding.is_exact, f"{result}; first lost {finding.lost[:20]}"
    return result


def test_some_crash_points(service: Callable[[Rotation], Service], fault_seed: int) -> None:
    """A crash at any of them loses nothing and shows nothing twice behind the fences."""
    crash_at(service(Rotation.COPYTRUNCATE), list(SHORT), 1, fault_seed)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_every_crash_point(
    service: Callable[[Rotation], Service],
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The same at every point, three times, in a random order."""
    rounds = fault_rounds(ROUNDS)
    names = random.Random(fault_seed).sample(list(POINTS), len(POINTS))
    result = crash_at(service(Rotation.COPYTRUNCATE), names, rounds, fault_seed)
    fault_table("named crash points of the agent", f"{len(POINTS)} x {rounds}", result)
