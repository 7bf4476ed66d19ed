"""Tables of bytes: kept in memory, written to changelogs in Kafka, and read anew from them.

Faust's own tables are not used (ADR 0135): what their recovery reads passes through the queues and
the flow control of the stream agents, and is lost where partitions change hands meanwhile.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterable
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from contracts.errors import Fatal
from contracts.settings import KafkaSettings
from contracts.topics import replication_factor
from streams.clients import aiokafka_options, reader
from streams.durable import MAX_MESSAGE_BYTES, DurableApp

log = structlog.get_logger()

LINGER_S = 60.0
"""So long what a worker gave away stays known to it: a batch in hand still asks for it, and what
comes back is read on from where it was. Once Kafka answers, no batch takes so long."""
_POLL_MS = 500
_TELL_EVERY_S = 5.0
_AGAIN_AFTER_S = 1.0
_VERSION = struct.Struct(">q")


class DurableTable:
    """A table of bytes whose writes are acknowledged before they count.

    Every value has a version that grows with each write. Of a worker that was wedged, and writes
    when it wakes, and the worker that took over, the one further on wins, whatever the order in
    which their records stand in the changelog.

    Args:
        app: has the producer, and the lease.
        name: of the table; its changelog has the app's name before it.
    """

    def __init__(self, app: DurableApp, name: str) -> None:
        self._app = app
        self._name = name
        self._records: dict[bytes, bytes] = {}
        self._places: dict[bytes, int] = {}
        self._next: dict[int, int] = {}
        """Offset of the changelog up to which all of a partition is known."""
        self._own: frozenset[int] = frozenset()
        self.assignments = 0
        """How often partitions were assigned: what is under way may have gone to another worker."""

    @property
    def changelog(self) -> str:
        """The topic of its records."""
        return f"{self._app.conf.id}-{self._name}-changelog"

    async def put(self, key: bytes, value: bytes, *, version: int, partition: int) -> None:
        """Write to the changelog of ``partition``, wait until Kafka has it, then set the key."""
        self._app.check_lease()
        record = _VERSION.pack(version) + value
        offset = await self.send_changelog(partition, key, record)
        if offset == self._next.get(partition):  # nobody else has written in between
            self._next[partition] = offset + 1
        if version >= self.version_of(key):  # or another worker had the key meanwhile
            self._set(key, record, partition)

    async def send_changelog(self, partition: int, key: bytes, record: bytes) -> int:
        """Write a record; its offset, when Kafka has it."""
        sent = await self._app.produce(self.changelog, key, record, partition)
        return int((await sent).offset)

    def value_of(self, key: bytes) -> bytes | None:
        """The value of a key, if it has one."""
        record = self._records.get(key)
        return None if record is None else record[_VERSION.size :]

    def version_of(self, key: bytes) -> int:
        """The version of a key's value; -1 where there is none."""
        return _version(self._records.get(key))

    def own_keys(self) -> list[bytes]:
        """The keys whose partitions this worker has; others linger for a while."""
        return [key for key, partition in self._places.items() if partition in self._own]

    def own(self, partitions: Iterable[int]) -> None:
        """These partitions are this worker's from now on, and no others."""
        self._own = frozenset(partitions)
        self.assignments += 1

    def begin(self, partition: int, earliest: int, end: int) -> int:
        """Where the changelog of a partition is to be read from.

        Args:
            partition: one of this worker's.
            earliest: offset of the first record that the changelog still has.
            end: the offset after its last.

        Raises:
            Fatal: it ends before what is known of it.
        """
        known = self._next.setdefault(partition, earliest)
        if known > end:
            place = f"{self.changelog}/{partition}"
            raise Fatal(f"{place} ends at {end}, but was read up to {known}: it was made anew")
        return max(known, earliest)

    def take_in(self, partition: int, records: Iterable[Any]) -> None:
        """Records of the changelog, in their order; an older version never replaces a newer one."""
        for one in records:
            key, record = one.key, one.value
            self._next[partition] = one.offset + 1
            if key is None or record is None or len(record) < _VERSION.size:
                log.warning("no_table_record", changelog=self.changelog, offset=one.offset)
            elif _version(record) >= self.version_of(key):
                self._set(key, record, partition)

    def forget(self) -> None:
        """Drop what is of partitions that are not this worker's."""
        gone = [key for key, partition in self._places.items() if partition not in self._own]
        for key in gone:
            del self._records[key], self._places[key]
        for partition in self._next.keys() - self._own:
            del self._next[partition]

    def _set(self, key: bytes, record: bytes, partition: int) -> None:
        self._records[key] = record
        self._places[key] = partition


def _version(record: bytes | None) -> int:
    return -1 if record is None else int(_VERSION.unpack_from(record)[0])


class Tables:
    """The tables of one app: read from their changelogs before a message of theirs is given out.

    Args:
        app: not started yet.
        kafka: where the changelogs are.
    """

    def __init__(self, app: DurableApp, kafka: KafkaSettings) -> None:
        self._app = app
        self._kafka = kafka
        self._tables: list[DurableTable] = []
        self._is_restored = False
        app.on_rebalance_complete.connect(self._restore)  # Faust waits for it, then seeks
        app.vitals.need("tables are restored", lambda: self._is_restored)

    def add(self, name: str) -> DurableTable:
        """A table, empty until partitions are assigned."""
        table = DurableTable(self._app, name)
        self._tables.append(table)
        return table

    async def _restore(self, app: DurableApp, **_: object) -> None:
        """Bring the tables up to date, however long Kafka does not answer."""
        self._is_restored = False
        generation = app.consumer_generation_id
        partitions = {place.partition for place in app.consumer.assignment()}
        for table in self._tables:
            table.own(partitions)
        while self._is_current(generation):
            try:
                await self._read(sorted(partitions), generation)
                break
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("changelogs_not_read", error=repr(error))
                await asyncio.sleep(_AGAIN_AFTER_S)
        self._is_restored = self._is_current(generation)
        asyncio.get_running_loop().call_later(LINGER_S, self._forget)

    def _is_current(self, generation: int) -> bool:
        """Whether partitions have not changed hands again meanwhile."""
        return bool(self._app.consumer_generation_id == generation and not self._app.should_stop)

    def _forget(self) -> None:
        for table in self._tables:
            table.forget()

    async def _read(self, partitions: list[int], generation: int) -> None:
        """Read every changelog of these partitions to its present end."""
        by_topic = {table.changelog: table for table in self._tables}
        places = [
            TopicPartition(topic, partition) for topic in by_topic for partition in partitions
        ]
        if not places:
            return
        await ensure_changelogs(self._kafka, by_topic)
        async with reader(self._kafka) as consumer:
            ends = await consumer.end_offsets(places)
            earliest = await consumer.beginning_offsets(places)
            starts = {
                place: by_topic[place.topic].begin(place.partition, earliest[place], ends[place])
                for place in places
            }
            behind = _Behind(starts, ends)
            if behind.left:
                consumer.assign(list(behind.left))
            for place in behind.left:
                consumer.seek(place, starts[place])
            while behind.left and self._is_current(generation):
                for place, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                    by_topic[place.topic].take_in(place.partition, records)
                behind.reached({place: await consumer.position(place) for place in behind.left})
            behind.tell()


class _Behind:
    """How far changelogs are from their ends, told again and again while that lasts."""

    def __init__(self, starts: dict[TopicPartition, int], ends: dict[TopicPartition, int]) -> None:
        self.left = {place: starts[place] for place in starts if starts[place] < ends[place]}
        self._ends = ends
        self._records = self._waiting()
        self._since_s = self._told_s = time.monotonic()

    def reached(self, positions: dict[TopicPartition, int]) -> None:
        self.left = {place: at for place, at in positions.items() if at < self._ends[place]}
        if time.monotonic() - self._told_s > _TELL_EVERY_S:
            self._told_s = time.monotonic()
            self.tell()

    def tell(self) -> None:
        event = "restoring_tables" if self.left else "tables_restored"
        took_s = round(time.monotonic() - self._since_s, 3)
        log.info(event, offsets=self._records, left=self._waiting(), took_s=took_s)

    def _waiting(self) -> int:
        return sum(self._ends[place] - at for place, at in self.left.items())


async def ensure_changelogs(kafka: KafkaSettings, names: Iterable[str]) -> None:
    """Make the changelogs that are missing: compacted, with as many replicas as other topics have.

    Raises:
        KafkaError: the broker is away, or refuses.
    """
    admin = AIOKafkaAdminClient(**aiokafka_options(kafka))
    try:
        await admin.start()
        missing = sorted(set(names) - set(await admin.list_topics()))
        if not missing:
            return
        brokers = len((await admin.describe_cluster())["brokers"])
        made = await admin.create_topics(
            [
                NewTopic(
                    name,
                    num_partitions=kafka.partitions,
                    replication_factor=replication_factor(brokers),
                    topic_configs={
                        "cleanup.policy": "compact",
                        "max.message.bytes": str(MAX_MESSAGE_BYTES),
                    },
                )
                for name in missing
            ]
        )
        for name, code, *_ in made.topic_errors:
            if code not in (0, TopicAlreadyExistsError.errno):
                raise for_code(code)(f"{name} cannot be made")
    finally:
        await admin.close()
