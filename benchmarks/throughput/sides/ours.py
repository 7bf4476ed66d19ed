"""Coalmine's own stream worker on the topics of the benchmark.

Variant ``worker`` is the worker as users run it, judge included; ``aggregate`` runs the same class
with its aggregate agent alone, fences and changelog on; ``events`` is that with a policy that
counts events, as the peers do, and not distinct users besides. Nothing of it is replaced: topics
get other names, and handlers are followed by a count, so that the runner learns of the end.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import faust

from benchmarks.throughput import events
from benchmarks.throughput.sides.common import (
    READY,
    WARM_UP,
    Stopwatch,
    Task,
    task_from_arguments,
)
from contracts import arrow, topics
from contracts.dead_letter_limit import DeadLetterLimit
from contracts.policy import Policies, Policy, Unit
from contracts.records import RecordKind
from contracts.settings import KafkaSettings
from contracts.topics import Topic
from streams import app, metrics
from streams.aggregating import Ending
from streams.durable import DurableApp, new_app
from streams.messages import Message, aggregate
from streams.outlet import Outlet, Result
from streams.running import run_app

_JUDGE = "judge_rollouts"
_MEASURED = f"aggregate_{RecordKind.EVENTS.value}"


class FirstMessage(faust.Sensor):
    """Sees messages of one topic when they come in, before any is worked on."""

    def __init__(self, topic: str, watch: Stopwatch) -> None:
        super().__init__()
        self._topic = topic
        self._watch = watch

    def on_message_in(self, tp: Any, _offset: int, _message: object) -> None:  # noqa: ANN401 - see above
        """Called by Faust."""
        if tp.topic == self._topic:
            self._watch.begin()


class CountingOutlet(Outlet):
    """Counts the partials that were sent."""

    partials = 0

    async def send(self, results: Iterable[Result]) -> list[asyncio.Future[Any]]:
        """See ``Outlet``."""
        listed = list(results)
        CountingOutlet.partials += sum(topic is topics.PARTIALS for topic, _, _ in listed)
        return await super().send(listed)


class MeasuredWorker(app.Worker):
    """A worker that tells how far it is; it is done when the judge has every partial."""

    task: Task
    watch: Stopwatch

    def _add_agent(self, name: str, sources: list[Topic], handle: app.Handler) -> None:
        if name == _MEASURED:
            handle = self._aggregating(handle)
        elif self.task.variant != "worker":
            return
        elif name == _JUDGE:
            handle = self._judging(handle)
        super()._add_agent(name, sources, handle)

    def _aggregating(self, handle: app.Handler) -> app.Handler:
        watch = self.watch = Stopwatch(self.task.messages)
        self.app.sensors.add(FirstMessage(self.task.topic, watch))

        async def aggregating(messages: Sequence[Message]) -> Ending:
            ending = await handle(messages)

            async def counted() -> list[str]:
                reasons = await ending()
                watch.did(len(messages))
                if not watch.left and self.task.variant != "worker":
                    watch.done()
                return reasons

            return counted

        return aggregating

    def _judging(self, handle: app.Handler) -> app.Handler:
        judged = 0

        async def judging(messages: Sequence[Message]) -> Ending:
            nonlocal judged
            ending = await handle(messages)
            judged += sum(message.topic == self.task.results for message in messages)
            if not self.watch.left and judged == CountingOutlet.partials:
                self.watch.done()
            return ending

        return judging


def _rename(topic: Topic, name: str) -> Topic:
    return Topic(name, topic.carries, topic.key, topic.retention_ms)


def policies_of(variant: str) -> Policies:
    """The default policy; of ``events`` with single events as the unit of its metrics."""
    policy = Policy()
    if variant == "events":
        for metric in policy.metrics:
            metric.unit = Unit.EVENT
    return Policies({"*": policy})


def warm_up(policies: Policies) -> None:
    """Aggregate, with nothing measured, until the runner says go."""
    sys.stdout.write(READY)
    sys.stdout.flush()
    batch = next(events.agent_batches(events.generate(20_000, seed=0)))
    schema = {arrow.SCHEMA_HEADER: arrow.schema_name(RecordKind.EVENTS).encode()}
    message = Message("warm-up", 0, 0, batch.time, schema, batch.payload)
    while not select.select([sys.stdin], [], [], 0)[0]:
        aggregate(RecordKind.EVENTS, [message], policies)


def main() -> None:
    """Run the worker until the runner ends it."""
    task = MeasuredWorker.task = task_from_arguments()
    policies = policies_of(task.variant)
    if os.environ.get(WARM_UP):
        warm_up(policies)
    topics.TELEMETRY[RecordKind.EVENTS] = _rename(topics.EVENTS, task.topic)
    topics.PARTIALS = _rename(topics.PARTIALS, task.results)
    app.Outlet = CountingOutlet  # type: ignore[attr-defined]  # a subclass that counts

    def build(kafka: KafkaSettings) -> DurableApp:
        own = new_app(task.group, kafka)
        return MeasuredWorker(own, kafka, policies, DeadLetterLimit()).app

    run_app(build, Path(task.state), None, metrics.REGISTRY, metrics.LAG)


if __name__ == "__main__":
    main()
