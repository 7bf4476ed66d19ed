"""Memory of a worker with many services and releases, over an hour of their windows.

    python -m benchmarks.system memory --services 200 --releases 5 --minutes 60

A real broker and the worker's own process; event time runs faster than the clock, so the worker is
behind all the time, which is when most of it waits in memory. Printed are the peak and what it
holds once it has caught up.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks.system.figures import Row, at_most, publish
from benchmarks.system.traffic import BATCH, Shape, batch, headers
from benchmarks.throughput.command import say
from coalmine.stack.local import LocalStack
from coalmine.stack.topics import ensure_topics
from contracts import topics
from contracts.settings import KafkaSettings, kafka_settings

_LIMIT_MB = 500.0
_AGENTS = 20
_SETTLED_S = 6.0
_LONGEST_S = 1_800.0
_GROUP = "coalmine-streams"


def main(
    services: Annotated[int, typer.Option(min=1)] = 200,
    releases: Annotated[int, typer.Option(min=1)] = 5,
    minutes: Annotated[float, typer.Option(min=1, help="Of event time, up to now.")] = 60,
    events_per_s: Annotated[float, typer.Option(min=1, help="Of event time, in all.")] = 1_000,
) -> None:
    """Peak and settled memory of the worker's process, beside the goal."""
    settings = dict(locals())
    shape = Shape(services=services, releases=releases, hosts=_AGENTS)
    with tempfile.TemporaryDirectory(prefix="coalmine-bench-", ignore_cleanup_errors=True) as name:
        state = Path(name)
        state.chmod(0o755)
        stack = LocalStack(state / "stack")
        stack.start(kafka=True, elasticsearch=False)
        try:
            environment = {**os.environ, **stack.environment()}
            kafka = kafka_settings(environment)
            ensure_topics(kafka)
            sent = _fill(kafka, shape, minutes * 60, events_per_s)
            peak_mb, settled_mb, waits = _work(kafka, environment, state)
            windows = _messages(kafka, topics.WINDOWS.name)
            verdicts = _messages(kafka, topics.VERDICTS.name)
        finally:
            stack.stop()
    rows = [
        at_most("memory of the worker, peak while behind", peak_mb, _LIMIT_MB, "MB"),
        at_most(
            f"memory of the worker, {'not ' if waits else ''}caught up in time",
            settled_mb,
            _LIMIT_MB,
            "MB",
        ),
        Row(what="messages that still wait", value=waits),
        Row(what="events", value=sent),
        Row(what="windows written", value=windows),
        Row(what="verdicts written", value=verdicts),
    ]
    sys.exit(not publish("memory", settings, rows))


main.__doc__ = f"{main.__doc__}\n\nExample: make bench-scale ARGS='memory --minutes 10'"


def _fill(kafka: KafkaSettings, shape: Shape, seconds: float, per_s: float) -> int:
    """Write the events of so many seconds, the last of them now."""
    rng = np.random.default_rng(1)
    start_ms = time.time_ns() // 1_000_000 - round(seconds * 1000)
    span_s = BATCH * _AGENTS / per_s
    rounds = max(1, round(seconds / span_s))
    with closing(KafkaProducer(**kafka.client_options(), compression_type="zstd")) as producer:
        for number in range(rounds):
            for agent in range(_AGENTS):
                times = start_ms + (number * span_s + np.sort(rng.random(BATCH)) * span_s) * 1000
                value = batch(shape, agent, times.astype(np.int64), rng)
                producer.send(
                    topics.EVENTS.name,
                    value,
                    key=f"agent-{agent}".encode(),
                    headers=list(headers(agent, number + 1).items()),
                )
            if number % 20 == 0:
                say(f"written {100 * number // rounds} %")
        producer.flush()
    return rounds * _AGENTS * BATCH


def _work(
    kafka: KafkaSettings, environment: dict[str, str], state: Path
) -> tuple[float, float, int]:
    """Run the worker until it is done with everything, or the time is over.

    Returns:
        Its largest and its last memory, in MB, and the messages that still wait.
    """
    (state / "policies").mkdir()
    (state / "policies" / "all.yaml").write_text("autodetect: true\n", encoding="utf-8")
    options = ["--policies", str(state / "policies"), "--state", str(state / "worker")]
    command = [sys.executable, "-m", "coalmine", "worker", *options]
    with (
        (state / "worker.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as worker,
    ):
        try:
            say("working")
            left = 0
            for left in _waiting(kafka):
                if worker.poll() is not None:
                    sys.exit((state / "worker.log").read_text(errors="replace")[-3000:])
                say(f"{left} messages wait, {_peak_mb(worker.pid):.0f} MB at most")
            time.sleep(_SETTLED_S)
            settled = psutil.Process(worker.pid).memory_info().rss / 1e6
            return _peak_mb(worker.pid), settled, left
        finally:
            worker.terminate()


def _waiting(kafka: KafkaSettings) -> Iterator[int]:
    """Messages that the worker has not acknowledged, until there have been none for a while."""
    end_s, zero_since_s = time.monotonic() + _LONGEST_S, time.monotonic()
    names = (topics.EVENTS.name, topics.PARTIALS.name)
    with closing(KafkaConsumer(**kafka.client_options(), group_id=_GROUP)) as consumer:
        while time.monotonic() < end_s and time.monotonic() - zero_since_s < _SETTLED_S:
            places = [TopicPartition(n, p) for n in names for p in range(kafka.partitions)]
            ends = consumer.end_offsets(places)
            left = sum(end - (consumer.committed(place) or 0) for place, end in ends.items())
            if left:
                zero_since_s = time.monotonic()
            yield left
            time.sleep(2)


def _peak_mb(pid: int) -> float:
    """The largest resident memory so far."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def _messages(kafka: KafkaSettings, topic: str) -> int:
    with closing(KafkaConsumer(**kafka.client_options())) as consumer:
        places = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        return sum(consumer.end_offsets(places).values())


if __name__ == "__main__":
    typer.run(main)
