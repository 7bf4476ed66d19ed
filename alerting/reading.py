"""Topics read back from a moment on, to their present end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka import TopicPartition


def read_since(
    consumer: Any,  # noqa: ANN401 - untyped library
    topic: str,
    since_ms: int,
    note: Callable[[bytes | None], bool],
) -> int:
    """Give ``note`` every message that a topic took from a moment on, and has now.

    Args:
        consumer: of no group; it is assigned anew.
        topic: its name.
        since_ms: epoch milliseconds of the broker's time of a message.
        note: takes one value; false where it is not what was looked for.

    Returns:
        How many were what was looked for.

    Raises:
        KafkaError: the broker does not answer.
    """
    numbers = consumer.partitions_for_topic(topic) or ()
    partitions = [TopicPartition(topic, number) for number in numbers]
    if not partitions:
        return 0
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    starts = consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
    for partition in partitions:
        start = starts.get(partition)
        consumer.seek(partition, start.offset if start else ends[partition])
    count = 0
    while any(consumer.position(p) < ends[p] for p in partitions):
        for records in consumer.poll(timeout_ms=200).values():
            count += sum(note(record.value) for record in records)
    return count
