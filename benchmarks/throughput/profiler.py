"""``make bench-profile``: where the CPU time of one side goes, by layer and by function.

    python -m benchmarks.throughput.profiler --side aggregate --events 4000000

py-spy samples the process from the other core, native frames included; samples of a thread that
waits are left out, and so are those of imports. A sample belongs to the innermost frame that is not
of the C library: time in ``memcpy`` under numpy is numpy's.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from benchmarks.throughput import events as made
from benchmarks.throughput import load
from benchmarks.throughput.broker import running_broker
from benchmarks.throughput.catalogue import SIDES
from benchmarks.throughput.load import PEERS, ROOT
from benchmarks.throughput.runner import run

_RATE_HZ = 100
_SYMBOLS_S = 8
_LAYERS = {
    "numpy kernels": r"numpy/.*\.so",
    "Arrow kernels": r"libarrow|pyarrow/.*\.so",
    "sketches and hashes": r"datasketches|pandas/.*\.so|xxhash",
    "msgspec": r"msgspec/.*\.so",
    "decompression": r"zstd|cramjam|lz4",
    "Coalmine": r"(streams|ingest|contracts|benchmarks)/",
    "Python around the kernels": r"(numpy|pyarrow|pandas)/.*\.py",
    "Faust": r"(faust|mode)/",
    "aiokafka": r"aiokafka/",
    "kafka-python": r"kafka/",
    "event loop": r"uvloop|asyncio/|selectors|concurrent/futures|threading",
}
_KERNELS = ("numpy kernels", "Arrow kernels")
_NOT_WORK = re.compile(
    r"_find_and_load|warm_up|_note_alive|epoll_wait|pthread_cond|futex|\bpoll \(|select \(selectors"
)
"""Imports, the warm-up, and waiting that py-spy took for work."""
_TOP = 25


class Profile(NamedTuple):
    """Samples by layer, by innermost Python function, and by every function on the stack."""

    layers: Counter[str]
    own: Counter[str]
    with_callees: Counter[str]

    @property
    def samples(self) -> int:
        """All samples."""
        return self.layers.total()


def main(
    *,
    side: Annotated[str, typer.Option(help="Which one.")] = "aggregate",
    events: Annotated[int, typer.Option(help="How many it reads.")] = 4_000_000,
    seed: Annotated[int, typer.Option(help="Of the events.")] = 6,
) -> None:
    """Run one side under py-spy and print its profile."""
    chosen = next(known for known in SIDES if known.name == side)
    cores = sorted(os.sched_getaffinity(0))
    columns = made.generate(events, seed)
    with (
        tempfile.TemporaryDirectory(prefix="coalmine-bench-") as folder,
        running_broker(Path(folder), cores[0]) as broker,
    ):
        load.fill(broker, chosen.topic, columns)
        raw = ROOT / "build" / "bench" / f"{side}.raw"
        raw.parent.mkdir(parents=True, exist_ok=True)
        recorders: list[subprocess.Popen[bytes]] = []
        done = run(
            chosen,
            broker,
            core=cores[-1],
            number=0,
            events=events,
            expected=made.expected(columns),
            on_ready=lambda pid: recorders.append(attach(pid, raw)),
        )
        recorders[0].wait()
        print(as_text(read_profile(raw)))
    print(f"\n{done.per_cpu_second:,.0f} events per second of CPU while sampled {done.difference}")


def attach(pid: int, raw: Path) -> subprocess.Popen[bytes]:
    """Start py-spy, and wait for it: it stops the process while it reads the symbols."""
    recorder = str(PEERS.with_name("py-spy"))
    options = ["--native", "--rate", str(_RATE_HZ), "--format", "raw", "--output", str(raw)]
    started = subprocess.Popen([recorder, "record", *options, "--pid", str(pid)])
    time.sleep(_SYMBOLS_S)
    return started


def read_profile(raw: Path) -> Profile:
    """What py-spy wrote: one stack to a line, outermost frame first, and its number of samples."""
    profile = Profile(Counter(), Counter(), Counter())
    for line in raw.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if _NOT_WORK.search(stack):
            continue
        functions = [_function(frame) for frame in frames if ".py:" in frame]
        profile.layers[layer_of(frames)] += int(count)
        profile.own[functions[-1] if functions else "no Python"] += int(count)
        profile.with_callees.update(dict.fromkeys(functions, int(count)))
    return profile


def layer_of(frames: list[str]) -> str:
    """The layer of the innermost frame that has one.

    >>> layer_of(["run (streams/app.py:1)", "bincount (numpy/x.so)", "memcpy (libc.so.6)"])
    'numpy kernels'
    """
    for frame in reversed(frames):
        for layer, pattern in _LAYERS.items():
            if re.search(pattern, frame):
                return layer
    return "other"


def _function(frame: str) -> str:
    """The frame without its line."""
    return re.sub(r":\d+\)$", ")", frame)


def as_text(profile: Profile) -> str:
    """Markdown: layers, then functions by own time and by time with what they call."""
    outside = 1 - sum(profile.layers[name] for name in _KERNELS) / profile.samples
    parts = [
        f"{profile.samples:,} samples; outside Arrow and numpy kernels: {outside:.0%}",
        _table("layer", profile.layers, profile.samples),
        _table("function, own time and native calls", profile.own, profile.samples),
        _table("function with its callees", profile.with_callees, profile.samples),
    ]
    return "\n\n".join(parts)


def _table(title: str, counts: Counter[str], samples: int) -> str:
    rows = [f"| {name} | {n / samples:.1%} |" for name, n in counts.most_common(_TOP)]
    return "\n".join([f"| {title} | share |", "|---|---:|", *rows])


if __name__ == "__main__":
    typer.run(main)
