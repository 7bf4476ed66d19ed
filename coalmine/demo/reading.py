"""What the demo has to do with the servers: results from Kafka, counts from Elasticsearch."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from elasticsearch import Elasticsearch
from kafka import KafkaConsumer, KafkaProducer

from coalmine.demo.timeline import TOPICS, Results
from contracts import indices, topics
from contracts.results import RolloutCommand, RolloutCommandAction
from contracts.settings import ElasticsearchSettings, KafkaSettings


class ResultsReader:
    """Reads the results topics from their beginning into ``Results``."""

    def __init__(self, kafka: KafkaSettings, results: Results) -> None:
        self.results = results
        self._consumer: Any = KafkaConsumer(
            *TOPICS,
            **kafka.client_options(),
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._consumer.close()

    def poll(self, seconds: float) -> None:
        """Wait up to ``seconds`` for messages and take in those that can be read."""
        for partition, messages in self._consumer.poll(timeout_ms=round(seconds * 1000)).items():
            read = TOPICS[partition.topic]
            for message in messages:
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, TypeError):
                    self.results.apply(read(message.value))


def start_rollout(kafka: KafkaSettings, service: str, *, canary: str, baseline: str) -> None:
    """Open a rollout as a deploy tool does: on servers that saw an earlier run, 1.5.0 is known,
    and autodetection opens a rollout only for a release never seen before.
    """
    start = RolloutCommandAction.START
    _command(kafka, service, start, canary=canary, baseline=baseline)


def abort_rollout(kafka: KafkaSettings, service: str) -> None:
    """End the rollout that an earlier run left open; harmless where there is none."""
    _command(kafka, service, RolloutCommandAction.ABORT)


def _command(
    kafka: KafkaSettings,
    service: str,
    action: RolloutCommandAction,
    *,
    canary: str = "",
    baseline: str = "",
) -> None:
    now = time.time_ns() // 1_000_000
    command = RolloutCommand(
        id=f"demo-{now}",
        time=now,
        service=service,
        action=action,
        canary=canary,
        baseline=baseline,
        requested_by="coalmine demo",
    )
    producer: Any = KafkaProducer(**kafka.client_options())
    try:
        value = msgspec.json.encode(command)
        producer.send(topics.ROLLOUTS.name, key=service.encode(), value=value).get(timeout=10)
    finally:
        producer.close()


def lines_written(shop_logs: Path) -> int:
    """Complete lines in every access log below ``shop_logs``."""
    return sum(path.read_bytes().count(b"\n") for path in shop_logs.rglob("access.log"))


def events_counted(elasticsearch: ElasticsearchSettings, service: str, since_ms: int) -> int:
    """Requests of ``service`` in the storage windows of Elasticsearch since ``since_ms``."""
    with Elasticsearch(**elasticsearch.client_options()) as client:
        client.indices.refresh(index=indices.WINDOWS.pattern, allow_no_indices=True)
        answer = client.search(
            index=indices.WINDOWS.pattern,
            allow_no_indices=True,
            size=0,
            query={
                "bool": {
                    "filter": [
                        {"term": {"service.name": service}},
                        {"range": {"@timestamp": {"gte": since_ms, "format": "epoch_millis"}}},
                    ]
                }
            },
            aggs={"requests": {"sum": {"field": "counts.request"}}},
        )
    return round(answer.get("aggregations", {}).get("requests", {}).get("value") or 0)
