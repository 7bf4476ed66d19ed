"""Dead letters on real servers: the limit that stops a stage, and letters that are sent again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from elasticsearch import Elasticsearch
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.cli.output import Exit
from coalmine.deadletters.letters import payload_of
from coalmine.deadletters.replay import again
from contracts import arrow, topics
from contracts.dead_letters import dead_letter
from contracts.errors import InvalidRecord
from contracts.indices import WINDOWS
from contracts.records import RecordKind
from contracts.results import DeadLetter, Window
from contracts.settings import ElasticsearchSettings, KafkaSettings
from tests.integration.streams.conftest import WorkerProcess
from tests.integration.streams.test_worker import BASELINE, wait_for_requests, window_counts
from tests.support.stack import consume, produce, unique
from tests.support.telemetry import EVENTS_TOPIC, batch_message, events
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def client(elasticsearch_settings: ElasticsearchSettings) -> Elasticsearch:
    """Of the Elasticsearch of this run."""
    return Elasticsearch(**elasticsearch_settings.client_options())


def deadletters(environment: Mapping[str, str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, JSON and stderr of ``coalmine deadletters``."""
    done = CliRunner().invoke(build(), ["deadletters", *arguments, "--json"], env=environment)
    return done.exit_code, json.loads(done.stdout or "null"), done.stderr


def _now() -> int:
    return time.time_ns() // 1_000_000


def test_the_limit_stops_the_worker_with_its_own_exit_code_and_loses_nothing(
    worker: WorkerProcess,
    stack_environment: Mapping[str, str],
    kafka_settings: KafkaSettings,
    policies: Path,
    tmp_path: Path,
) -> None:
    """Fifty bad messages against a limit of twenty: the next worker begins with them."""
    worker.stop()
    log = tmp_path / "limited.log"
    limited = WorkerProcess(
        ["worker", "--policies", str(policies), "--state", str(tmp_path)],
        {**stack_environment, "COALMINE_DEADLETTERS_CONSECUTIVE": "20"},
        log,
    )
    mark = unique("poison")
    produce(kafka_settings, EVENTS_TOPIC, [(mark, f"{{{mark}".encode()) for _ in range(50)])
    limited.start()
    assert limited.process is not None
    assert limited.process.wait(60) == Exit.DEAD_LETTERS
    told = next(x for x in log.read_text().splitlines() if x.startswith("coalmine: "))
    assert "streams.aggregate_events stopped: 20 records in a row became dead letters" in told
    assert "coalmine deadletters list" in told

    def letters() -> set[str]:
        found = [
            msgspec.json.decode(message.value, type=DeadLetter)
            for message in consume(kafka_settings, topics.DEADLETTERS.name)
        ]
        return {one.id for one in found if payload_of(one) == f"{{{mark}".encode()}

    assert 20 <= len(letters()) <= 50  # what was taken at once is set aside at once
    worker.start()
    wait_until(lambda: len(letters()) == 50, timeout_s=60, what="the rest is set aside")


@pytest.mark.usefixtures("indexer", "worker")
def test_a_letter_is_replayed_once_and_counts_once(
    kafka_settings: KafkaSettings, client: Elasticsearch, stack_environment: Mapping[str, str]
) -> None:
    """A batch that an older worker did not know counts when it is sent again; only once."""
    service = unique("replayed")
    _, value, _ = batch_message(
        RecordKind.EVENTS, service, 1, [*events(1, service, BASELINE, second_ms=_now(), count=7)]
    )
    letter = dead_letter(
        InvalidRecord("unknown schema", service),
        stage="streams.aggregate",
        origin=f"{EVENTS_TOPIC}/1/{_now()}",
        payload=value,
        time=_now(),
        schema=arrow.schema_name(RecordKind.EVENTS),
    )
    produce(kafka_settings, topics.DEADLETTERS.name, [("x", msgspec.json.encode(letter))])
    filters = ("--topic", EVENTS_TOPIC, "--reason", "unknown schema", "--since", "1m")
    code, listed, _ = deadletters(stack_environment, "list", *filters)
    assert (code, letter.id in [one["id"] for one in listed]) == (0, True)
    code, done, stderr = deadletters(stack_environment, "replay", letter.id)
    assert (code, [one["fate"] for one in done]) == (0, ["replayed"]), stderr
    wait_for_requests(client, service, 7, timeout_s=60)

    code, done, _ = deadletters(stack_environment, "replay", letter.id)
    assert (code, [one["fate"] for one in done]) == (1, ["refused"])
    assert "replayed before" in done[0]["detail"]
    code, shown, _ = deadletters(stack_environment, "show", letter.id)
    assert (code, shown["replayed_at"] is not None, shown["payload"]) == (0, True, letter.payload)

    # as after a crash between sending it and noting that
    message = again(letter, payload_of(letter))
    produce(kafka_settings, EVENTS_TOPIC, [("x", message.value, message.headers)] * 2)
    _, value, headers = batch_message(
        RecordKind.EVENTS, service, 2, [*events(2, service, BASELINE, second_ms=_now(), count=3)]
    )
    produce(kafka_settings, EVENTS_TOPIC, [("x", value, headers)])
    wait_for_requests(client, service, 10, timeout_s=60)
    time.sleep(2)  # what counts twice would be stored now
    assert window_counts(client, service)[f"{BASELINE} request"] == 10


@pytest.mark.usefixtures("indexer")
def test_what_elasticsearch_refused_is_stored_when_it_is_replayed_and_the_rest_went_on(
    kafka_settings: KafkaSettings, client: Elasticsearch, stack_environment: Mapping[str, str]
) -> None:
    """A mapping error sets one document aside; once mended, the letter puts it back."""
    service = unique("refused")
    wrong, right = _window(service, 1_600_000_000_000), _window(service, 1_600_100_000_000)
    index = WINDOWS.for_time(wrong.time)
    counts = {"properties": {"counts": {"type": "date"}}}
    client.indices.create(index=index, mappings=counts)
    try:
        produce(
            kafka_settings,
            topics.WINDOWS.name,
            [(service, msgspec.json.encode(window)) for window in (wrong, right)],
        )
        wait_for_requests(client, service, 5, timeout_s=60)
        assert window_counts(client, service)[f"{BASELINE} request"] == 5

        def letter() -> str:
            _, found, _ = deadletters(stack_environment, "list", "--stage", "streams.index")
            of_ours = [one["id"] for one in found if service in one["id"]]
            return str(of_ours[0]) if of_ours else ""

        letter_id = wait_until(letter, timeout_s=30)
        code, done, _ = deadletters(stack_environment, "replay", letter_id)
        assert (code, done[0]["fate"]) == (1, "refused")
        assert "refuses it still" in done[0]["detail"]
    finally:
        client.indices.delete(index=index)
    code, done, stderr = deadletters(stack_environment, "replay", letter_id)
    assert (code, done[0]["fate"]) == (0, "replayed"), stderr
    assert window_counts(client, service)[f"{BASELINE} request"] == 10


def _window(service: str, time_ms: int) -> Window:
    return Window(
        time=time_ms,
        service=service,
        release=BASELINE,
        window_s=10,
        part="x",
        counts={"request": 5},
        histograms={},
    )
