"""The indexer: results from Kafka to Elasticsearch, in a process and consumer group of its own.

Judging never waits for Elasticsearch: when it is away, only this process waits, and catches up.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import structlog
from elasticsearch import AsyncElasticsearch

from contracts import topics
from contracts.dead_letters import dead_letter
from contracts.errors import InvalidRecord
from contracts.settings import ElasticsearchSettings, KafkaSettings, elasticsearch_settings
from health.address import Address
from streams.app import message_of, raw_topic, run_app
from streams.durable import DurableApp, new_app
from streams.index import metrics
from streams.index.documents import TOPICS, Document, documents_of
from streams.index.writer import Writer, delete_expired, ensure_templates
from streams.messages import Message

log = structlog.get_logger()

APP_NAME = "coalmine-index"
STAGE = "streams.index"
BATCH_MESSAGES = 500
BATCH_WITHIN_S = 0.1
RETENTION_EVERY_S = 3600.0
INDEXING_LIMIT_S = 120.0
"""Several bulk requests of 30 s; each wait for an Elasticsearch that is away begins it anew."""


class Indexer:
    """One stream agent over every topic that is stored."""

    def __init__(self, app: DurableApp, elasticsearch: ElasticsearchSettings) -> None:
        self.app = app
        self.client = AsyncElasticsearch(
            **elasticsearch.client_options(), request_timeout=30, max_retries=0
        )
        self.pulse = app.vitals.pulse("index_results", INDEXING_LIMIT_S)
        self.writer = Writer(self.client, self._wait)
        self.has_templates = asyncio.Event()
        app.agent(raw_topic(app, *TOPICS), name="index_results")(self._index)
        app.task(self._prepare)
        app.timer(RETENTION_EVERY_S)(self._expire)

    async def _wait(self, seconds: float) -> None:
        self.pulse.beat()
        metrics.RETRIES.inc()
        await asyncio.sleep(seconds)

    async def _prepare(self) -> None:
        await ensure_templates(self.client)
        self.has_templates.set()

    async def _expire(self) -> None:
        for name in await delete_expired(self.client, time.time_ns() // 1_000_000):
            log.info("index_deleted", index=name)

    async def _index(self, stream: Any) -> None:  # noqa: ANN401 - Faust has no types
        await self.has_templates.wait()
        async for events in stream.take_events(BATCH_MESSAGES, within=BATCH_WITHIN_S):
            try:
                with self.pulse:
                    await self._write([message_of(event) for event in events])
            except asyncio.CancelledError:
                raise
            except Exception as error:  # acknowledging the events would lose them
                log.exception("indexing_failed", messages=len(events))
                await self.app.stop_for_good(error)

    async def _write(self, messages: list[Message]) -> None:
        documents: list[Document] = []
        for message in messages:
            try:
                documents += documents_of(message)
            except InvalidRecord as error:
                await self._set_aside(error, message.origin, message.topic, message.value)
        refusals = await self.writer.write(documents)
        metrics.DOCUMENTS.inc(len(documents) - len(refusals))
        for refused in refusals:
            cause = InvalidRecord("refused by elasticsearch", refused.reason)
            body = msgspec.json.encode(refused.document.body)
            origin = refused.document.origin
            await self._set_aside(cause, origin, origin.split("/")[0], body)
        for message in messages:
            metrics.LAG.handled(message)

    async def _set_aside(
        self, error: InvalidRecord, origin: str, topic: str, payload: bytes
    ) -> None:
        log.warning("record_set_aside", origin=origin, reason=error.reason, detail=error.detail)
        metrics.DEAD_LETTERS.labels(metrics.reason_label(error.reason)).inc()
        if topic == topics.DEADLETTERS.name:
            return  # a dead letter of a dead letter would go round for ever
        letter = dead_letter(
            error, stage=STAGE, origin=origin, payload=payload, time=time.time_ns() // 1_000_000
        )
        sent = await raw_topic(self.app, topics.DEADLETTERS.name).send(
            key=letter.origin.encode(), value=msgspec.json.encode(letter)
        )
        await sent


def run(state_dir: Path, health: Address | None = None) -> None:
    """Run the indexer until SIGTERM or SIGINT; ``health`` is where it tells of its health."""

    def build(kafka: KafkaSettings) -> DurableApp:
        return Indexer(new_app(APP_NAME, kafka), elasticsearch_settings()).app

    run_app(build, state_dir, health, metrics.REGISTRY, metrics.LAG)
