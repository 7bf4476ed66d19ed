"""Elasticsearch away, red, read-only, busy, forgetful: judging goes on, storage catches up exactly.

The indexer reaches Elasticsearch through a proxy that breaks on request; some faults are real ones
of the node (a shard that can be nowhere, a write block).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from statistics import median
from urllib.parse import urlsplit

import pytest
from elasticsearch import Elasticsearch

from coalmine.stack.elasticsearch_server import ElasticsearchServer
from coalmine.stack.local import LocalStack
from contracts import indices
from contracts.settings import ElasticsearchSettings, KafkaSettings
from tests.faults.conftest import FaultTable
from tests.integration.streams.conftest import WorkerProcess
from tests.support.canary import BASELINE, CANARY, BadCanary, rollbacks
from tests.support.documents import differences, expected_documents, stored_documents
from tests.support.fault_proxy import FaultProxy
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

_DAY = timedelta(days=1)
_BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
_KINDS = (indices.WINDOWS, indices.VERDICTS, indices.ROLLOUTS, indices.DECISIONS)


class Cluster:
    """The Elasticsearch of the run, as the indexer sees it and as it is."""

    def __init__(
        self, server: ElasticsearchServer, proxy: FaultProxy, client: Elasticsearch
    ) -> None:
        self.server = server
        self.proxy = proxy
        self.client = client

    def names(self, midnight: datetime) -> list[str]:
        """The indices of both days around a midnight."""
        days = [round((midnight + side).timestamp() * 1000) for side in (-_DAY, timedelta(0))]
        return [kind.for_time(day) for kind in _KINDS for day in days]

    @contextmanager
    def killed(self, _: datetime) -> Iterator[None]:
        """SIGKILL, and a start on the same data: only where no other test runs beside."""
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()

    @contextmanager
    def away(self, _: datetime) -> Iterator[None]:
        """Connections are refused, as after a kill."""
        self.proxy.refuse()
        try:
            yield
        finally:
            self.proxy.accept()

    @contextmanager
    def paused(self, _: datetime) -> Iterator[None]:
        """Connections stand and nothing moves."""
        self.proxy.pause()
        try:
            yield
        finally:
            self.proxy.resume()

    @contextmanager
    def busy(self, _: datetime) -> Iterator[None]:
        """Every request is answered with 429."""
        self.proxy.answer = _BUSY
        try:
            yield
        finally:
            self.proxy.answer = b""

    @contextmanager
    def red(self, midnight: datetime) -> Iterator[None]:
        """The indices' primary shards may be on no node."""
        nowhere = {"index.routing.allocation.require._name": "nowhere"}
        for name in self.names(midnight):
            self.client.indices.create(index=name, settings=nowhere, wait_for_active_shards="0")
        try:
            yield
        finally:
            self.client.indices.put_settings(
                index=",".join(self.names(midnight)), settings=dict.fromkeys(nowhere)
            )

    @contextmanager
    def read_only(self, midnight: datetime) -> Iterator[None]:
        """The block that a full disk sets: 429 for each document."""
        block = "index.blocks.read_only_allow_delete"
        for name in self.names(midnight):
            self.client.indices.create(index=name, settings={block: True})
        try:
            yield
        finally:
            self.client.indices.put_settings(
                index=",".join(self.names(midnight)), settings={block: None}
            )

    @contextmanager
    def forgetful(self, _: datetime) -> Iterator[None]:
        """Requests are carried out, and their answers are lost."""
        self.proxy.lost_answers = 5
        try:
            yield
        finally:
            wait_until(lambda: not self.proxy.lost_answers, what="five answers are lost")


UNDISTURBED = "no fault"
FAULTS: dict[str, Callable[[Cluster, datetime], AbstractContextManager[None]]] = {
    "killed": Cluster.killed,
    "refuses connections": Cluster.away,
    "paused": Cluster.paused,
    "429": Cluster.busy,
    "red": Cluster.red,
    "read-only": Cluster.read_only,
    "response lost after applying": Cluster.forgetful,
}


WRITING = {UNDISTURBED, "response lost after applying"}
"""Here documents are stored meanwhile."""


@pytest.fixture(scope="module")
def client(elasticsearch_settings: ElasticsearchSettings) -> Iterator[Elasticsearch]:
    """Straight to the node."""
    with Elasticsearch(**elasticsearch_settings.client_options()) as client:
        yield client


@pytest.fixture(scope="module")
def cluster(stack: LocalStack, client: Elasticsearch) -> Iterator[Cluster]:
    """The node behind a proxy."""
    with FaultProxy(urlsplit(stack.elasticsearch).netloc) as proxy:
        yield Cluster(stack.elasticsearch_server, proxy, client)


@pytest.fixture(scope="module")
def worker(
    stack_environment: Mapping[str, str],
    kafka_settings: KafkaSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WorkerProcess]:
    """The stream worker; every service opens its rollouts by itself."""
    assert kafka_settings.bootstrap  # its topics are there
    directory = tmp_path_factory.mktemp("worker")
    (directory / "all.yaml").write_text("autodetect: true\n", encoding="utf-8")
    arguments = ["worker", "--policies", str(directory), "--state", str(directory)]
    process = WorkerProcess(arguments, stack_environment, directory / "worker.log")
    process.start()
    yield process
    print(process.new_log()[-5_000:])
    process.stop()


@pytest.fixture(scope="module")
def indexer(
    cluster: Cluster, stack_environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """The indexer, behind the proxy."""
    directory = tmp_path_factory.mktemp("indexer")
    environment = {
        **stack_environment,
        "COALMINE_ELASTICSEARCH": cluster.proxy.url,
    }
    process = WorkerProcess(
        ["indexer", "--state", str(directory)], environment, directory / "indexer.log"
    )
    process.start()
    # an index that a fault makes before would have no mapping
    names = [f"{indices.PREFIX}-{kind.name}" for kind in indices.ALL]
    templates = cluster.client.indices.exists_index_template
    wait_until(lambda: all(templates(name=name) for name in names), timeout_s=60)
    yield process
    print(process.new_log()[-5_000:])
    process.stop()


def midnights(seed: int) -> Iterator[datetime]:
    """Midnights long ago, each used once: other tests have other days."""
    chosen = random.Random(seed)
    first = datetime(2020, 1, 1, tzinfo=UTC) + chosen.randrange(300) * _DAY
    for number in range(1_000):
        yield first + 2 * number * _DAY


@pytest.mark.usefixtures("worker", "indexer")
def test_judging_goes_on_while_elasticsearch_fails_in_turn_and_the_documents_are_exact(
    cluster: Cluster, kafka_settings: KafkaSettings, fault_seed: int
) -> None:
    """The short form: red, then lost answers, each around a midnight."""
    days = midnights(fault_seed)
    for fault in ("red", "response lost after applying"):
        run_round(fault, next(days), cluster, kafka_settings, hold_s=2.5)


@pytest.mark.faults
@pytest.mark.timeout(0)
@pytest.mark.usefixtures("worker", "indexer")
def test_every_fault_of_elasticsearch_in_random_order(
    cluster: Cluster,
    kafka_settings: KafkaSettings,
    fault_seed: int,
    fault_rounds: Callable[[int], int],
    fault_table: FaultTable,
) -> None:
    """The full form: each fault twenty times, and rounds without one to compare the delay."""
    rounds = fault_rounds(20)
    chosen = random.Random(fault_seed)
    days = midnights(fault_seed)
    run_round(UNDISTURBED, next(days), cluster, kafka_settings, hold_s=0)  # all is up
    took: dict[str, list[float]] = {fault: [] for fault in (UNDISTURBED, *FAULTS)}
    for _ in range(rounds):
        for fault in chosen.sample(list(took), len(took)):
            hold_s = chosen.uniform(2, 8)
            took[fault].append(run_round(fault, next(days), cluster, kafka_settings, hold_s=hold_s))
            print(f"seed {fault_seed}: {fault}: decided after {took[fault][-1]:.2f} s")
    for fault, seconds in took.items():
        result = f"documents exact; rollback after {median(seconds):.1f} s (median)"
        fault_table(f"Elasticsearch: {fault}", rounds, result)


def run_round(
    fault: str, midnight: datetime, cluster: Cluster, kafka: KafkaSettings, *, hold_s: float
) -> float:
    """One fault while a bad canary runs across midnight; seconds until it was decided."""
    start = round(midnight.timestamp() * 1000) - 15_000
    canary = BadCanary(unique("faulty"), start)
    with FAULTS[fault](cluster, midnight) if fault != UNDISTURBED else nullcontext():
        since = time.monotonic()
        canary.send(kafka)
        decided_s = canary.decided_within_s(kafka)
        if fault not in WRITING | {"killed"}:
            assert not stored_documents(cluster.client, canary.service, refresh=False)
        time.sleep(hold_s)
        until = time.monotonic()
    if fault not in WRITING:
        asked = [r for r in cluster.proxy.requests if since <= r.at_s < until and "_bulk" in r.line]
        # what other tests left is written at once; then it is one request a second at most
        assert len(asked) <= until - since + 2, (fault, [r.at_s - since for r in asked])
    wait_until(lambda: is_exact(canary, cluster, kafka), timeout_s=60, what=f"exact after {fault}")
    assert len(rollbacks(kafka, canary.service)) == 1
    # a node opens at most a thousand shards
    cluster.client.indices.delete(index=cluster.names(midnight), ignore_unavailable=True)
    return decided_s


def is_exact(canary: BadCanary, cluster: Cluster, kafka: KafkaSettings) -> bool:
    """Whether every result is stored, in the index of its day, and every request is in it once."""
    stored = stored_documents(cluster.client, canary.service)
    counted = {BASELINE: 0, CANARY: 0}
    for (index, _), body in stored.items():
        if index.startswith("coalmine-windows-"):
            counted[body["service.version"]] += body["counts"]["request"]
    days = {index[-10:] for index, _ in stored}
    expected = expected_documents(kafka, canary.service)
    return counted == canary.requests and len(days) == 2 and not differences(expected, stored)
