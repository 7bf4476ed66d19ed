"""Workers killed, wedged, joining and leaving amid the traffic: every event counts once.

The counts are compared with an offline recount, the decision with that of an undisturbed judge.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from contracts.settings import KafkaSettings
from tests.faults.conftest import FaultTable
from tests.support.crew import Crew, Traffic

pytestmark = pytest.mark.integration


@pytest.fixture
def crew(
    stack_environment: Mapping[str, str], kafka_settings: KafkaSettings, tmp_path: Path
) -> Iterator[Crew]:
    """Two workers and a guest."""
    assert kafka_settings.bootstrap  # its topics are there
    crew = Crew(3, stack_environment, tmp_path)
    crew.start()
    yield crew
    crew.stop()
    print(crew.logs())


def test_counts_are_exact_although_workers_are_killed_and_others_join(
    crew: Crew, kafka_settings: KafkaSettings, fault_seed: int
) -> None:
    """The short form: two kills and a rebalance each way amid the traffic."""
    chosen = random.Random(fault_seed)
    traffic = Traffic(kafka_settings, chosen, services=2)
    for fault in (crew.kill, crew.rebalance, crew.kill, crew.rebalance):
        traffic.send(8)
        time.sleep(chosen.uniform(0.2, 1.5))
        fault(chosen)
        crew.tend()
    traffic.check(meanwhile=crew.tend)


@pytest.mark.faults
@pytest.mark.timeout(0)
def test_counts_are_exact_after_kills_rebalances_and_wedged_workers(
    crew: Crew,
    kafka_settings: KafkaSettings,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The full form: of ten faults six are kills, three rebalances, one a wedged worker."""
    chosen = random.Random(fault_seed)
    kinds = [crew.kill] * 6 + [crew.rebalance] * 3 + [crew.wedge]
    done = {kind.__name__: 0 for kind in kinds}
    rounds = fault_rounds(17)
    for number in range(rounds):
        traffic = Traffic(kafka_settings, chosen, services=3)
        for fault in chosen.sample(kinds, len(kinds)):
            traffic.send(4)
            time.sleep(chosen.uniform(0, 3))
            fault(chosen)
            done[fault.__name__] += 1
            crew.tend()
        traffic.check(meanwhile=crew.tend)
        print(f"seed {fault_seed}: round {number} exact after {done}, {crew.restarts} restarts")
    for name, count in done.items():
        fault_table(f"worker: {name}", count, "counts equal the recount, decisions the undisturbed")
