"""The work in Bytewax: its Kafka source, its event-time windows, its Kafka sink; no recovery store.

Variant ``windows`` uses its window operator, as its documentation does; variant ``batches`` counts
each batch by hand before the counts meet in a stateful step, which is what an expert might do.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import bytewax.operators as op
import bytewax.operators.windowing as win
import msgspec
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow, Stream
from bytewax.testing import run_main

from benchmarks.throughput.sides.common import (
    LOG_WIDTH,
    WINDOW_MS,
    Counts,
    Event,
    Result,
    Stopwatch,
    Task,
    task_from_arguments,
)
from benchmarks.throughput.sides.confluent_loop import count

_Message: TypeAlias = "KafkaSourceMessage[bytes, bytes]"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEPARATOR = "\n"
_decode = msgspec.json.Decoder(Event).decode


def flow(task: Task, watch: Stopwatch) -> Dataflow:
    """The whole flow."""
    made = Dataflow("throughput")
    source = KafkaSource(
        [task.kafka],
        [task.topic],
        tail=False,
        batch_size=5_000,
        add_config={"fetch.message.max.bytes": str(8 << 20), "queued.min.messages": "1000000"},
    )
    raw = op.input("in", made, source)
    watched = op.flat_map_batch("watch", raw, _watching(watch))
    results = _by_windows(watched) if task.variant == "windows" else _by_batches(watched)
    op.output("out", results, KafkaSink([task.kafka], task.results))
    return made


def _watching(watch: Stopwatch) -> Callable[[list[_Message]], list[_Message]]:
    def did(messages: list[_Message]) -> list[_Message]:
        if messages:
            watch.begin()
        watch.did(len(messages))
        return messages

    return did


def _by_windows(raw: Stream[_Message]) -> Stream[KafkaSinkMessage]:
    keyed = op.map("decode", raw, _keyed)
    clock = win.EventClock(_time_of, wait_for_system_duration=timedelta(minutes=1))
    windower = win.TumblingWindower(length=timedelta(milliseconds=WINDOW_MS), align_to=_EPOCH)
    counted = win.fold_window("count", keyed, clock, windower, Counts, _add, _merge, ordered=False)
    return op.map("encode", counted.down, _encoded)


def _keyed(message: _Message) -> tuple[str, Event]:
    event = _decode(message.value)
    return f"{event.service}{_SEPARATOR}{event.release}", event


def _time_of(event: Event) -> datetime:
    return datetime.fromtimestamp(event.time / 1000, UTC)


def _add(counts: Counts, event: Event) -> Counts:
    counts.exposures += 1
    counts.errors += event.status >= 500
    found = math.floor(math.log(event.duration_ms) / LOG_WIDTH)
    counts.histogram[found] = counts.histogram.get(found, 0) + 1
    return counts


def _merge(one: Counts, other: Counts) -> Counts:
    one.exposures += other.exposures
    one.errors += other.errors
    for found, number in other.histogram.items():
        one.histogram[found] = one.histogram.get(found, 0) + number
    return one


def _encoded(item: tuple[str, tuple[int, Counts]]) -> KafkaSinkMessage:
    key, (window, counts) = item
    service, release = key.split(_SEPARATOR)
    result = Result.of((service, release, window * WINDOW_MS), counts)
    return KafkaSinkMessage(None, msgspec.json.encode(result))


def _by_batches(raw: Stream[_Message]) -> Stream[KafkaSinkMessage]:
    counted = op.flat_map_batch("count", raw, _count_batch)
    merged = op.reduce_final("merge", counted, _merge)
    return op.map("encode", merged, _encoded_total)


def _count_batch(messages: list[_Message]) -> Iterable[tuple[str, Counts]]:
    cells: dict[tuple[str, str, int], Counts] = {}
    count([message.value for message in messages], cells)
    return [
        (_SEPARATOR.join((service, release, str(window))), counts)
        for (service, release, window), counts in cells.items()
    ]


def _encoded_total(item: tuple[str, Counts]) -> KafkaSinkMessage:
    service, release, window = item[0].split(_SEPARATOR)
    result = Result.of((service, release, int(window)), item[1])
    return KafkaSinkMessage(None, msgspec.json.encode(result))


def main() -> None:
    """Run the flow to the end of the topic."""
    gc.disable()
    task = task_from_arguments()
    watch = Stopwatch(task.messages)
    run_main(flow(task, watch))
    watch.done()


if __name__ == "__main__":
    main()
