"""The work in Quix Streams: its tumbling windows on the messages' timestamps, state in RocksDB."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import msgspec
from quixstreams import Application
from quixstreams.models import Deserializer

from benchmarks.throughput.sides.common import (
    LOG_WIDTH,
    WINDOW_MS,
    Event,
    Result,
    Stopwatch,
    Task,
    task_from_arguments,
)

State = list[Any]
"""Exposures, errors, bin (as text: state is JSON) to count."""
_decode = msgspec.json.Decoder(Event).decode


class EventDeserializer(Deserializer):
    """msgspec instead of the default json module; stops the application after the last message."""

    def __init__(self, app: Application, watch: Stopwatch) -> None:
        super().__init__()
        self._app = app
        self._watch = watch

    def __call__(self, value: bytes, ctx: object) -> Event:  # noqa: ARG002 - Quix names it
        """The event in ``value``."""
        self._watch.begin()
        self._watch.did()
        if not self._watch.left:
            self._app.stop()
        return _decode(value)


def initial(event: Event) -> State:
    """A window's first event."""
    return add([0, 0, {}], event)


def add(state: State, event: Event) -> State:
    """Count one event."""
    state[0] += 1
    state[1] += event.status >= 500
    found = str(math.floor(math.log(event.duration_ms) / LOG_WIDTH))
    state[2][found] = state[2].get(found, 0) + 1
    return state


def result(window: dict[str, Any], key: str) -> Result:
    """What Quix emits for a window, in the shape of every side's results."""
    service, release = key.split("/")
    exposures, errors, bins = window["value"]
    return Result(
        service=service,
        release=release,
        window=window["start"],
        exposures=exposures,
        errors=errors,
        histogram={int(found): number for found, number in bins.items()},
    )


def application(task: Task, watch: Stopwatch) -> Application:
    """The application with its one pipeline."""
    app = Application(
        broker_address=task.kafka,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        state_dir=task.state,
        commit_interval=5.0,
        loglevel="ERROR",
        consumer_extra_config={
            "fetch.message.max.bytes": 8 << 20,
            "queued.min.messages": 100_000,
        },
    )
    source = app.topic(
        task.topic,
        key_deserializer="str",
        value_deserializer=EventDeserializer(app, watch),
    )
    results = app.topic(task.results, key_serializer="str", value_serializer="bytes")
    (
        app.dataframe(source)
        .tumbling_window(timedelta(milliseconds=WINDOW_MS))
        .reduce(add, initial)
        .final()
        .apply(lambda window, key, *_: msgspec.json.encode(result(window, key)), metadata=True)
        .to_topic(results)
    )
    return app


def main() -> None:
    """Run until every message was read."""
    task = task_from_arguments()
    watch = Stopwatch(task.messages)
    application(task, watch).run()
    watch.done()


if __name__ == "__main__":
    main()
