"""Kafka killed, paused, slow, cut and flapping between the broker and the workers.

The workers reach the broker through a proxy; the test writes and reads beside it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from tests.faults.conftest import FaultTable
from tests.integration.streams.conftest import WorkerProcess
from tests.support.crew import Crew, Traffic
from tests.support.kafka_faults import FAULTS, KafkaFaults
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def crew(broker: ProxiedKafka, tmp_path: Path) -> Iterator[Crew]:
    """Two workers behind the proxy."""
    crew = Crew(3, {**os.environ, "COALMINE_KAFKA": broker.proxy.address}, tmp_path)
    crew.start()
    yield crew
    crew.stop()
    print(crew.logs())


def test_counts_are_exact_although_connections_to_kafka_are_cut(
    broker: ProxiedKafka, crew: Crew, fault_seed: int
) -> None:
    """The short form: cut amid the traffic, and a short pause."""
    traffic = Traffic(broker.settings, random.Random(fault_seed), services=2)
    faults = KafkaFaults(broker)
    for fault, seconds in ((faults.cut, 2.0), (faults.paused, 2.0)):
        traffic.send(12)
        fault(seconds)
        crew.tend()
    check_tended(traffic, crew)


def test_a_worker_ends_when_it_is_told_to_although_kafka_does_not_answer(
    broker: ProxiedKafka, tmp_path: Path
) -> None:
    """Faust would wait for Kafka, until somebody loses patience and kills it."""
    environment = {**os.environ, "COALMINE_KAFKA": broker.proxy.address}
    log = tmp_path / "worker.log"
    worker = WorkerProcess(["worker", "--state", str(tmp_path)], environment, log)
    worker.start()
    wait_until(lambda: "kafka_answers" in log.read_text(encoding="utf-8"), timeout_s=60)
    broker.proxy.pause()
    try:
        assert worker.stop() == 0
    finally:
        broker.proxy.resume()
    assert "stopped_without_kafka" in log.read_text(encoding="utf-8")


@pytest.mark.faults
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("name", "seconds"),
    [("none", 5.0), *FAULTS.items()],
)
def test_counts_are_exact_after_every_fault_of_kafka(
    broker: ProxiedKafka,
    crew: Crew,
    name: str,
    seconds: float,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The full form: how long until everything is counted, from the end of the fault."""
    rounds, chosen = fault_rounds(20), random.Random(fault_seed)
    took_s = []
    first = Traffic(broker.settings, chosen, services=1)
    first.send(3)
    check_tended(first, crew)  # all are up
    for _ in range(rounds):
        traffic = Traffic(broker.settings, chosen, services=2)
        traffic.send(12)
        time.sleep(chosen.uniform(0, 2))
        getattr(KafkaFaults(broker), name)(seconds)
        traffic.send(12)
        since = time.monotonic()
        check_tended(traffic, crew)
        took_s.append(time.monotonic() - since)
        print(
            f"seed {fault_seed}: {name}: exact {took_s[-1]:.1f} s after, {crew.restarts} restarts"
        )
    result = (
        f"0 lost, 0 twice; all counted {median(took_s):.1f} s after (largest {max(took_s):.1f})"
    )
    fault_table(f"Kafka {name} for {seconds:g} s (worker)", rounds, result)


def check_tended(traffic: Traffic, crew: Crew) -> None:
    """Check, while workers that ended are started again."""
    traffic.check(meanwhile=crew.tend)
