"""Tables of a real Faust app, read from real changelogs while partitions change hands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from coalmine.stack.topics import ensure_topics
from contracts import topics
from contracts.errors import Fatal
from contracts.settings import KafkaSettings
from streams import clients, durable, tables
from streams.durable import MAX_MESSAGE_BYTES, DurableApp, new_app
from streams.outlet import raw_topic
from streams.tables import DurableTable, Tables, ensure_changelogs
from tests.support.stack import produce, unique

pytestmark = pytest.mark.integration

PARTITIONS = 4
KEYS = 20_000


def write(kafka: KafkaSettings, changelog: str, keys: int, version: int) -> None:
    """As another worker would, into every partition."""
    record = tables._VERSION.pack(version) + b"x" * 100
    producer = KafkaProducer(**kafka.client_options(), linger_ms=20)
    for number in range(keys):
        place = number % PARTITIONS
        producer.send(changelog, key=b"%d" % number, value=record, partition=place)
    producer.flush()
    producer.close()


@asynccontextmanager
async def running(
    kafka: KafkaSettings,
    state: Path,
    seen: Callable[[DurableTable], None] = lambda _: None,
    keys: int = 0,
) -> AsyncIterator[tuple[DurableApp, DurableTable]]:
    """An app with a table whose changelog has so many keys; ``seen`` is called by its agent."""
    name = unique("table")
    app = new_app(name, kafka)
    app.conf.datadir = state
    table = Tables(app, kafka).add("numbers")
    ensure_topics(kafka, [replace(topics.PARTIALS, name=name)])
    await ensure_changelogs(kafka, [table.changelog])
    write(kafka, table.changelog, keys, version=1)
    produce(kafka, name, [b"a message"] * PARTITIONS)

    async def read(stream: Any) -> None:
        async for _ in stream.noack_take(1, within=0.01):
            seen(table)

    app.agent(raw_topic(app, name))(read)
    starting = asyncio.create_task(app.start())
    try:
        yield app, table
    finally:
        await starting
        await app.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def rebalance(app: DurableApp) -> None:
    """Have the group's partitions given out anew, by the broker."""
    generation = app.consumer_generation_id
    thread = app.consumer._thread
    rejoin = thread._consumer._coordinator.request_rejoin
    thread.thread_loop.call_soon_threadsafe(rejoin)
    await until(lambda: bool(app.consumer_generation_id != generation))


async def test_a_table_is_whole_although_partitions_change_hands_while_it_is_read(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no message is given out before: what it asks the table for would not be there."""
    monkeypatch.setattr(clients, "FETCH_BYTES", 20_000)
    read = DurableTable.take_in

    def read_slowly(table: DurableTable, partition: int, records: Iterable[Any]) -> None:
        time.sleep(0.01)
        read(table, partition, records)

    monkeypatch.setattr(DurableTable, "take_in", read_slowly)
    missing: list[int] = []
    broken_off = 0

    def seen(table: DurableTable) -> None:
        missing.append(sum(table.version_of(b"%d" % number) != 1 for number in range(KEYS)))

    async with running(kafka_settings, tmp_path, seen, KEYS) as (app, table):
        for share in (5, 3, 2):
            await until(lambda s=share: len(table.own_keys()) >= KEYS // s)  # type: ignore[misc]
            await rebalance(app)
            broken_off += len(table.own_keys()) < KEYS
        await until(lambda: bool(missing))
    assert broken_off >= 1
    assert set(missing) == {0}


async def test_what_others_wrote_is_known_after_every_rebalance(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    """Faust's own recovery waits for ever for what a poll took that began before its seek."""
    async with running(kafka_settings, tmp_path) as (app, table):
        await until(lambda: _is_restored(app))
        for version in range(1, 9):
            await asyncio.to_thread(write, kafka_settings, table.changelog, 8, version)
            await rebalance(app)
            await until(lambda v=version: _is_restored(app) and _versions(table) == {v})  # type: ignore[misc]


def _versions(table: DurableTable) -> set[int]:
    return {table.version_of(b"%d" % number) for number in range(8)}


def _is_restored(app: DurableApp) -> bool:
    return "tables are restored" not in app.vitals.missing()


async def test_a_changelog_keeps_the_last_record_of_every_key(
    kafka_settings: KafkaSettings,
) -> None:
    """It is compacted, takes large records, and is made once whoever is first."""
    name = unique("changelog")
    makers: list[Awaitable[None]] = [ensure_changelogs(kafka_settings, [name]) for _ in range(3)]
    await asyncio.gather(*makers)
    with closing(KafkaAdminClient(**kafka_settings.client_options())) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, name)
        config = admin.describe_configs([resource], config_filter="All")["topic"][name]
        partitions = admin.describe_topics([name])[0]["partitions"]
    assert config["cleanup.policy"]["value"] == "compact"
    assert config["max.message.bytes"]["value"] == str(MAX_MESSAGE_BYTES)
    assert len(partitions) == kafka_settings.partitions


async def test_a_changelog_that_somebody_made_anew_ends_the_worker(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it knows is no longer what stands there; started again it knows what does."""
    monkeypatch.setattr(durable, "CRASH_WITHIN_S", 3600.0)  # the process is the tests'
    async with running(kafka_settings, tmp_path, keys=40) as (app, table):
        await until(lambda: _is_restored(app))
        with closing(KafkaAdminClient(**kafka_settings.client_options())) as admin:
            admin.delete_topics([table.changelog])
            await until(lambda: table.changelog not in admin.list_topics())
        await ensure_changelogs(kafka_settings, [table.changelog])
        await rebalance(app)
        await until(lambda: app.crash_reason is not None)
        assert isinstance(app.crash_reason, Fatal)
        assert "was made anew" in str(app.crash_reason)
