"""Runs one side once: one process on one core, from its first message to its last result."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.throughput import java
from benchmarks.throughput.broker import Broker
from benchmarks.throughput.catalogue import Program, Results, Side
from benchmarks.throughput.load import PEERS, ROOT
from benchmarks.throughput.results import difference, read_back
from benchmarks.throughput.sides.common import READY, WARM_UP, Counts, Key, Task
from coalmine.stack.server import GUARD

_TIMEOUT_S = 900
OnMark = Callable[[str, int], None]
_MARK = re.compile(r"(first|half|done) (\d+) (\d+) (\d+)$")
"""Searched, not matched: Faust writes control codes of a terminal before it."""


class Run(NamedTuple):
    """One run: seconds of wall clock and of the process's CPU."""

    events: int
    seconds: float
    cpu_s: float
    second_half: float
    """Events a second of the second half: a JVM is warm then. 0 of a run too short for that."""
    result_messages: int
    difference: str
    """How its results differ from what the generator knows; empty where they do not."""

    @property
    def per_second(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Events a second of CPU."""
        return self.events / self.cpu_s


class Mark(NamedTuple):
    """A line that a side prints: nanoseconds of wall clock and CPU, messages still to come."""

    wall_ns: int
    cpu_ns: int
    left: int


def run(
    side: Side,
    broker: Broker,
    *,
    core: int,
    number: int,
    events: int,
    expected: dict[Key, Counts],
    on_mark: OnMark | None = None,
) -> Run:
    """Run ``side`` on ``core`` and check its results.

    Args:
        side: what to run.
        broker: where its topic is.
        core: where its process is pinned.
        number: of this run; its topics and groups are its own.
        events: in its topic.
        expected: results of these events.
        on_mark: called with each mark and the process's id; one more is ``ready``, while it warms
            up, before it joins its group.
    """
    prefix = f"run{number}-{side.name}"
    results = f"{prefix}-results"
    broker.make_topic(results, is_stamped=True)
    task = Task(
        kafka=broker.address,
        topic=side.topic.name,
        results=results,
        group=prefix,
        messages=broker.messages(side.topic.name),
        variant=side.variant,
        state=str(broker.state_dir / prefix),
    )
    try:
        pinned = ["taskset", "-c", str(core), *_command(side, broker.state_dir)]
        marks = _marks([*pinned, *map(str, task)], broker, on_mark)
        found = read_back(broker, results, side.results)
    finally:
        broker.remove_topics(prefix)
        shutil.rmtree(task.state, ignore_errors=True)
    is_checked = side.results is not Results.NONE
    first, half, done = marks["first"], marks["half"], marks["done"]
    is_over_when_told = side.results in {Results.NONE, Results.JUDGED}
    end_ns = done.wall_ns if is_over_when_told else found.last_ms * 1_000_000
    return Run(
        events=events,
        seconds=(end_ns - first.wall_ns) / 1e9,
        cpu_s=(done.cpu_ns - first.cpu_ns) / 1e9,
        second_half=events * half.left / task.messages / max((end_ns - half.wall_ns) / 1e9, 1e-3),
        result_messages=found.messages,
        difference=difference(found.counts, expected) if is_checked else "",
    )


def _command(side: Side, build: Path) -> list[str]:
    if side.program is Program.JAVA:
        return java.command(build)
    python = str(PEERS) if side.program.is_peer else sys.executable
    return [python, "-m", f"benchmarks.throughput.sides.{side.program.value}"]


def _marks(command: list[str], broker: Broker, on_mark: OnMark | None) -> dict[str, Mark]:
    """Run until the side says that it is done, then end it with its children."""
    log = broker.state_dir / "side.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                "COALMINE_KAFKA": broker.address,
                "PYTHONPATH": str(ROOT),
                WARM_UP: "1" if on_mark else "",
            },
            start_new_session=True,
        )
        GUARD.watch(process.pid)  # a runner that is killed leaves nothing behind
        limit = threading.Timer(_TIMEOUT_S, _end, [process])
        limit.start()
        try:
            marks = _read_marks(process, on_mark)
        finally:
            limit.cancel()
            _end(process)
            GUARD.forget(process.pid)
    if "done" not in marks:
        tail = log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"{command} ended early:\n{tail}")
    return marks


def _read_marks(process: subprocess.Popen[str], on_mark: OnMark | None) -> dict[str, Mark]:
    marks: dict[str, Mark] = {}
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        if on_mark is not None and line == READY:
            on_mark("ready", process.pid)
            process.stdin.write("go\n")
            process.stdin.flush()
        if said := _MARK.search(line):
            marks[said[1]] = Mark(int(said[2]), int(said[3]), int(said[4]))
            if on_mark is not None:
                on_mark(said[1], process.pid)
        if "done" in marks:
            break
    return marks


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
