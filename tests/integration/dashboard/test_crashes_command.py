"""``coalmine crashes`` against a real Kafka and a real Elasticsearch."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import closing

import msgspec
import pytest
from elasticsearch import Elasticsearch
from kafka import KafkaConsumer
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.stack.topics import ensure_topics
from contracts import topics
from contracts.errors import ConfigError, Fatal
from contracts.results import CrashMark, CrashMarkKind
from contracts.settings import ElasticsearchSettings, KafkaSettings
from dashboard.queries.crash_groups import fetch_groups
from streams.index.documents import documents_of
from streams.messages import Message
from tests.support.crash_seed import HOUR_MS, groups
from tests.support.dashboard_seed import install_templates, write

pytestmark = pytest.mark.integration


def test_a_group_is_listed_shown_and_resolved(
    kafka_settings: KafkaSettings,
    elasticsearch_settings: ElasticsearchSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mark travels on its topic; stored as the indexer stores it, the group is resolved."""
    monkeypatch.setenv("COALMINE_KAFKA", kafka_settings.bootstrap)
    monkeypatch.setenv("COALMINE_ELASTICSEARCH", elasticsearch_settings.url)
    ensure_topics(kafka_settings, [topics.CRASH_MARKS])
    now_ms, service = int(time.time() * 1000), f"shop-{uuid.uuid4().hex[:8]}"

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(build(), ["crashes", *arguments], catch_exceptions=True)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    with Elasticsearch(**elasticsearch_settings.client_options(), request_timeout=60) as client:
        install_templates(client)
        write(client, groups(service, now_ms))
        listed = json.loads(run("list", service, "--json"))
        fresh = next(one for one in listed if one["culprit"] == "cart.fresh")
        assert (fresh["state"], fresh["count"]) == ("new", 10)
        shown = json.loads(run("show", service, fresh["fingerprint"][:10], "--json"))
        assert shown["samples"][0]["calls"][-1] == "cart.fresh"
        assert "in fresh" in run("show", service, fresh["fingerprint"][:10])
        with pytest.raises(ConfigError, match="has this crash"):
            run("resolve", service, fresh["fingerprint"], "--in", "1.5.0")
        with pytest.raises(Fatal, match="no crash group"):
            run("resolve", service, "nothing", "--in", "1.5.1")

        said = json.loads(run("resolve", service, fresh["fingerprint"], "--in", "1.5.1", "--json"))
        value = _value_of(kafka_settings, said["id"])
        mark = msgspec.json.decode(value, type=CrashMark)
        assert (mark.kind, mark.release) == (CrashMarkKind.RESOLVED, "1.5.1")
        [document] = documents_of(Message(topics.CRASH_MARKS.name, 0, 1, now_ms, {}, value))
        client.index(index=document.index, id=document.id, document=document.body, refresh=True)
        found = fetch_groups(client, service, now_ms - 7 * 24 * HOUR_MS, now_ms)
        [record] = [one for one in found if one.fingerprint == fresh["fingerprint"]]
        assert (record.state.value, record.resolved_in) == ("resolved", "1.5.1")


def _value_of(settings: KafkaSettings, mark: str) -> bytes:
    """The message of this mark, read from the beginning of its topic."""
    with closing(
        KafkaConsumer(
            topics.CRASH_MARKS.name,
            **settings.client_options(),
            auto_offset_reset="earliest",
            consumer_timeout_ms=60_000,
        )
    ) as consumer:
        return next(bytes(m.value) for m in consumer if m.value and mark.encode() in m.value)
