"""The broker of the benchmark, its topics, and the tools that look at them from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from coalmine.stack.cache import Cache, cache_directory
from coalmine.stack.kafka_server import KafkaServer
from coalmine.stack.runtime import server_home, server_user
from coalmine.stack.topics import ensure_topics
from contracts.settings import KafkaSettings

PARTITIONS = 4
_FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1"}


class Broker:
    """A broker that runs, with an empty disk at its start."""

    def __init__(self, state_dir: Path, server: KafkaServer, data: Path) -> None:
        self.state_dir = state_dir
        self.address = server.address
        self._data = data

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of kafka-python's clients."""
        return {"bootstrap_servers": self.address}

    def make_topic(self, name: str, *, is_stamped: bool = False) -> None:
        """A topic of four partitions; ``is_stamped``: the broker stamps what arrives."""
        stamp = "LogAppendTime" if is_stamped else "CreateTime"
        config = {**_FOR_EVER, "message.timestamp.type": stamp}
        wanted = {"num_partitions": PARTITIONS, "replication_factor": 1, "configs": config}
        with closing(KafkaAdminClient(**self.options)) as admin:
            admin.create_topics({name: wanted})
            admin.wait_for_topics([name])

    def stamp(self, name: str) -> None:
        """From now on the broker stamps what arrives in a topic that is there already."""
        stamped = {"message.timestamp.type": "LogAppendTime"}
        with closing(KafkaAdminClient(**self.options)) as admin:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, stamped)])

    def remove_topics(self, prefix: str) -> None:
        """Remove what a side has left: its results, changelogs and repartition topics."""
        with closing(KafkaAdminClient(**self.options)) as admin:
            names = [name for name in admin.list_topics() if name.startswith(prefix)]
            if names:
                admin.delete_topics(names)

    def messages(self, topic: str) -> int:
        """How many messages a topic holds."""
        with closing(KafkaConsumer(**self.options)) as consumer:
            return sum(consumer.end_offsets(_partitions(topic)).values())

    def read(self, topic: str) -> Iterator[Any]:
        """Every message of a topic, those of aborted transactions left out."""
        return messages_of(self.options, topic)

    def bytes_of(self, topic: str) -> int:
        """Bytes of a topic on disk, which are those that travelled."""
        logs = [path for p in range(PARTITIONS) for path in self._data.glob(f"{topic}-{p}/*.log")]
        return sum(path.stat().st_size for path in logs)


def messages_of(options: Mapping[str, Any], topic: str) -> Iterator[Any]:
    """Every message of a topic so far, those of aborted transactions left out."""
    reading = {**options, "isolation_level": "read_committed", "fetch_max_wait_ms": 100}
    with closing(KafkaConsumer(**reading)) as consumer:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(p) < ends[p] for p in partitions):
            for messages in consumer.poll(timeout_ms=500).values():
                yield from messages


@contextmanager
def running_broker(state_dir: Path, core: int) -> Iterator[Broker]:
    """A broker on one core of its own; this process moves there too."""
    os.sched_setaffinity(0, {core})
    cache, user = Cache(cache_directory()), server_user()
    server = KafkaServer(state_dir, cache=cache, user=user)
    try:
        server.start()
        ensure_topics(KafkaSettings(bootstrap=server.address, partitions=PARTITIONS))
        data = server_home(state_dir, "kafka", cache, user) / "data"
        yield Broker(state_dir, server, data)
    finally:
        server.stop()


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]
