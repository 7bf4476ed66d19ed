"""Everything killed at once, servers and all, while services write: nothing lost, nothing twice."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import pytest

from coalmine.cli.state import Running
from contracts.settings import kafka_settings
from tests.faults.conftest import FaultTable
from tests.support.agent_service import Service
from tests.support.alerting import Receiver, listen, receiver
from tests.support.everything import Everything, Shop, arguments, counted
from tests.support.health import families, samples
from tests.support.log_writer import Rotation
from tests.support.stack import unique
from tests.support.waiting import wait_until

__all__ = ["listen", "receiver"]

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.timeout(0)]

MakeReceiver = Callable[[Callable[[Receiver], tuple[int, dict[str, str]]]], Receiver]
WARM_UP = 0.3
"""Share of the soak after which memory is looked at."""


@pytest.fixture
def state() -> Iterator[Path]:
    """A directory that the servers' user can enter."""
    with tempfile.TemporaryDirectory(prefix="coalmine-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def wait_for_all(running: Running, shop: Shop) -> None:
    """Until what is stored is what was written; a failure says what is stored."""
    deadline = time.monotonic() + 120
    while (found := counted(running)) != shop.written:
        assert time.monotonic() < deadline, f"{found} stored of {shop.written}"
        time.sleep(0.5)


def test_every_line_counts_once_although_everything_is_killed_at_once(
    state: Path,
    receiver: MakeReceiver,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """Broker, store, agent, worker, indexer, alerter and dashboard; one rollback comes of it."""
    deploy_tool = receiver(lambda _: (200, {}))
    everything = Everything(state, arguments(state, deploy_tool.url))
    shop, chosen = Shop(state / "shop", fault_seed), random.Random(fault_seed)
    rounds = fault_rounds(5)
    running = everything.start()
    shop.start()
    try:
        for number in range(rounds):
            shop.has_canary = number >= 1 and not deploy_tool.hits
            time.sleep(chosen.uniform(3, 9))
            killed = everything.kill()
            print(f"seed {fault_seed}, round {number}: {killed} processes killed")
            time.sleep(chosen.uniform(0, 1))
            running = everything.start()
        wait_until(lambda: deploy_tool.hits, timeout_s=120, what="a rollback")
        shop.stop()
        wait_for_all(running, shop)
        time.sleep(3)  # what came twice would come now
        assert counted(running) == shop.written
    finally:
        everything.stop()
        everything.kill()
        print(everything.log())
    actions = {hit.headers["webhook-id"]: json.loads(hit.body)["type"] for hit in deploy_tool.hits}
    rollbacks = [name for name in actions if name.endswith("/rollback")]
    assert len(rollbacks) == 1
    lines = sum(shop.written.values())
    fault_table("everything at once", rounds, f"{lines} lines: 0 lost, 0 twice; one rollback")


def test_lines_in_elasticsearch_are_the_lines_written_although_the_agent_is_killed(
    state: Path,
    receiver: MakeReceiver,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """SIGKILL of the agent alone while 3,000 lines a second are written and rotated, all other
    processes running: what windows in Elasticsearch count is what the files hold, line by line.
    """
    everything = Everything(state, arguments(state, receiver(lambda _: (200, {})).url, "policies"))
    running, kills = everything.start(), fault_rounds(40)
    kafka = kafka_settings({"COALMINE_KAFKA": running.kafka})
    try:
        for rotation in (Rotation.RENAME, Rotation.COPYTRUNCATE):
            name = unique(rotation)
            environment = {"COALMINE_KAFKA": running.kafka}
            folder = state / name
            service = Service(folder, rotation, environment, kafka, name, folder / "state")
            written = service.write_while_killed(random.Random(fault_seed), kills)
            service.settle(written)
            finding, repeated = service.finding(written + 1)
            stored = stored_of(running, name, finding.arrived)
            result = (
                f"{finding}; {stored} counted in Elasticsearch; {repeated} repeated before the "
                "fences"
            )
            print(f"seed {fault_seed}, rotation {rotation}, {kills} kills: {result}")
            assert finding.is_exact, result
            assert stored == finding.arrived, result
            fault_table(f"SIGKILL of the agent, rotation {rotation}, counted", kills, result)
    finally:
        everything.stop()
        everything.kill()


def stored_of(running: Running, service: str, expected: int) -> int:
    """Lines of a service in Elasticsearch, once there are enough, and what came twice as well."""

    def stored() -> int:
        return counted(running, "service.name")[service]

    deadline = time.monotonic() + 120
    while stored() < expected and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(3)
    return stored()


def test_memory_and_lag_stay_bounded_for_half_an_hour(
    state: Path,
    receiver: MakeReceiver,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
    request: pytest.FixtureRequest,
) -> None:
    """As many minutes as there are rounds, at a steady load; the counts are exact at the end."""
    minutes, rate = fault_rounds(30), request.config.getoption("--soak-rate")
    lags_s: dict[str, list[float]] = {"unread": [], "unsent": [], "worker": []}
    everything = Everything(state, arguments(state, receiver(lambda _: (200, {})).url))
    shop = Shop(state / "shop", fault_seed, rate)
    running = everything.start()

    def look() -> None:
        written = sum(shop.written.values())
        agent, worker = samples(running.health["agent"]), families(running.health["worker"])
        unread = written - agent["coalmine_ingest_lines_total"]
        lags_s["unread"].append(max(0.0, unread / rate))
        lags_s["unsent"].append(agent["coalmine_ingest_sending_seconds"])
        ages_s = worker["coalmine_streams_lag_seconds"].samples
        lags_s["worker"].append(max((age_s.value for age_s in ages_s), default=0.0))

    shop.start()
    try:
        sizes = _memory(everything, minutes * 60, look)
        shop.stop()
        wait_for_all(running, shop)
    finally:
        everything.stop()
        everything.kill()
    slopes = {name: _mib_an_hour(of_one, minutes * 60) for name, of_one in sizes.items()}
    lines = sum(shop.written.values())
    third = len(lags_s["worker"]) // 3
    early_s = {name: median(lag_s[third : 2 * third]) for name, lag_s in lags_s.items()}
    late_s = {name: median(lag_s[2 * third :]) for name, lag_s in lags_s.items()}
    lags = ", ".join(
        f"{name} {early_s[name]:.1f}, later {late_s[name]:.1f} (largest {max(lag_s):.1f})"
        for name, lag_s in lags_s.items()
    )
    found = ", ".join(f"{name} {slope:+.1f}" for name, slope in sorted(slopes.items()))
    result = (
        f"{lines} lines exact ({lines / minutes / 60:.0f}/s); seconds of lag: {lags}; "
        f"MiB/h: {found}"
    )
    print(result)
    for name, of_one in sizes.items():
        print(f"{name}, MiB every three minutes: {[round(mib, 1) for mib in of_one[::36]]}")
    fault_table(f"soak, {rate} lines/s", f"{minutes} min", result)
    assert all(late_s[name] <= 2 * early_s[name] + 1 for name in lags_s), lags


def _memory(
    everything: Everything, seconds: float, meanwhile: Callable[[], None]
) -> dict[str, list[float]]:
    """Resident MiB of each of our processes, every five seconds."""
    ours = {
        process: next((word for word in process.cmdline()[3:4]), "")
        for process in everything.processes()
        if "coalmine" in process.cmdline()[2:3]
    }
    sizes: dict[str, list[float]] = {name: [] for name in ours.values() if name != "up"}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(5)
        meanwhile()
        for process, name in ours.items():
            if name in sizes and psutil.pid_exists(process.pid):
                sizes[name].append(process.memory_info().rss / 2**20)
    return sizes


def _mib_an_hour(sizes: list[float], seconds: float) -> float:
    """Slope of a straight line through what was seen after the warm-up."""
    seen = sizes[round(WARM_UP * len(sizes)) :]
    hours = seconds / 3600 * len(seen) / len(sizes)
    return float(np.polyfit(np.linspace(0, hours, len(seen)), seen, 1)[0])
