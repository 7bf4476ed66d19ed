"""Telemetry read a second time: what a crash left counted in part is counted to its end."""

from __future__ import annotations

from typing import Any

from aiokafka import TopicPartition

from contracts.errors import Fatal
from contracts.results import Source
from contracts.settings import KafkaSettings
from streams.clients import reader
from streams.messages import Message

_FETCH_MS = 500


class Rereader:
    """Reads a stretch of one partition, outside of any consumer group."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    async def read(self, source: Source, start: int) -> list[Message]:
        """The messages of a stretch from offset ``start`` on, in order.

        Raises:
            Fatal: Kafka no longer has them.
        """
        partition = TopicPartition(source.topic, source.partition)
        async with reader(self._kafka) as consumer:
            consumer.assign([partition])
            beginning = (await consumer.beginning_offsets([partition]))[partition]
            if beginning > start:
                raise Fatal(f"{source.place} begins at {beginning}, but {start} must be read again")
            consumer.seek(partition, start)
            found: list[Message] = []
            while await consumer.position(partition) <= source.offset:
                fetched = await consumer.getmany(partition, timeout_ms=_FETCH_MS)
                found += [_message(record) for record in fetched.get(partition, [])]
            return [message for message in found if message.offset <= source.offset]


def _message(record: Any) -> Message:  # noqa: ANN401 - aiokafka has no types
    return Message(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        headers=dict(record.headers),
        value=record.value or b"",
    )
