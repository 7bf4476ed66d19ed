"""Kafka killed, paused, slow, cut and flapping between the broker and the workers.

The workers reach the broker through a proxy; the test writes and reads beside it.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from coalmine.stack.topics import ensure_topics
from contracts.settings import KafkaSettings
from contracts.settings import kafka_settings as read_kafka_settings
from tests.faults.conftest import FaultTable
from tests.support.crew import Crew, Traffic
from tests.support.proxied_kafka import ProxiedKafka

pytestmark = pytest.mark.integration

KILLED_S, PAUSED_S = 40.0, 60.0


@pytest.fixture(scope="module")
def broker() -> Iterator[ProxiedKafka]:
    """A broker of this module's own, with every topic."""
    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        broker = ProxiedKafka(Path(name))
        with broker.proxy:
            broker.start()
            ensure_topics(settings_of(broker))
            yield broker
            broker.stop()


def settings_of(broker: ProxiedKafka) -> KafkaSettings:
    """The way beside the proxy."""
    return read_kafka_settings({"COALMINE_KAFKA": broker.address})


@pytest.fixture
def crew(broker: ProxiedKafka, tmp_path: Path) -> Iterator[Crew]:
    """Two workers behind the proxy."""
    crew = Crew(3, {**os.environ, "COALMINE_KAFKA": broker.proxy.address}, tmp_path)
    crew.start()
    yield crew
    crew.stop()
    print(crew.logs())


class Faults:
    """What can happen between broker and workers; each lasts ``seconds`` and is over at its end."""

    def __init__(self, broker: ProxiedKafka) -> None:
        self.broker = broker

    def none(self, seconds: float) -> None:
        """Nothing, to compare with."""
        time.sleep(seconds)

    def killed(self, seconds: float) -> None:
        """SIGKILL of the broker, and a start on the same data."""
        self.broker.kill()
        time.sleep(seconds)
        self.broker.start()

    def paused(self, seconds: float) -> None:
        """Connections stand and nothing moves."""
        self.broker.proxy.pause()
        time.sleep(seconds)
        self.broker.proxy.resume()

    def slow(self, seconds: float) -> None:
        """Half a second each way, 20 KB/s."""
        self.broker.proxy.delay_s, self.broker.proxy.bytes_per_s = 0.5, 20_000
        time.sleep(seconds)
        self.broker.proxy.delay_s, self.broker.proxy.bytes_per_s = 0.0, 0

    def cut(self, seconds: float) -> None:
        """Every connection reset, again and again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.broker.proxy.cut()
            time.sleep(0.7)

    def flapping(self, seconds: float) -> None:
        """Gone and back every three seconds."""
        with self.broker.proxy.flapping(3.0):
            time.sleep(seconds)


def test_counts_are_exact_although_connections_to_kafka_are_cut(
    broker: ProxiedKafka, crew: Crew, fault_seed: int
) -> None:
    """The short form: cut amid the traffic, and a short pause."""
    traffic = Traffic(settings_of(broker), random.Random(fault_seed), services=2)
    faults = Faults(broker)
    for fault, seconds in ((faults.cut, 2.0), (faults.paused, 2.0)):
        traffic.send(12)
        fault(seconds)
        crew.tend()
    check_tended(traffic, crew)


@pytest.mark.faults
@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("none", 5.0),
        ("killed", KILLED_S),
        ("paused", PAUSED_S),
        ("slow", 20.0),
        ("cut", 20.0),
        ("flapping", 20.0),
    ],
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
    first = Traffic(settings_of(broker), chosen, services=1)
    first.send(3)
    check_tended(first, crew)  # all are up
    for _ in range(rounds):
        traffic = Traffic(settings_of(broker), chosen, services=2)
        traffic.send(12)
        time.sleep(chosen.uniform(0, 2))
        getattr(Faults(broker), name)(seconds)
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
