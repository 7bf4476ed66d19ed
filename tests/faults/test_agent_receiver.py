"""SIGKILL of an agent that receives crashes over HTTP, between any two steps of its work."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from coalmine.stack.ports import free_port
from contracts.settings import KafkaSettings
from tests.faults.conftest import FaultTable
from tests.support.crashing_agent import RECEIVER_POINTS
from tests.support.receiving_agent import Receiving
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def receiving(
    tmp_path: Path, stack_environment: Mapping[str, str], kafka_settings: KafkaSettings
) -> Receiving:
    """One of its own for each test."""
    name = unique("receiving")
    return Receiving(name, tmp_path, free_port(), stack_environment, kafka_settings)


def killed_at(receiving: Receiving, points: Sequence[str], seed: int) -> str:
    """Die at each point while crashes are sent; the result for a table."""
    chosen = random.Random(seed)
    print(f"seed {seed}, {len(points)} points")
    with receiving.sending() as taken:
        for point in points:
            program = "-m", "tests.support.crashing_agent", point, str(chosen.randint(1, 5))
            with receiving.agent(*program) as agent:
                assert agent.wait_for_end() == -9, point
    with receiving.agent() as agent:
        # the one in hand when the last agent died was perhaps taken, but not answered
        wait_until(lambda: receiving.send(len(taken)) == 200, 60)
        wait_until(receiving.is_all_shipped, 60)
        assert agent.stop() == 0
    found = receiving.arrived()
    lost = set(map(str, range(len(taken) + 1))) - set(found)
    doubled = [number for number, count in found.items() if count > 1]
    result = f"{len(taken) + 1} crashes answered, {len(lost)} lost, {len(doubled)} doubled"
    print(result)
    assert not lost, result
    assert not doubled, result
    return result


def test_killed_between_two_steps(receiving: Receiving, fault_seed: int) -> None:
    """Before the spool's sync, before the answer, before the note: none lost, none doubled."""
    points = ("receive: written, not synced", "receive: spooled, not answered")
    killed_at(receiving, points, fault_seed)


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_killed_at_every_step(
    receiving: Receiving,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The same at each point, ten times."""
    rounds = fault_rounds(10)
    points = list(RECEIVER_POINTS) * rounds
    random.Random(fault_seed).shuffle(points)
    result = killed_at(receiving, points, fault_seed)
    fault_table("SIGKILL of an agent that receives crashes over HTTP", len(points), result)
