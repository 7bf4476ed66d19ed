"""Documents to Elasticsearch: in bulk, each exactly once in effect, and never given up.

The fate of every item is looked at by itself, because a bulk request answers 200 even when items
failed. Written, or a newer version is there: done. Too busy or broken: again, with backoff.
Refused for what it is (a mapping error): handed back, to become a dead letter.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import elastic_transport
import elasticsearch
import msgspec
import structlog
from elasticsearch import AsyncElasticsearch

from contracts import indices
from contracts.settings import LogStorage
from streams.index.documents import Document

log = structlog.get_logger()

MAX_BULK_BYTES = 5_000_000
FIRST_BACKOFF_S = 1.0
"""Also the shortest: a cluster that does not write is asked at most once a second."""
LAST_BACKOFF_S = 10.0
WRITE_WITHIN = "10s"
"""How long Elasticsearch itself may wait for a shard; longer waits would pile up there."""
_CONFLICT = 409
_WHOLE_REQUEST_IS_WRONG = frozenset({400, 413})
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})

Sleep = Callable[[float], Awaitable[None]]


class Refused(NamedTuple):
    """A document that Elasticsearch will never take, and why."""

    document: Document
    reason: str


class Writer:
    """Writes documents; waits as long as Elasticsearch is away.

    Args:
        client: of the cluster; its own retries are off, the backoff here is the only one.
        sleep: how to wait, injected for tests.
    """

    def __init__(self, client: AsyncElasticsearch, sleep: Sleep = asyncio.sleep) -> None:
        self._client = client
        self._sleep = sleep

    async def write(self, documents: Sequence[Document]) -> list[Refused]:
        """Write all; returns when every document is stored or refused."""
        refused: list[Refused] = []
        for chunk in _chunks(_newest(documents)):
            refused += await self._write_chunk(chunk)
        return refused

    async def _write_chunk(self, chunk: list[Document]) -> list[Refused]:
        refused: list[Refused] = []
        backoff_s = FIRST_BACKOFF_S
        while chunk:
            chunk, newly_refused = await self._try(chunk)
            refused += newly_refused
            if chunk:
                log.warning("elasticsearch_not_writing", documents=len(chunk), wait_s=backoff_s)
                await self._sleep(backoff_s * random.uniform(1.0, 1.3))  # noqa: S311 - jitter
                backoff_s = min(backoff_s * 2, LAST_BACKOFF_S)
        return refused

    async def _try(self, chunk: list[Document]) -> tuple[list[Document], list[Refused]]:
        """One bulk request: what must be tried again, and what never will be taken."""
        try:
            answer = await self._client.bulk(operations=_operations(chunk), timeout=WRITE_WITHIN)
        except elasticsearch.ApiError as error:
            if error.status_code in _WHOLE_REQUEST_IS_WRONG:
                return await self._try_apart(chunk, str(error))
            log.info("elasticsearch_away", error=str(error)[:300])
            return chunk, []
        except elastic_transport.TransportError as error:
            log.info("elasticsearch_away", error=str(error)[:300])
            return chunk, []
        again, refused = [], []
        for document, item in zip(chunk, answer["items"], strict=True):
            result = item["index"]
            status = result["status"]
            if status < 300 or status == _CONFLICT:
                continue
            if status in _TRANSIENT or status in (401, 403):
                again.append(document)
            else:
                refused.append(Refused(document, str(result.get("error"))[:1000]))
        return again, refused

    async def _try_apart(
        self, chunk: list[Document], reason: str
    ) -> tuple[list[Document], list[Refused]]:
        """Halves of a chunk that was refused as a whole, until the guilty document is alone."""
        if len(chunk) == 1:
            return [], [Refused(chunk[0], reason[:1000])]
        middle = len(chunk) // 2
        again, refused = await self._try(chunk[:middle])
        more_again, more_refused = await self._try(chunk[middle:])
        return again + more_again, refused + more_refused


def _newest(documents: Sequence[Document]) -> list[Document]:
    """Without those that a later one of the same batch replaces."""
    newest: dict[tuple[str, str], Document] = {}
    for document in documents:
        key = (document.index, document.id)
        if key not in newest or newest[key].version <= document.version:
            newest[key] = document
    return list(newest.values())


def _chunks(documents: Sequence[Document]) -> Iterator[list[Document]]:
    chunk: list[Document] = []
    size = 0
    for document in documents:
        length = len(msgspec.json.encode(document.body))
        if chunk and size + length > MAX_BULK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(document)
        size += length
    if chunk:
        yield chunk


def _operations(chunk: Sequence[Document]) -> list[dict[str, Any]]:
    operations: list[dict[str, Any]] = []
    for document in chunk:
        operations.append(
            {
                "index": {
                    "_index": document.index,
                    "_id": document.id,
                    "version": document.version,
                    "version_type": "external_gte",
                }
            }
        )
        operations.append(document.body)
    return operations


async def ensure_templates(client: AsyncElasticsearch, sleep: Sleep = asyncio.sleep) -> None:
    """Put the index template of every kind; waits until Elasticsearch answers.

    Raises:
        elasticsearch.BadRequestError: it refuses a template; waiting would not help.
    """
    for index in indices.ALL:
        body = index.template()
        name = f"{indices.PREFIX}-{index.name}"
        while True:
            try:
                await client.indices.put_index_template(name=name, body=body)
                break
            except elasticsearch.BadRequestError:
                raise
            except (elastic_transport.TransportError, elasticsearch.ApiError) as error:
                log.warning("elasticsearch_away", waiting_for="index template", error=str(error))
                await sleep(1.0)


async def delete_expired(
    client: AsyncElasticsearch, now_ms: int, logs: LogStorage | None = None
) -> list[str]:
    """Delete the indices whose day, and whose creation, are both past the retention of their kind.

    Returns:
        The names of the indices that were deleted.
    """
    deleted = []
    logs = logs or LogStorage()
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    for index in indices.ALL:
        days = logs.days if index is indices.LOGS else index.retention_days
        before = now - timedelta(days=days + 1)
        found = await client.indices.get_settings(
            index=index.pattern, name="index.creation_date", ignore_unavailable=True
        )
        for name, settings in found.items():
            created_ms = int(settings["settings"]["index"]["creation_date"])
            created = datetime.fromtimestamp(created_ms / 1000, UTC)
            day = datetime.strptime(name[-10:], "%Y.%m.%d").replace(tzinfo=UTC)
            if max(created, day) < before:
                await client.indices.delete(index=name)
                deleted.append(name)
    return deleted


async def delete_beyond(
    client: AsyncElasticsearch, index: indices.Index, most_bytes: int
) -> list[str]:
    """Delete the oldest days of a kind until the rest takes at most so many bytes.

    The newest day stays, however large it is: it is being written.

    Returns:
        The names of the indices that were deleted.
    """
    if not most_bytes:
        return []
    found = await client.indices.stats(index=index.pattern, metric="store")
    sizes = {n: s["total"]["store"]["size_in_bytes"] for n, s in found["indices"].items()}
    deleted = beyond(sizes, most_bytes)
    for name in deleted:
        await client.indices.delete(index=name, ignore_unavailable=True)
    return deleted


def beyond(sizes: Mapping[str, int], most_bytes: int) -> list[str]:
    """The oldest days that must go for the rest to take at most so many bytes.

    Args:
        sizes: bytes of each index, whose name ends with its day.
        most_bytes: of those that stay; the newest stays in any case.

    >>> beyond({"logs-2026.11.23": 5, "logs-2026.11.24": 5, "logs-2026.11.25": 5}, 11)
    ['logs-2026.11.23']
    """
    kept = 0
    newest_first = sorted(sizes, key=lambda name: name[-10:], reverse=True)
    for number, name in enumerate(newest_first):
        kept += sizes[name]
        if kept > most_bytes and number:
            return newest_first[number:][::-1]
    return []
