"""Coalmine's own stream worker on the topics of the benchmark.

Variant ``worker`` is the worker as users run it, judge included; ``aggregate`` runs the same class
with its aggregate agent alone, fences and changelog on. Nothing of it is replaced: topics get other
names, and the handler of a message is followed by a count, so that the runner learns of the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faust

from benchmarks.throughput.sides.common import Stopwatch, Task, task_from_arguments
from contracts import topics
from contracts.dead_letter_limit import DeadLetterLimit
from contracts.policy import Policies
from contracts.records import RecordKind
from contracts.settings import KafkaSettings
from contracts.topics import Topic
from streams import app, metrics
from streams.durable import DurableApp, new_app
from streams.messages import Message

_MEASURED = f"aggregate_{RecordKind.EVENTS.value}"


class FirstMessage(faust.Sensor):  # type: ignore[misc]  # Faust has no types
    """Sees messages of one topic when they come in, before any is worked on."""

    def __init__(self, topic: str, watch: Stopwatch) -> None:
        super().__init__()
        self._topic = topic
        self._watch = watch

    def on_message_in(self, tp: Any, _offset: int, _message: object) -> None:  # noqa: ANN401 - see above
        """Called by Faust."""
        if tp.topic == self._topic:
            self._watch.begin()


class MeasuredWorker(app.Worker):
    """A worker that tells how far it is."""

    task: Task

    def _add_agent(self, name: str, sources: list[Topic], handle: app.Handler) -> None:
        if name == _MEASURED:
            handle = self._counted(handle)
        elif self.task.variant != "worker":
            return
        super()._add_agent(name, sources, handle)

    def _counted(self, handle: app.Handler) -> app.Handler:
        watch = Stopwatch(self.task.messages)
        self.app.sensors.add(FirstMessage(self.task.topic, watch))

        async def counted(messages: Sequence[Message]) -> list[str]:
            reasons = await handle(messages)
            watch.did(len(messages))
            if not watch.left:
                watch.done()
            return reasons

        return counted


def _rename(topic: Topic, name: str) -> Topic:
    return Topic(name, topic.carries, topic.key, topic.retention_ms)


def main() -> None:
    """Run the worker until the runner ends it."""
    task = MeasuredWorker.task = task_from_arguments()
    topics.TELEMETRY[RecordKind.EVENTS] = _rename(topics.EVENTS, task.topic)
    topics.PARTIALS = _rename(topics.PARTIALS, task.results)

    def build(kafka: KafkaSettings) -> DurableApp:
        own = new_app(task.group, kafka)
        return MeasuredWorker(own, kafka, Policies(), DeadLetterLimit()).app

    app.run_app(build, Path(task.state), None, metrics.REGISTRY, metrics.LAG)


if __name__ == "__main__":
    main()
