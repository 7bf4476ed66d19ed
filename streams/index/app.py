"""The indexer: results from Kafka to Elasticsearch, in a process and consumer group of its own.

Judging never waits for Elasticsearch: when it is away, only this process waits, and catches up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import elastic_transport
import elasticsearch
import msgspec
import structlog
from elasticsearch import AsyncElasticsearch

from contracts import arrow, indices, topics
from contracts.dead_letter_limit import DeadLetterCount, DeadLetterLimit
from contracts.dead_letters import dead_letter
from contracts.errors import InvalidRecord
from contracts.results import DeadLetter
from contracts.settings import (
    ElasticsearchSettings,
    KafkaSettings,
    LogStorage,
    dead_letter_limit,
    elasticsearch_settings,
    log_storage,
)
from health.address import Address
from streams.consuming import batches
from streams.durable import DurableApp, new_app
from streams.index import metrics
from streams.index.documents import TOPICS, Document, documents_of
from streams.index.writer import Writer, delete_beyond, delete_expired, ensure_templates
from streams.messages import Message, failures_are_invalid
from streams.outlet import raw_topic
from streams.running import run_app

log = structlog.get_logger()

APP_NAME = "coalmine-index"
STAGE = "streams.index"
"""Dead letters of this stage are documents (or messages that give none), not telemetry."""
REFUSED = "refused by elasticsearch"
BATCH_STRETCHES = 8
BATCH_WITHIN_S = 0.1
RETENTION_EVERY_S = 600.0
INDEXING_LIMIT_S = 120.0
"""Several bulk requests of 30 s; each wait for an Elasticsearch that is away begins it anew."""


class Indexer:
    """One stream agent over every topic that is stored."""

    def __init__(
        self,
        app: DurableApp,
        elasticsearch: ElasticsearchSettings,
        limit: DeadLetterLimit,
        logs: LogStorage,
    ) -> None:
        self.app = app
        self.logs = logs
        self.count = DeadLetterCount(STAGE, limit)
        self.client = AsyncElasticsearch(
            **elasticsearch.client_options(), request_timeout=30, max_retries=0
        )
        self.pulse = app.vitals.pulse("index_results", INDEXING_LIMIT_S)
        self.writer = Writer(self.client, self._wait)
        self.has_templates = asyncio.Event()
        app.vitals.need("index templates are put", self.has_templates.is_set)
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
        try:
            deleted = await delete_expired(self.client, time.time_ns() // 1_000_000, self.logs)
            deleted += await delete_beyond(self.client, indices.LOGS, self.logs.most_bytes)
        except (elastic_transport.TransportError, elasticsearch.ApiError) as error:
            log.warning("elasticsearch_away", waiting_for="retention", error=str(error))
            return  # the next round deletes it
        for name in deleted:
            log.info("index_deleted", index=name)

    async def _index(self, stream: Any) -> None:  # noqa: ANN401 - Faust has no types
        await self.has_templates.wait()
        async for messages in batches(stream, BATCH_STRETCHES, BATCH_WITHIN_S):
            try:
                with self.pulse:
                    await self._write(messages)
                    await messages.acknowledge()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # acknowledging the events would lose them
                log.exception("indexing_failed", messages=len(messages))
                await self.app.stop_for_good(error)

    async def _write(self, messages: Sequence[Message]) -> None:
        documents: list[Document] = []
        for message in messages:
            try:
                with failures_are_invalid(message):
                    documents += documents_of(message, self.logs.share)
            except InvalidRecord as error:
                schema = message.headers.get(arrow.SCHEMA_HEADER, b"").decode("utf-8", "replace")
                await self._set_aside(_letter(error, message.origin, message.value, schema=schema))
        refusals = await self.writer.write(documents)
        metrics.DOCUMENTS.inc(len(documents) - len(refusals))
        self.count.good(len(documents) - len(refusals))
        for document, reason in refusals:
            cause = InvalidRecord(REFUSED, reason)
            payload = msgspec.json.encode(document)
            await self._set_aside(_letter(cause, document.origin, payload, identity=document.id))
        for message in messages:
            metrics.LAG.handled(message)

    async def _set_aside(self, letter: DeadLetter) -> None:
        metrics.DEAD_LETTERS.labels(metrics.reason_label(letter.reason)).inc()
        log.warning(
            "record_set_aside", origin=letter.origin, reason=letter.reason, detail=letter.detail
        )
        # a dead letter of a dead letter would go round for ever
        if not letter.origin.startswith(f"{topics.DEADLETTERS.name}/"):
            key, value = letter.origin.encode(), msgspec.json.encode(letter)
            await (await self.app.produce(topics.DEADLETTERS.name, key, value))
        self.count.bad(letter.reason)


def _letter(
    error: InvalidRecord, origin: str, payload: bytes, *, identity: str = "", schema: str = ""
) -> DeadLetter:
    return dead_letter(
        error,
        stage=STAGE,
        origin=origin,
        payload=payload,
        time=time.time_ns() // 1_000_000,
        identity=f"{origin}/{identity}" if identity else "",
        schema=schema,
    )


def run(state_dir: Path, health: Address | None = None) -> None:
    """Run the indexer until SIGTERM or SIGINT; ``health`` is where it tells of its health.

    Raises:
        ConfigError: the environment is wrong.
        TooManyDeadLetters: too much cannot be stored.
        Fatal: it cannot go on; its log says why.
    """
    limit, logs = dead_letter_limit(), log_storage()

    def build(kafka: KafkaSettings) -> DurableApp:
        return Indexer(new_app(APP_NAME, kafka), elasticsearch_settings(), limit, logs).app

    run_app(build, state_dir, health, metrics.REGISTRY, metrics.LAG)
