"""SIGKILL of the agent at any moment, while 3,000 lines a second are written and rotated."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.conftest import FaultTable
from tests.support.agent_service import Service
from tests.support.log_writer import Rotation

pytestmark = pytest.mark.integration

SEEDS = 5
KILLS = 40
"""For each seed: 200 over all."""


def check(service: Service, seed: int, kills: int) -> str:
    """Every line in a file arrives once behind the fences; the result for the table."""
    print(f"seed {seed}, rotation {service.rotation}, {kills} kills")
    written = service.write_while_killed(random.Random(seed), kills)
    service.settle(written)
    finding, repeated = service.finding(written + 1)
    result = f"{finding}; {repeated} repeated in Kafka, before the fences"
    print(result)
    assert finding.is_exact, f"{result}; first lost {finding.lost[:20]}"
    return result


@pytest.mark.parametrize("rotation", [Rotation.RENAME, Rotation.COPYTRUNCATE])
def test_a_few_kills(
    service: Callable[[Rotation], Service], rotation: Rotation, fault_seed: int
) -> None:
    """Nothing lost, nothing twice, nothing altered, in order, and a fresh line still flows."""
    check(service(rotation), fault_seed, 2)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("rotation", Rotation)
@pytest.mark.parametrize("nth", range(SEEDS))
def test_200_kills(
    service: Callable[[Rotation], Service],
    rotation: Rotation,
    nth: int,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The same over 200 kills and 5 seeds for each kind of rotation."""
    kills, seed = fault_rounds(KILLS), fault_seed + nth
    result = check(service(rotation), seed, kills)
    fault_table(f"SIGKILL of the agent, rotation {rotation}, seed {seed}", kills, result)
