"""Secrets planted in logs, crashes, environment and webhook configuration come out nowhere."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml
from elasticsearch import ApiError, Elasticsearch
from playwright.sync_api import expect

from contracts import topics
from contracts.records import LogLine, RecordKind
from contracts.results import Delivery
from contracts.settings import ElasticsearchSettings, KafkaSettings
from tests.integration.ingest.agent_process import shipped
from tests.integration.security.planted import (
    BASELINE_REQUESTS,
    REQUESTS,
    Planted,
    environment,
    plant,
    requests,
)
from tests.support import dashboard_browser
from tests.support.alerting import decision_of
from tests.support.dashboard_browser import free_port
from tests.support.stack import consume, produce, unique
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


AWAY = "Elasticsearch does not answer"


class Room:
    """Every process of Coalmine, with planted secrets in its environment."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._started: list[subprocess.Popen[bytes]] = []
        self._health_ports: dict[str, int] = {}

    def start(self, *arguments: str) -> None:
        """``coalmine ARGUMENTS`` until the test is over; its log is below the folder."""
        log = self._folder / f"{arguments[0]}.log"
        port = self._health_ports[arguments[0]] = free_port()
        with log.open("wb") as output:
            command = [sys.executable, "-m", "coalmine", *arguments, "--health-port", str(port)]
            self._started.append(
                subprocess.Popen(command, env=self._environment, stdout=output, stderr=output)
            )

    def told(self) -> Iterator[tuple[str, bytes]]:
        """What each process tells of its health, metrics included."""
        for name, port in self._health_ports.items():
            for path in ("metrics", "healthz", "readyz"):
                answer = httpx.get(f"http://127.0.0.1:{port}/{path}")
                yield f"{name}/{path}", answer.content

    def run(self, *arguments: str) -> str:
        """``coalmine ARGUMENTS`` to its end; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "coalmine", *arguments],
            env=self._environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        (self._folder / f"{arguments[0]}-run.log").write_text(done.stdout + done.stderr)
        return done.stdout + done.stderr

    def stop(self) -> None:
        """End all, by SIGTERM."""
        for process in self._started:
            process.terminate()
        for process in self._started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


@pytest.fixture
def planted() -> Planted:
    """The secrets of this test."""
    return Planted()


@pytest.fixture
def room(tmp_path: Path, planted: Planted, stack_environment: Mapping[str, str]) -> Iterator[Room]:
    """Processes whose environment holds secrets."""
    (tmp_path / "out").mkdir()
    running = Room(tmp_path / "out", {**stack_environment, **environment(planted)})
    yield running
    running.stop()


def configure(tmp_path: Path, logs: Path, service: str, agent: str) -> tuple[Path, Path, Path]:
    """Files of the agent, of the endpoints, and the folder of policies."""
    labels = {"service": service, "release": "1.0"}
    agent_file = tmp_path / "agent.yaml"
    agent_file.write_text(yaml.safe_dump({
        "agent": agent,
        "state_dir": str(tmp_path / "state"),
        "batch": {"max_age": "100ms"},
        "redaction": {"rules": {"customer": "cust-[0-9]{6}"}},
        "files": [
            {"paths": [str(logs / "events.log"), str(logs / "bad.log")]},
            {"paths": [str(logs / "app.log")], "kind": "logs", "format": "plain", **labels},
            {"paths": [str(logs / "crash.log")], "kind": "crashes", "format": "plain",
             "idle_flush": "500ms", **labels},
        ],
    }))  # fmt: skip
    endpoints = tmp_path / "endpoints.yaml"
    endpoints.write_text(yaml.safe_dump({"endpoints": [{
        "name": service, "url": "${env:PLANTED_URL}", "secret": "${env:PLANTED_SECRET}",
        "services": [service], "allow_private": True, "retry": {"delays": ["200ms"]},
    }]}))  # fmt: skip
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "all.yaml").write_text("autodetect: true\n", encoding="utf-8")
    return agent_file, endpoints, policies


def test_no_planted_secret_comes_out(
    tmp_path: Path,
    room: Room,
    planted: Planted,
    kafka_settings: KafkaSettings,
    elasticsearch_settings: ElasticsearchSettings,
    stack_environment: Mapping[str, str],
) -> None:
    """Kafka's messages, Elasticsearch's documents, every process's log and state, printed answers
    of the commands and the pages hold none of them; the records themselves all arrive.
    """
    service, agent = unique("planted"), unique("agent")
    logs = tmp_path / "logs"
    logs.mkdir()
    plant(logs, planted, service, time.time_ns() // 1_000_000)
    agent_file, endpoints, policies = configure(tmp_path, logs, service, agent)
    room.start("worker", "--policies", str(policies), "--state", str(tmp_path / "out" / "worker"))
    room.start("indexer", "--state", str(tmp_path / "out" / "indexer"))
    room.start("alerter", "--config", str(endpoints))
    room.start("agent", "--config", str(agent_file))
    decision = decision_of(service)
    produce(kafka_settings, topics.DECISIONS.name, [(service, msgspec.json.encode(decision))])
    client = Elasticsearch(**elasticsearch_settings.client_options())

    wait_until(lambda: len(told(kafka_settings, agent)) >= 12, 60, "log lines")
    begin_canary(client, logs, service, planted)
    wait_until(lambda: stored(client, service, "crash-groups"), 60, "a crash group")
    wait_until(lambda: attempts(kafka_settings, service), 60, "a webhook's attempt")
    page = shown(elasticsearch_settings, {**stack_environment, **environment(planted)}, service)
    room.run("doctor", "--json")
    room.run("check", str(endpoints), str(agent_file))
    everything = dict(room.told())
    assert b"coalmine_ingest_redacted_total" in everything["agent/metrics"]
    room.stop()

    everything |= dict(messages_of_kafka(kafka_settings))
    everything |= {f"elasticsearch {n}": d for n, d in documents(client)}
    everything |= {
        str(path): path.read_bytes()
        for folder in ("out", "state")
        for path in (tmp_path / folder).rglob("*")
        if path.is_file()
    }
    everything["page"] = page
    found = {name: held for name, data in everything.items() if (held := planted.found_in(data))}
    assert found == {}
    marks = b"".join(everything.values())
    expected = ("password", "bearer", "github_token", "aws_key", "jwt", "email", "card", "customer")
    assert [name for name in expected if f"[redacted:{name}".encode() not in marks] == []
    assert len(everything) > 100
    report = json.loads((tmp_path / "out" / "agent.log").read_text().splitlines()[-1])
    assert report["event"] == "agent_stopped"
    assert report["redacted"]["email"] >= 10


def begin_canary(client: Elasticsearch, logs: Path, service: str, planted: Planted) -> None:
    """Append the canary's requests once the baseline is known, until all are counted."""
    wait_until(lambda: counted(client, service) == BASELINE_REQUESTS, 90, "baseline's requests")
    with (logs / "events.log").open("a", encoding="utf-8") as file:
        numbers = range(BASELINE_REQUESTS, REQUESTS)
        file.write(requests(numbers, service, time.time_ns() // 1_000_000, planted))
    wait_until(lambda: counted(client, service) == REQUESTS, 90, "counted requests")


def told(settings: KafkaSettings, agent: str) -> list[str]:
    """Messages of the agent's log lines."""
    records = shipped(settings, RecordKind.LOGS, agent)
    return [r.message for r in records if isinstance(r, LogLine)]


def stored(client: Elasticsearch, service: str, kind: str) -> list[dict[str, Any]]:
    """Documents of a service; none while an index is only being made."""
    with contextlib.suppress(ApiError):
        return _stored(client, service, kind)
    return []


def _stored(client: Elasticsearch, service: str, kind: str) -> list[dict[str, Any]]:
    client.indices.refresh(index="coalmine-*")
    query = {"term": {"service.name": service}}
    found = client.search(index=f"coalmine-{kind}-*", query=query, size=5000)
    return [hit["_source"] for hit in found["hits"]["hits"]]


def counted(client: Elasticsearch, service: str) -> int:
    """Requests in all windows of the service."""
    return sum(d["counts"].get("request", 0) for d in stored(client, service, "windows"))


def attempts(settings: KafkaSettings, service: str) -> list[Delivery]:
    """Attempts to deliver the service's decisions."""
    found = [
        msgspec.json.decode(m.value, type=Delivery)
        for m in consume(settings, topics.DELIVERIES.name, at_least=0)
    ]
    return [d for d in found if d.service == service]


def messages_of_kafka(settings: KafkaSettings) -> Iterator[tuple[str, bytes]]:
    """Every message of every topic there is, changelogs included: key, headers and value."""
    from kafka import KafkaConsumer  # noqa: PLC0415 - warns while it is imported

    with contextlib.closing(KafkaConsumer(**settings.client_options())) as consumer:
        names = sorted(consumer.topics())
    for name in names:
        for message in consume(settings, name, at_least=0):
            parts = [message.key or b"", message.value or b"", *(v for _, v in message.headers)]
            yield f"{name}/{message.partition}/{message.offset}", b"\0".join(parts)


def documents(client: Elasticsearch) -> Iterator[tuple[str, bytes]]:
    """Every document of every index of ours."""
    for index in client.indices.get(index="coalmine-*"):
        found = client.search(index=index, size=10_000)
        for hit in found["hits"]["hits"]:
            yield f"{index}/{hit['_id']}", json.dumps(hit, ensure_ascii=False).encode()


def shown(settings: ElasticsearchSettings, environment: Mapping[str, str], service: str) -> bytes:
    """What a browser gets and shows: both pages and every answer behind them."""
    answers: list[bytes] = []
    with (
        dashboard_browser.dashboard(settings.url, environment) as url,
        dashboard_browser.browser() as running,
    ):
        page = running.new_page()
        page.on("response", lambda r: answers.append(r.body()) if "/_dash-up" in r.url else None)
        page.goto(url)
        page.wait_for_selector(".ag-row, .message")
        # a first search on a busy machine may take too long; the next one is asked by itself
        expect(page.locator("body")).not_to_contain_text(AWAY, timeout=60_000)
        answers.append(page.content().encode())
        page.goto(f"{url}/s/{service}/r/2.0")
        page.wait_for_selector(".js-plotly-plot .main-svg, .message")
        # a first search on a busy machine may take too long; the next one is asked by itself
        expect(page.locator("body")).not_to_contain_text(AWAY, timeout=60_000)
        answers.append(page.content().encode())
    return b"\n".join(answers)
