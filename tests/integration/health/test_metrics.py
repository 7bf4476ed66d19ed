"""Every process of a real stack tells of itself, and what it tells moves with real traffic."""

from __future__ import annotations

import base64
import json
import secrets
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from coalmine.api.tokens import local_tokens
from coalmine.stack.ports import free_port
from coalmine.stack.processes import Part, Supervisor, parts_of
from contracts.settings import ElasticsearchSettings, KafkaSettings
from tests.support.fault_proxy import FaultProxy
from tests.support.health import families, get, samples
from tests.support.metrics_page import documented
from tests.support.stack import unique
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PLANTED = "canary-secret-4f1d9"
_EVENTS = "coalmine_streams_records_total{events}"
_ROLLBACKS = "coalmine_alerting_decisions_total{rollback}"
_DELIVERED = "coalmine_alerting_deliveries_total{delivered}"
SECONDS, BASELINE_RATE, CANARY_RATE = 40, 50, 25


Snapshot = Mapping[str, Mapping[str, float]]


class Fleet:
    """All parts of one Coalmine under their supervisor, on the servers of the run."""

    def __init__(self, parts: list[Part], log: Path) -> None:
        self.ports = {part.name: part.health_port or 0 for part in parts}
        self.pages = next(part.port or 0 for part in parts if part.name == "dashboard")
        self.log = log

    def write(self, lines: Iterable[str]) -> None:
        """Append lines to the log that the agent reads."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write("\n".join([*lines, ""]))

    def snapshot(self) -> dict[str, dict[str, float]]:
        """Every sample of every part."""
        return {part: samples(port) for part, port in self.ports.items()}

    def moved(self, part: str, before: Snapshot) -> dict[str, float]:
        """By how much each sample of a part has grown."""
        now = samples(self.ports[part])
        return defaultdict(float, {n: v - before[part].get(n, 0) for n, v in now.items()})

    def wait_for(self, part: str, name: str, before: Snapshot, count: int) -> None:
        """Until a sample has grown by ``count``."""
        wait_until(lambda: self.moved(part, before)[name] >= count, 90, f"{count} {name}")

    def wait_for_zero(self, part: str, name: str) -> None:
        """Until a sample is 0."""
        wait_until(lambda: samples(self.ports[part])[name] == 0, 60, f"{part}: no {name}")

    def readiness(self) -> dict[str, str]:
        """What each part that is not ready says of it."""
        answers = {part: get(port, "/readyz") for part, port in self.ports.items()}
        return {part: text for part, (status, text) in answers.items() if status != 200}


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    """An endpoint that takes everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
        server.shutdown()


@pytest.fixture(scope="module")
def elasticsearch(elasticsearch_settings: ElasticsearchSettings) -> Iterator[FaultProxy]:
    """The run's Elasticsearch, for this fleet alone to lose."""
    with FaultProxy(urlsplit(elasticsearch_settings.url).netloc) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def fleet(
    kafka_settings: KafkaSettings,
    elasticsearch: FaultProxy,
    receiver: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    """Everything that ``coalmine up`` starts, ready."""
    state = tmp_path_factory.mktemp("fleet")
    log = state / "service.log"
    log.touch()
    policies = state / "policies"
    policies.mkdir()
    (policies / "all.yaml").write_text("autodetect: true\n", encoding="utf-8")
    endpoint = {
        "name": "deploy-tool",
        "url": receiver,
        "secret": "${env:HOOK}",
        "services": ["measured-*"],
        "allow_private": True,
    }
    agent = {
        "agent": unique("measuring"),
        "state_dir": str(state / "agent"),
        "files": [{"paths": [str(log)]}],
    }
    for name, document in (("endpoints", {"endpoints": [endpoint]}), ("agent", agent)):
        (state / f"{name}.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    parts = parts_of(
        state,
        policies=policies,
        endpoints=state / "endpoints.yaml",
        agents=[state / "agent.yaml"],
        dashboard_port=free_port(),
        api=(free_port(), local_tokens(state / "tokens.yaml", state / "token")),
    )
    environment = {
        "COALMINE_KAFKA": kafka_settings.bootstrap,
        "COALMINE_ELASTICSEARCH": elasticsearch.url,
        "HOOK": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    supervisor = Supervisor(parts, state, environment=environment)
    supervisor.start()
    try:
        started = Fleet(parts, log)
        wait_until(lambda: not started.readiness(), 120, "all parts are ready")
        yield started
    finally:
        supervisor.stop()


@pytest.fixture(autouse=True)
def shown(fleet: Fleet) -> Iterator[None]:
    """A test that fails shows what the processes counted and logged."""
    yield
    for part, port in fleet.ports.items():
        log = fleet.log.parent / "logs" / f"{part}.log"
        values = {n: v for n, v in samples(port).items() if n.startswith("coalmine_") and v}
        sys.stdout.write(f"--- {part}\n{values}\n{log.read_text(encoding='utf-8')[-3000:]}\n")


def _lines(service: str) -> list[str]:
    """A minute of two releases, second by second; the canary comes later and fails often."""
    start = time.time_ns() // 1_000_000 - (SECONDS + 5) * 1000
    return [
        _line(service, release, start + second * 1000 + number * 20, is_bad=number % 5 == 0)
        for second in range(SECONDS)
        for release, rate in (("1", BASELINE_RATE), ("2", CANARY_RATE))
        for number in range(rate)
        if release == "1" or second >= 10
    ]


def _line(service: str, release: str, time_ms: int, *, is_bad: bool) -> str:
    return json.dumps(
        {
            "time": time_ms,
            "service.name": service,
            "service.version": release,
            "http.response.status_code": 500 if is_bad and release == "2" else 200,
            "duration_ms": 12.5,
            "trace.id": PLANTED,
        }
    )


def test_metrics_move_with_the_way_of_a_record(fleet: Fleet) -> None:
    """Lines, batches, records, looks, a decision, its webhook, documents and pages: each is counted
    where it happens, the lines exactly; afterwards nothing lags, and no metric holds log text.
    """
    before = fleet.snapshot()
    lines = _lines(unique("measured"))
    fleet.write([*lines, f"{PLANTED} is not JSON"])
    fleet.wait_for("alerter", _DELIVERED, before, 1)
    fleet.wait_for("worker", _EVENTS, before, len(lines))
    get(fleet.pages, "/")
    exactly = {
        ("agent", "ingest_lines_total"): len(lines) + 1,
        ("agent", "ingest_records_total{events}"): len(lines),
        ("agent", "ingest_dead_letters_total{not json}"): 1,
        ("worker", "streams_records_total{events}"): len(lines),
        ("alerter", "alerting_decisions_total{rollback}"): 1,
        ("alerter", "alerting_webhook_seconds_count{deploy-tool}"): 1,
    }
    found = {key: fleet.moved(key[0], before)[f"coalmine_{key[1]}"] for key in exactly}
    assert found == exactly
    at_least_once = [
        ("agent", "ingest_read_bytes_total"),
        ("agent", "ingest_sent_entries_total"),
        ("agent", "ingest_sent_batches_total{coalmine.events}"),
        ("worker", "streams_messages_total{coalmine.partials}"),
        ("worker", "streams_looks_total{regressed}"),
        ("worker", "streams_decisions_total{rollback}"),
        ("worker", "streams_verdict_seconds_count"),
        ("indexer", "streams_index_documents_total"),
        ("alerter", "alerting_attempt_seconds_count{deploy-tool}"),
        ("dashboard", "dashboard_requests_total{page}"),
        ("dashboard", "dashboard_request_seconds_count{page}"),
        ("api", "api_messages_total{coalmine.verdicts}"),
        ("api", "api_messages_total{coalmine.decisions}"),
    ]
    for part, name in at_least_once:
        fleet.wait_for(part, f"coalmine_{name}", before, 1)
    fleet.wait_for_zero("worker", "coalmine_streams_lag_messages")
    fleet.wait_for_zero("indexer", "coalmine_streams_lag_messages")
    fleet.wait_for_zero("api", "coalmine_api_lag_messages")
    fleet.wait_for_zero("agent", "coalmine_ingest_spool_entries")
    for port in fleet.ports.values():
        for path in ("/metrics", "/healthz", "/readyz"):
            assert PLANTED not in get(port, path)[1]


def test_the_page_of_metrics_and_the_processes_agree(fleet: Fleet) -> None:
    """Every metric of a process is in its section of docs/metrics.md, and the other way round."""
    page = documented()
    for part, port in fleet.ports.items():
        found = {name for name in families(port) if name.startswith("coalmine_")}
        assert found == page[part] | page["all"], part


def test_an_elasticsearch_that_is_away_is_told_as_age(
    fleet: Fleet, elasticsearch: FaultProxy
) -> None:
    """The index grows stale and says by how much; the dashboard is not ready; nobody is stuck;
    when it is back, all of it is over.
    """
    before = fleet.snapshot()
    elasticsearch.refuse()
    fleet.write(_lines(unique("away")))
    fleet.wait_for("indexer", "coalmine_streams_index_retries_total", before, 1)
    fleet.wait_for("indexer", "coalmine_streams_index_stale_seconds", before, 2)
    assert samples(fleet.ports["indexer"])["coalmine_streams_lag_messages"] > 0
    wait_until(lambda: "elasticsearch" in fleet.readiness().get("dashboard", ""), 30, "not ready")
    assert samples(fleet.ports["dashboard"])["coalmine_health_ready"] == 0
    assert [get(port, "/healthz")[0] for port in fleet.ports.values()] == [200] * len(fleet.ports)
    elasticsearch.accept()
    fleet.wait_for_zero("indexer", "coalmine_streams_index_stale_seconds")
    wait_until(lambda: not fleet.readiness(), 30, "ready again")
    fleet.wait_for("alerter", _ROLLBACKS, before, 1)  # no other test should count it
