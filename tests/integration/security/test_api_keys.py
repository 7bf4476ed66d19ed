"""Indexer, dashboard and preflight show their API keys over TLS, each its own."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from elasticsearch import Elasticsearch
from playwright.sync_api import expect

from coalmine.stack.preflight import check_elasticsearch
from contracts import topics
from contracts.errors import ConfigError
from contracts.policy import Policy
from contracts.results import Decision, Verdict, Window
from contracts.settings import ElasticsearchSettings, KafkaSettings
from contracts.settings import elasticsearch_settings as read_settings
from streams.judge.service import apply_partial
from streams.judge.service_state import ServiceState
from tests.integration.security.test_planted_secrets import AWAY, Room
from tests.support import dashboard_browser
from tests.support.api_key_gate import ApiKeyGate
from tests.support.certificates import Authority
from tests.support.documents import differences, expected_documents, stored_documents
from tests.support.partials import Traffic
from tests.support.stack import produce, unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

BASELINE, CANARY = "1.4.2", "1.5.0"
_TOPIC = {Window: topics.WINDOWS, Verdict: topics.VERDICTS, Decision: topics.DECISIONS}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the processes trust."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def gate(
    authority: Authority, elasticsearch_settings: ElasticsearchSettings
) -> Iterator[ApiKeyGate]:
    """The way to Elasticsearch for whoever has a key."""
    certificate, owners = authority.certificate("gate"), ("indexer", "dashboard", "doctor")
    with ApiKeyGate(elasticsearch_settings.url, certificate, owners) as running:
        yield running


@pytest.fixture
def variables(
    gate: ApiKeyGate, authority: Authority, stack_environment: Mapping[str, str]
) -> dict[str, str]:
    """Everything but the key."""
    return {
        **stack_environment,
        "COALMINE_ELASTICSEARCH": gate.url,
        "COALMINE_ELASTICSEARCH_CA_FILE": str(authority.file),
    }


def tell(kafka: KafkaSettings, service: str) -> None:
    """What the judge says of half a minute of a bad canary, into its topics."""
    now_ms = time.time_ns() // 1_000_000
    traffic = Traffic(service=service, start=now_ms - 40_000, error_rate={CANARY: 0.3})
    state, policy = ServiceState(service=service), Policy(autodetect=True)
    said: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    for second in range(30):
        for partial in traffic.second(second, [BASELINE] if second < 10 else None):
            for output in apply_partial(state, partial, policy, processed_time=partial.sent_at):
                said[_TOPIC[type(output)].name].append((service, msgspec.json.encode(output)))
    for topic, messages in said.items():
        produce(kafka, topic, messages)


def test_indexer_and_dashboard_work_with_a_key_each(
    gate: ApiKeyGate,
    variables: Mapping[str, str],
    tmp_path: Path,
    kafka_settings: KafkaSettings,
    elasticsearch_settings: ElasticsearchSettings,
) -> None:
    """The documents are exact and the page shows them; the dashboard's key never writes."""
    service = unique("keyed")
    tell(kafka_settings, service)
    file, name = tmp_path / "key", "COALMINE_ELASTICSEARCH_API_KEY"
    file.write_text(gate.keys["indexer"] + "\n", encoding="utf-8")
    room = Room(tmp_path, {**variables, f"{name}_FILE": str(file)})
    expected = expected_documents(kafka_settings, service)
    room.start("indexer", "--state", str(tmp_path / "indexer"))
    try:
        with Elasticsearch(**elasticsearch_settings.client_options()) as client:
            wait_until(
                lambda: not differences(expected, stored_documents(client, service)), 60, "all"
            )
    finally:
        room.stop()
    with (
        dashboard_browser.dashboard(gate.url, {**variables, name: gate.keys["dashboard"]}) as url,
        dashboard_browser.browser() as running,
    ):
        page = running.new_page()
        page.goto(f"{url}/s/{service}/r/{CANARY}")
        page.wait_for_selector(".js-plotly-plot .main-svg", state="attached", timeout=60_000)
        expect(page.locator("body")).not_to_contain_text(AWAY, timeout=60_000)

    assert len(expected) > 20
    assert {"PUT _index_template", "PUT _bulk"} <= gate.of("indexer")
    assert gate.of("dashboard") >= {"GET _cluster", "POST _search"}
    assert not {asked for asked in gate.of("dashboard") if "_bulk" in asked or "PUT" in asked}
    assert gate.of("") == set()


def test_a_key_is_checked_before_a_process_starts(
    gate: ApiKeyGate, variables: Mapping[str, str], tmp_path: Path
) -> None:
    """A good one passes; a wrong one ends indexer and dashboard with a sentence that names the
    variable and not the key, and the doctor says the same.
    """
    name, wrong = "COALMINE_ELASTICSEARCH_API_KEY", "d3Jvbmc6aG9yc2U="
    check_elasticsearch(read_settings({**variables, name: gate.keys["doctor"]}))
    assert gate.of("doctor") == {"GET _cluster"}
    with pytest.raises(ConfigError, match=f"{name}: Elasticsearch at {gate.url} refuses it"):
        check_elasticsearch(read_settings({**variables, name: wrong}))
    room = Room(tmp_path, {**variables, name: wrong})
    for command in (["indexer", "--state", str(tmp_path / "i")], ["dashboard"], ["doctor"]):
        said = room.run(*command)
        assert name in said, command
        assert "refuses it" in said, command
        assert wrong not in said, command
        assert "Traceback" not in said, command
