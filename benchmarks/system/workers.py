"""Throughput with one, two and four workers: how much each event costs when they share the work.

    python -m benchmarks.system workers --seconds 1

A real broker and real workers, judge included, each time on empty servers. The workers have joined
and are warm; they are stopped (SIGSTOP) while batches are sent for some seconds, so that all have
enough to do, and then go on. Broker and workers share the machine's cores: the clock says what the
machine can do, the CPU time of the workers whether more of them cost more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.request import urlopen

import numpy as np
import psutil
import typer
from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

from benchmarks.system.figures import Row, publish
from benchmarks.system.traffic import BATCH, Shape, batch, headers
from benchmarks.throughput.command import say
from coalmine.stack.local import LocalStack
from coalmine.stack.ports import LOOPBACK, free_port
from coalmine.stack.topics import ensure_topics
from contracts import topics
from contracts.settings import KafkaSettings, kafka_settings

_COUNTS = (1, 2, 4)
_GROUP = "coalmine-streams"
_COUNTED = "coalmine_streams_records_total{"
_LONGEST_S = 300.0
_MADE = 400
"""Batches that are made; they are sent again and again under new numbers."""


class Share(NamedTuple):
    """What some workers did together."""

    events: int
    seconds: float
    cpu_s: float


def main(
    seconds: Annotated[float, typer.Option(min=0.5, max=2, help="Of sending.")] = 1,
    partitions: Annotated[int, typer.Option(min=4, help="Of each topic.")] = 8,
    hosts: Annotated[int, typer.Option(min=1, help="Each with an agent.")] = 40,
) -> None:
    """Events a second, and by CPU second of the workers, for 1, 2 and 4 of them."""
    settings = dict(locals())
    values = _values(Shape(hosts=hosts))
    shares = {number: _share(number, values, seconds, partitions, hosts) for number in _COUNTS}
    alone = shares[1].events / shares[1].cpu_s
    rows = []
    for number, share in shares.items():
        who = f"{number} worker{'s' if number > 1 else ''}"
        rows += [
            Row(what=f"{who}, by the clock", value=share.events / share.seconds, unit="events/s"),
            Row(what=f"{who}, by CPU second", value=share.events / share.cpu_s, unit="events"),
            Row(what=f"{who}, to one alone", value=share.events / share.cpu_s / alone),
        ]
    sys.exit(not publish("workers", settings, rows))


main.__doc__ = f"{main.__doc__}\n\nExample: make bench-scale ARGS='workers --seconds 1'"


def _values(shape: Shape) -> list[bytes]:
    """Batches of the last seconds, host by host."""
    say(f"making {_MADE} batches")
    rng = np.random.default_rng(1)
    start_ms = time.time_ns() // 1_000_000 - 10_000
    return [
        batch(shape, n % shape.hosts, start_ms + np.sort(rng.integers(0, 10_000, BATCH)), rng)
        for n in range(_MADE)
    ]


def _share(number: int, values: list[bytes], seconds: float, partitions: int, hosts: int) -> Share:
    with (
        tempfile.TemporaryDirectory(prefix="coalmine-bench-", ignore_cleanup_errors=True) as name,
        ExitStack() as running,
    ):
        state = Path(name)
        state.chmod(0o755)
        stack = LocalStack(state / "stack")
        running.callback(stack.stop)
        stack.start(kafka=True, elasticsearch=False)
        told = {**os.environ, **stack.environment(), "COALMINE_PARTITIONS": str(partitions)}
        kafka = kafka_settings(told)
        ensure_topics(kafka)
        workers = [running.enter_context(_worker(state / str(n), told)) for n in range(number)]
        say(f"{number} workers join")
        _wait(lambda: _members(kafka) == number)
        warm = _send(kafka, values, 0, hosts)
        _wait(lambda: _counted(workers) == warm * BATCH)
        for worker in workers:
            worker.process.suspend()
        try:
            sent = _send(kafka, values, seconds, hosts, warm)
        finally:
            for worker in workers:
                worker.process.resume()
        say(f"{number} workers work on {sent * BATCH:,} events")
        before_s, since_s = _cpu_s(workers), time.monotonic()
        _wait(lambda: _counted(workers) == (warm + sent) * BATCH)
        return Share(sent * BATCH, time.monotonic() - since_s, _cpu_s(workers) - before_s)


class _Worker(NamedTuple):
    process: psutil.Process
    port: int


@contextmanager
def _worker(state: Path, environment: dict[str, str]) -> Iterator[_Worker]:
    state.mkdir()
    port = free_port()
    options = ["--state", str(state), "--health-port", str(port)]
    with (
        (state / "worker.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "coalmine", "worker", *options],
            env=environment,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            yield _Worker(psutil.Process(process.pid), port)
        finally:
            process.kill()


def _wait(is_done: Callable[[], bool]) -> None:
    end_s = time.monotonic() + _LONGEST_S
    while not is_done():
        if time.monotonic() > end_s:
            sys.exit("the workers did not finish in time")
        time.sleep(0.2)


def _members(kafka: KafkaSettings) -> int:
    """Workers that are in the group, once it is stable."""
    try:
        with closing(KafkaAdminClient(**kafka.client_options())) as admin:
            group = admin.describe_groups([_GROUP])[_GROUP]
    except KafkaError:  # there is no coordinator before the first one joins
        return 0
    return len(group["members"]) if group["group_state"] == "Stable" else 0


def _send(
    kafka: KafkaSettings, values: list[bytes], seconds: float, hosts: int, first: int = 0
) -> int:
    """Send all values once, and then again until the time is over; how many were sent."""
    end_s, number = time.monotonic() + seconds, first
    with closing(KafkaProducer(**kafka.client_options(), compression_type="zstd")) as producer:
        while number < first + len(values) or time.monotonic() < end_s:
            agent = number % len(values) % hosts
            producer.send(
                topics.EVENTS.name,
                values[number % len(values)],
                key=f"agent-{agent}".encode(),
                headers=list(headers(agent, number + 1).items()),
            )
            number += 1
        producer.flush()
    return number - first


def _counted(workers: list[_Worker]) -> int:
    """Records that all of them have counted."""
    return sum(map(_counted_by, workers))


def _counted_by(worker: _Worker) -> int:
    try:
        with urlopen(f"http://{LOOPBACK}:{worker.port}/metrics") as page:
            lines = page.read().decode().splitlines()
    except OSError:
        if worker.process.status() != psutil.STATUS_ZOMBIE:
            raise
        sys.exit("a worker has ended: it stood still for too long while batches were sent")
    return round(sum(float(line.split()[-1]) for line in lines if line.startswith(_COUNTED)))


def _cpu_s(workers: list[_Worker]) -> float:
    return sum(sum(worker.process.cpu_times()[:2]) for worker in workers)
