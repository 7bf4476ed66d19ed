"""Plain Faust, one event at a time, with a table; tuned: uvloop, msgspec, large fetches.

The table has one small number per bin, so that an event costs one small write to its changelog.
Variant ``count`` does the work, ``read`` is an agent that does nothing.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import faust
import msgspec
import uvloop

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

_ERRORS = -100_000
"""Stands where a bin would stand, for the number of errors."""
_decode = msgspec.json.Decoder(Event).decode
_encode_key = msgspec.json.encode
_decode_key = msgspec.json.Decoder(tuple[str, str, int, int]).decode


def application(task: Task, watch: Stopwatch) -> faust.App:
    """The app with its one agent."""
    app = faust.App(
        task.group,
        broker=f"kafka://{task.kafka}",
        store="memory://",
        topic_partitions=4,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=10_000,
        broker_commit_interval=1.0,
        consumer_max_fetch_size=8 << 20,
        stream_wait_empty=False,
        web_enabled=False,
    )
    topic = app.topic(task.topic, key_type=bytes, value_type=bytes, key_serializer="raw",
                      value_serializer="raw")  # fmt: skip
    table = (
        app.Table("counts", key_type=bytes, value_type=int, default=int)
        if task.variant == "count"
        else {}
    )
    handle = _counter(table) if task.variant == "count" else _nothing

    @app.agent(topic)
    async def run(stream: AsyncIterator[bytes]) -> None:
        async for value in stream:
            watch.begin()
            handle(value)
            watch.did()
            if not watch.left:
                await _send(app.topic(task.results, value_serializer="raw"), table)
                watch.done()
                os.kill(os.getpid(), signal.SIGTERM)

    return app


def _nothing(_value: bytes) -> None:
    pass


def _counter(table: Any) -> Callable[[bytes], None]:  # noqa: ANN401 - Faust has no types
    def handle(value: bytes) -> None:
        event = _decode(value)
        window = event.time // WINDOW_MS * WINDOW_MS
        found = math.floor(math.log(event.duration_ms) / LOG_WIDTH)
        table[_encode_key((event.service, event.release, window, found))] += 1
        if event.status >= 500:
            table[_encode_key((event.service, event.release, window, _ERRORS))] += 1

    return handle


async def _send(results: Any, table: Mapping[bytes, int]) -> None:  # noqa: ANN401 - Faust has no types
    cells: dict[Key, Counts] = {}
    for encoded, number in table.items():
        service, release, window, found = _decode_key(encoded)
        cell = cells.setdefault((service, release, window), Counts())
        if found == _ERRORS:
            cell.errors = number
        else:
            cell.histogram[found] = number
            cell.exposures += number
    for key, counts in cells.items():
        await (await results.send(value=msgspec.json.encode(Result.of(key, counts))))


def main() -> None:
    """Run as a Faust worker until every message was seen."""
    task = task_from_arguments()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    app = application(task, Stopwatch(task.messages))
    app.conf.datadir = task.state
    faust.Worker(app, loop=loop, loglevel="WARNING", quiet=True, redirect_stdouts=False
                 ).execute_from_commandline()  # fmt: skip


if __name__ == "__main__":
    main()
