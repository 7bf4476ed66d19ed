"""A bare loop: confluent-kafka, msgspec, a dictionary; no state is kept, nothing is fenced.

Tuned: large fetches, 10,000 messages at a time decoded in one call, durations binned by numpy.
Variant ``count`` does the work, ``read`` merely takes the bytes.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterator

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer

from benchmarks.throughput.sides.common import (
    LOG_WIDTH,
    WINDOW_MS,
    Counts,
    Event,
    Key,
    Result,
    Stopwatch,
    Task,
    task_from_arguments,
)

_AT_ONCE = 10_000
_decode = msgspec.json.Decoder(list[Event]).decode


def batches(task: Task, watch: Stopwatch) -> Iterator[list[bytes]]:
    """Values of all messages, many at a time."""
    consumer = Consumer(
        {
            "bootstrap.servers": task.kafka,
            "group.id": task.group,
            "auto.offset.reset": "earliest",
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 1 << 18,
            "fetch.message.max.bytes": 8 << 20,
            "fetch.max.bytes": 64 << 20,
            "fetch.wait.max.ms": 20,
        }
    )
    consumer.subscribe([task.topic])
    while watch.left:
        messages = consumer.consume(_AT_ONCE, 0.1)
        if messages:
            watch.begin()
            yield [message.value() for message in messages]
            watch.did(len(messages))


def count(values: list[bytes], cells: dict[Key, Counts]) -> None:
    """Add these messages to their cells."""
    durations: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
    errors: defaultdict[tuple[str, str, int], int] = defaultdict(int)
    for event in _decode(b"[" + b",".join(values) + b"]"):
        key = event.service, event.release, event.time // WINDOW_MS
        durations[key].append(event.duration_ms)
        if event.status >= 500:
            errors[key] += 1
    for key, found in durations.items():
        service, release, window = key
        cell = cells.setdefault((service, release, window * WINDOW_MS), Counts())
        cell.exposures += len(found)
        cell.errors += errors[key]
        _add_bins(cell.histogram, found)


def _add_bins(into: dict[int, int], durations: list[float]) -> None:
    bins = np.floor(np.log(np.array(durations)) / LOG_WIDTH).astype(np.int64)
    lowest = int(bins.min())
    counts = np.bincount(bins - lowest)
    for at in np.flatnonzero(counts).tolist():
        into[at + lowest] = into.get(at + lowest, 0) + int(counts[at])


def send(task: Task, cells: dict[Key, Counts]) -> None:
    """Write every cell to the results topic."""
    producer = Producer({"bootstrap.servers": task.kafka})
    for key, counts in cells.items():
        producer.produce(task.results, msgspec.json.encode(Result.of(key, counts)))
    producer.flush()


def main() -> None:
    """Do the work once."""
    gc.disable()
    task = task_from_arguments()
    watch = Stopwatch(task.messages)
    cells: dict[Key, Counts] = {}
    for values in batches(task, watch):
        if task.variant == "count":
            count(values, cells)
    send(task, cells)
    watch.done()


if __name__ == "__main__":
    main()
