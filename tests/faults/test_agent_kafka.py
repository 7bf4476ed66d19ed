"""Kafka killed, paused, slow, cut and flapping between the broker and the agent.

The agent reaches the broker through a proxy; the test reads beside it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from tests.faults.conftest import FaultTable
from tests.support.agent_service import Service
from tests.support.kafka_faults import FAULTS, KafkaFaults
from tests.support.log_writer import LogWriter, Rotation
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.stack import unique
from tests.support.watching import Arrivals, Memory

pytestmark = pytest.mark.integration

GROWTH_MIB = 20.0
"""What the agent may take more than before the first fault."""
WARM_UP_S = 10.0


class Outage(NamedTuple):
    """What one fault did to the agent."""

    going_on_s: float
    """From its end until batches come again: the second, as one may have been on its way."""
    fresh_s: float
    """From its end until a line that was written after it is in Kafka: all others are, too."""
    before_mib: float
    """Resident memory of the agent before it."""
    peak_mib: float
    """The most from its begin until the fresh line."""
    after_mib: float
    """Then."""

    def __str__(self) -> str:
        return (
            f"going on after {self.going_on_s:.1f} s, caught up after {self.fresh_s:.1f} s, "
            f"{self.before_mib:.0f} MiB before, {self.peak_mib:.0f} at most, "
            f"{self.after_mib:.0f} after"
        )


@pytest.fixture
def behind_proxy(broker: ProxiedKafka, tmp_path: Path) -> Service:
    """A service whose agent reaches Kafka through the proxy."""
    name = unique("behind-proxy")
    environment = {"COALMINE_KAFKA": broker.proxy.address}
    folder = tmp_path / name
    state, as_shipped = folder / "state", "500ms"
    return Service(folder, Rotation.RENAME, environment, broker.settings, name, state, as_shipped)


def one_outage(fault: Callable[[], None], arrivals: Arrivals, memory: Memory) -> Outage:
    """Let it come and pass, until everything that was written meanwhile is in Kafka."""
    before_mib = memory.begin()
    fault()
    over_s, over_ms = time.monotonic(), time.time_ns() // 1_000_000
    first = arrivals.wait_for(lambda seen: seen.at_s >= over_s, "a batch after the fault")
    going_on = arrivals.wait_for(
        lambda seen: seen.at_s >= over_s and seen.seq > first.seq, "another batch"
    )
    fresh = arrivals.wait_for(lambda seen: seen.newest_ms >= over_ms, "a line after the fault")
    return Outage(
        going_on_s=going_on.at_s - over_s,
        fresh_s=fresh.at_s - over_s,
        before_mib=before_mib,
        peak_mib=memory.peak_mib,
        after_mib=memory.now_mib(),
    )


def suffer(
    service: Service, faults: Sequence[Callable[[], None]], chosen: random.Random, warm_up_s: float
) -> tuple[list[Outage], int]:
    """One fault after the other while the service writes; also gives the lines written."""
    outages: list[Outage] = []
    with service.agent() as agent, Arrivals(service.settings, service.name) as arrivals:
        # what is rotated before an agent's first look is history
        agent.wait_for("agent_started")
        with (
            LogWriter(service.log, service.name, service.rotation) as writer,
            Memory(agent.pid) as memory,
        ):
            arrivals.wait_for(lambda _: True, "a first batch")
            time.sleep(warm_up_s)
            for fault in faults:
                outages.append(one_outage(fault, arrivals, memory))
                print(outages[-1], flush=True)
                time.sleep(chosen.uniform(0, 3))
            written = writer.stop()
            service.finish(agent, written)
    return outages, written + 1


def check(service: Service, outages: Sequence[Outage], written: int) -> str:
    """Nothing lost, nothing twice, and no more memory; the result for the table."""
    finding, repeated = service.finding(written)
    grown_mib = max(outage.peak_mib for outage in outages) - outages[0].before_mib
    going_on = [outage.going_on_s for outage in outages]
    fresh = [outage.fresh_s for outage in outages]
    result = (
        f"{finding}; {repeated} repeated before the fences; going on after {median(going_on):.1f} s"
        f" (largest {max(going_on):.1f}), a fresh line in Kafka after {median(fresh):.1f} s "
        f"(largest {max(fresh):.1f}); at most {grown_mib:+.1f} MiB of memory"
    )
    print(result)
    assert finding.is_exact, f"{result}; first lost {finding.lost[:20]}"
    assert grown_mib <= GROWTH_MIB, result
    return result


def test_the_agent_goes_on_although_connections_to_kafka_are_cut(
    broker: ProxiedKafka, behind_proxy: Service, fault_seed: int
) -> None:
    """The short form: cut amid the traffic, and a short pause."""
    faults = KafkaFaults(broker)
    short = [lambda: faults.cut(1.0), lambda: faults.paused(1.0)]
    outages, written = suffer(behind_proxy, short, random.Random(fault_seed), 0.5)
    check(behind_proxy, outages, written)


@pytest.mark.faults
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("name", "seconds"), FAULTS.items())
def test_the_agent_goes_on_after_every_fault_of_kafka(
    broker: ProxiedKafka,
    behind_proxy: Service,
    name: str,
    seconds: float,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The full form: memory over all rounds, and how long until lines flow again."""
    rounds, fault = fault_rounds(20), getattr(KafkaFaults(broker), name)
    print(f"seed {fault_seed}: {rounds} times {name} for {seconds:g} s")
    outages, written = suffer(
        behind_proxy, [lambda: fault(seconds)] * rounds, random.Random(fault_seed), WARM_UP_S
    )
    result = check(behind_proxy, outages, written)
    fault_table(f"Kafka {name} for {seconds:g} s (agent)", rounds, result)
