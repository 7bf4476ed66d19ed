"""Telemetry to verdicts and documents, on real Kafka and Elasticsearch, with real kills."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from elasticsearch import Elasticsearch

from contracts import topics
from contracts.policy import Policies, Policy
from contracts.records import Event, RecordKind
from contracts.results import Decision, DecisionAction
from contracts.settings import ElasticsearchSettings, KafkaSettings
from streams.messages import Message, aggregate
from tests.integration.streams.conftest import WorkerProcess
from tests.support.documents import hits
from tests.support.stack import consume, produce, unique
from tests.support.telemetry import EVENTS_TOPIC, Keyed, batch_message, event_batches, events
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

BASELINE, CANARY = "1.4.2", "1.5.0"


@pytest.fixture
def client(elasticsearch_settings: ElasticsearchSettings) -> Elasticsearch:
    """Of the Elasticsearch of this run."""
    return Elasticsearch(**elasticsearch_settings.client_options())


def window_counts(client: Elasticsearch, service: str) -> Counter[str]:
    """Sum of all window documents of a service, by release and counter."""
    client.indices.refresh(index="coalmine-*")
    totals: Counter[str] = Counter()
    for hit in hits(client, "coalmine-windows-*", service=service):
        source = hit["_source"]
        counts = source["counts"].items()
        totals.update({f"{source['service.version']} {name}": n for name, n in counts})
    return totals


def wait_for_requests(client: Elasticsearch, service: str, expected: int, timeout_s: float) -> None:
    """Until the windows of the baseline hold ``expected``; a failure says what they do hold."""
    seen: list[Counter[str]] = []

    def reached() -> bool:
        seen[:] = [window_counts(client, service)]
        return seen[0][f"{BASELINE} request"] >= expected

    try:
        wait_until(reached, timeout_s=timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{expected} requests of {service} expected: {seen}") from error


def _now() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.usefixtures("indexer")
def test_counts_are_exact_although_the_worker_is_killed_and_batches_come_twice(
    worker: WorkerProcess, kafka_settings: KafkaSettings, client: Elasticsearch
) -> None:
    """Three SIGKILLs amid the traffic, every tenth batch sent again: each event counts once."""
    service = unique("killed")
    batches = list(event_batches(service, BASELINE, range(60), start_ms=_now() - 60_000, count=200))
    for start in range(0, len(batches), 20):
        part = batches[start : start + 20]
        produce(kafka_settings, EVENTS_TOPIC, part + part[::10])
        time.sleep(0.5 + start / 40)  # so that the kill falls into different moments
        worker.kill()
        worker.start()
    expected = len(batches) * 200
    wait_for_requests(client, service, expected, timeout_s=90)
    time.sleep(2)  # what came twice would come now
    assert window_counts(client, service)[f"{BASELINE} request"] == expected


@pytest.mark.usefixtures("indexer")
def test_a_stretch_that_was_counted_in_part_before_a_crash_is_counted_to_its_end(
    worker: WorkerProcess, kafka_settings: KafkaSettings, client: Elasticsearch
) -> None:
    """Read again and cut elsewhere: the judge takes what is new, from the messages themselves."""
    service = unique("overlap")
    worker.kill()
    body = msgspec.json.encode(
        {"time": _now(), "service.name": service, "service.version": BASELINE}
    )
    produce(kafka_settings, EVENTS_TOPIC, [(service, body)] * 6)
    sent = [m for m in consume(kafka_settings, EVENTS_TOPIC, at_least=6) if m.value == body]
    known = [
        Message(m.topic, m.partition, m.offset, m.timestamp, dict(m.headers), m.value)
        for m in sent[:4]
    ]
    [partial] = aggregate(RecordKind.EVENTS, known, Policies()).partials
    produce(kafka_settings, topics.PARTIALS.name, [(service, msgspec.json.encode(partial))])
    worker.start()
    wait_for_requests(client, service, 6, timeout_s=60)
    time.sleep(2)  # what counted twice would come now
    assert window_counts(client, service)[f"{BASELINE} request"] == 6
    assert "stretch_read_again" in worker.log.read_text(encoding="utf-8")


def of_many_hosts(service: str, seq: int, count: int) -> Keyed:
    """A batch of events from one host each; its counts take some 180 bytes an event."""
    made = events(seq, service, BASELINE, second_ms=_now(), count=count)
    for number, event in enumerate(made):
        event.host = f"{seq}-{number}-".ljust(40, "x")
    return batch_message(RecordKind.EVENTS, service, seq, [*made])


@pytest.mark.usefixtures("indexer")
def test_counts_that_fit_into_no_message_are_sent_in_parts_or_set_aside(
    worker: WorkerProcess, kafka_settings: KafkaSettings, client: Elasticsearch
) -> None:
    """A host for each event: a stretch is halved; one batch alone with too many is set aside."""
    service = unique("many-hosts")
    worker.kill()
    whole = [of_many_hosts(service, seq, 1_000) for seq in range(50)]
    too_large = of_many_hosts(service, len(whole), 50_000)
    produce(kafka_settings, EVENTS_TOPIC, [*whole, too_large])
    worker.start()
    wait_for_requests(client, service, 50_000, timeout_s=90)
    wait_until(lambda: "too many labels" in reasons(kafka_settings), timeout_s=60)
    assert window_counts(client, service)[f"{BASELINE} request"] == 50_000


def reasons(kafka: KafkaSettings) -> set[str]:
    """Why messages were set aside."""
    letters = consume(kafka, topics.DEADLETTERS.name, at_least=0)
    return {json.loads(letter.value)["reason"] for letter in letters}


@pytest.mark.usefixtures("indexer", "worker")
def test_events_as_json_count_like_those_in_batches(
    kafka_settings: KafkaSettings, client: Elasticsearch
) -> None:
    """Any shipper may send one JSON object per message, dotted or nested."""
    service = unique("foreign")
    now = _now()
    dotted = {"time": now, "service.name": service, "service.version": BASELINE}
    nested = {"service": {"name": service, "version": BASELINE}, "time": now}
    failed = {**dotted, "http.response.status_code": 503, "duration_ms": 12.5}
    bodies = [msgspec.json.encode(body) for body in (dotted, nested, failed)]
    produce(kafka_settings, EVENTS_TOPIC, [("anyone", body) for body in bodies])
    wait_for_requests(client, service, 3, timeout_s=60)
    totals = window_counts(client, service)
    assert totals[f"{BASELINE} request"] == 3
    assert totals[f"{BASELINE} request.bad"] == 1
    assert totals[f"{BASELINE} request.status.503"] == 1


@pytest.mark.usefixtures("indexer", "worker")
def test_poison_is_set_aside_with_its_reason_and_the_rest_goes_on(
    kafka_settings: KafkaSettings, client: Elasticsearch
) -> None:
    """Garbage, a wrong schema, a lying header, the far future: dead letters; good ones count."""
    service = unique("poisoned")
    agent, value, headers = batch_message(
        RecordKind.EVENTS, service, 1, [*events(1, service, BASELINE, second_ms=_now(), count=5)]
    )
    future = Event(time=_now() + 86_400_000, service=service, release=BASELINE)
    mixed = batch_message(
        RecordKind.EVENTS,
        service,
        2,
        [future, *events(2, service, BASELINE, second_ms=_now(), count=3)],
    )
    mark = service.encode()
    produce(
        kafka_settings,
        EVENTS_TOPIC,
        [
            (agent, b"\x00\xff garbage " + mark, []),
            (agent, b"{not json " + mark, []),
            (agent, mark, [("schema", b"coalmine.events.v99")]),
            (agent, mark, [("schema", b"coalmine.events.v1")]),
            (agent, b"[1, 2]", []),
            (agent, value, headers),
            mixed,
        ],
    )
    produce(kafka_settings, topics.PARTIALS.name, [(service, b"neither a partial " + mark)])
    wait_for_requests(client, service, 8, timeout_s=60)
    assert window_counts(client, service)[f"{BASELINE} request"] == 8

    def reasons() -> Counter[str]:
        client.indices.refresh(index="coalmine-deadletters-*")
        letters = hits(client, "coalmine-deadletters-*")
        return Counter(letter["_source"]["reason"] for letter in letters)

    expected = {
        "not json",
        "unknown schema",
        "not an arrow batch",
        "not a json object",
        "time in the future",
        "not a known document",
    }
    wait_until(lambda: expected <= set(reasons()), timeout_s=60, what=f"{expected}")


@pytest.mark.usefixtures("indexer")
def test_a_bad_canary_is_decided_once_although_the_worker_is_killed(
    worker: WorkerProcess,
    kafka_settings: KafkaSettings,
    client: Elasticsearch,
    policies: Path,
    stack_environment: Mapping[str, str],
) -> None:
    """Evidence survives a SIGKILL in its middle; one decision id, and its rollout page document."""
    service = unique("rolled")
    start = _now() - 40_000
    baseline = list(event_batches(service, BASELINE, range(30), start_ms=start, count=100))
    canary = list(
        event_batches(service, CANARY, range(10, 30), start_ms=start, count=25, error_rate=0.15)
    )
    together = [*baseline[:10]]
    for second in range(20):
        together += [baseline[10 + second], canary[second]]
    produce(kafka_settings, EVENTS_TOPIC, together[:18])
    time.sleep(1)
    worker.kill()
    produce(kafka_settings, EVENTS_TOPIC, together[18:])
    worker.start()

    def decisions() -> list[Decision]:
        known = []
        for message in consume(kafka_settings, topics.DECISIONS.name, at_least=0):
            with contextlib.suppress(msgspec.DecodeError):  # other tests poison this topic
                known.append(msgspec.json.decode(message.value, type=Decision))
        return [d for d in known if d.service == service]

    wait_until(lambda: _has_rollback(decisions()), timeout_s=90)
    rollback = next(d for d in decisions() if d.action is DecisionAction.ROLLBACK)
    assert (rollback.canary, rollback.guilty_metric) == (CANARY, "error_rate")
    assert rollback.relative_risk.lower is not None
    assert rollback.relative_risk.lower > 1.1
    assert len({d.id for d in decisions() if d.action is DecisionAction.ROLLBACK}) == 1

    def stored() -> list[dict[str, object]]:
        client.indices.refresh(index="coalmine-rollouts-*")
        found = hits(client, "coalmine-rollouts-*", service=service)
        return [hit["_source"] for hit in found]

    wait_until(lambda: any(d["outcome"] == "regressed" for d in stored()), timeout_s=60)
    assert len(stored()) == 1
    wait_until(lambda: set(_drawn_by_kibana(client, service)) == {"started", "rolled back"})
    assert len(_drawn_by_kibana(client, service)) == 2
    _audit(rollback.rollout, policies, stack_environment)
    _explained(rollback, stack_environment)


def _drawn_by_kibana(client: Elasticsearch, service: str) -> list[str]:
    """The marks of a service, by the search that Kibana draws its charts with."""
    client.indices.refresh(index="coalmine-annotations-*")
    wanted = [
        {"term": {"annotation.type": "deployment"}},
        {"term": {"tags": "apm"}},
        {"term": {"service.name": service}},
        {"range": {"@timestamp": {"gte": "now-1d", "lte": "now+1d"}}},
    ]
    found = client.search(index="coalmine-annotations-*", query={"bool": {"filter": wanted}})
    return [hit["_source"]["tags"][-1] for hit in found["hits"]["hits"]]


def _audit(rollout: str, policies: Path, environment: Mapping[str, str]) -> None:
    """The evidence computed again from the stored windows is the stored evidence."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "coalmine",
            "rollout",
            "audit",
            rollout,
            "--json",
            "--policy",
            str(policies / "all.yaml"),
        ],
        env=dict(environment),
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == [*(m.name for m in Policy().metrics), "(rollout)"]
    assert all(row["windows"] > 0 for row in rows)
    assert [row["stored"] for row in rows] == [row["recomputed"] for row in rows]


def _explained(rollback: Decision, environment: Mapping[str, str]) -> None:
    """Where no API is, Elasticsearch tells why it was decided, and which searches show more."""
    command = [sys.executable, "-m", "coalmine", "explain", rollback.id, "--json"]
    done = subprocess.run(
        command, env=dict(environment), capture_output=True, check=False, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["decision"]["id"], found["verdict"]["rollout"]) == (rollback.id, rollback.rollout)
    assert found["queries"]


def _has_rollback(decisions: list[Decision]) -> bool:
    return any(d.action is DecisionAction.ROLLBACK for d in decisions)
