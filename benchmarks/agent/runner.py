"""Runs one side once: one process on one core, from the file's appearance to the last answer."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.agent import arrivals
from benchmarks.agent.arrivals import Arrivals
from benchmarks.agent.catalogue import Side
from benchmarks.agent.logs import SHAPES, Log
from benchmarks.throughput.broker import Broker
from benchmarks.throughput.load import PEERS, ROOT
from coalmine.stack.server import GUARD

_TIMEOUT_S = 600
_POLL_S = 0.01
_SETTLE_S = 1.0
"""A process that has said it is ready may still be warming up."""

OnReady = Callable[[int], None]


class Run(NamedTuple):
    """One run: seconds from the file's appearance to the last answer, and of its CPU."""

    lines: int
    size_bytes: int
    seconds: float
    cpu_s: float
    messages: int
    sent_bytes: int
    """What they are in Kafka."""
    difference: str
    """How what arrived differs from the file; empty where it does not."""

    @property
    def per_second(self) -> float:
        """Lines a second."""
        return self.lines / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Lines a second of CPU."""
        return self.lines / self.cpu_s


def run(
    side: Side,
    broker: Broker,
    log: Log,
    *,
    core: int,
    number: int,
    on_ready: OnReady | None = None,
    on_done: Callable[[], None] | None = None,
) -> Run:
    """Run ``side`` on ``core`` and check what arrived.

    Args:
        side: what to run.
        broker: where it sends to.
        log: its file.
        core: where its process is pinned.
        number: of this run; its folder, topic and agent are its own.
        on_ready: called with the process's id before the file appears.
        on_done: called while the process still lives, after its time was taken.
    """
    name = f"run{number}-{side.name}"
    folder = broker.state_dir / name
    folder.mkdir()
    prepared = folder / "prepared"
    prepared.write_bytes(log.text)
    topic = arrivals.topic_of(side.shape) if side.is_agent else name
    if not side.is_agent:
        broker.make_topic(name, is_stamped=True)
    process = _start(side, broker, folder, log.lines, core)
    try:
        _wait(process, folder, lambda: _is_ready(folder))
        if on_ready is not None:
            on_ready(process.pid)
        time.sleep(_SETTLE_S)
        sent_before = broker.bytes_of(topic)
        began_cpu_s, began_s = _cpu_s(process), time.time()
        prepared.rename(folder / "x.log")
        _wait(process, folder, lambda: _is_done(side, folder, len(log.text)))
        ended_s, cpu_s = time.time(), _cpu_s(process) - began_cpu_s
        sent_bytes = broker.bytes_of(topic) - sent_before
        if on_done is not None:
            on_done()
    finally:
        _end(process)
    found = _arrivals(side, broker, name)
    if not side.is_agent:
        broker.remove_topics(name)
    shutil.rmtree(folder)
    return Run(
        lines=log.lines,
        size_bytes=len(log.text),
        seconds=(ended_s if side.is_floor else found.last_ms / 1000) - began_s,
        cpu_s=max(cpu_s, 0.01),  # the kernel counts in hundredths
        messages=found.messages,
        sent_bytes=sent_bytes,
        difference="" if side.is_floor else arrivals.difference(found.records, log.records),
    )


def _start(
    side: Side, broker: Broker, folder: Path, lines: int, core: int
) -> subprocess.Popen[bytes]:
    command = ["taskset", "-c", str(core), *_command(side, broker, folder, lines)]
    with (folder / "out").open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={
                **os.environ,
                "COALMINE_KAFKA": broker.address,
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            },
            start_new_session=True,
        )
    GUARD.watch(process.pid)  # a runner that is killed leaves nothing behind
    return process


def _command(side: Side, broker: Broker, folder: Path, lines: int) -> list[str]:
    log = str(folder / "x.log")
    if side.is_agent:
        config = folder / "agent.yaml"
        source = {"paths": [log], "service": "shop", "release": "1", **SHAPES[side.shape].source}
        config.write_text(
            json.dumps(
                {"agent": folder.name, "state_dir": str(folder / "state"), "files": [source]}
            ),
            encoding="utf-8",
        )
        return [sys.executable, "-m", "coalmine", "agent", "--config", str(config)]
    program = [str(PEERS), "-m", "benchmarks.agent.sides.loop"]
    return [*program, broker.address, folder.name, log, str(lines), side.variant]


def _is_ready(folder: Path) -> bool:
    said = (folder / "out").read_text(errors="replace")
    return "agent_started" in said or "ready\n" in said


def _is_done(side: Side, folder: Path, size_bytes: int) -> bool:
    """Whether everything was sent and acknowledged; the agent notes so in its checkpoint."""
    if not side.is_agent:
        return "done\n" in (folder / "out").read_text(errors="replace")
    try:
        files = json.loads((folder / "state" / "checkpoint.json").read_bytes())["files"]
    except FileNotFoundError:
        return False
    return bool(files) and files[0]["offset"] == size_bytes


def _arrivals(side: Side, broker: Broker, name: str) -> Arrivals:
    if side.is_floor:
        return Arrivals([], 0, 0)
    read = arrivals.of_agent if side.is_agent else arrivals.of_loop
    return read(broker, side.shape, name)


def _cpu_s(process: subprocess.Popen[bytes]) -> float:
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def _wait(process: subprocess.Popen[bytes], folder: Path, is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _TIMEOUT_S
    while not is_so():
        if process.poll() is not None or time.monotonic() > deadline_s:
            said = (folder / "out").read_text(errors="replace")[-3000:]
            raise SystemExit(f"{folder.name} did not get to its end:\n{said}")
        time.sleep(_POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    GUARD.forget(process.pid)
