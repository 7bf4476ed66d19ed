"""``make bench-profile``: where the CPU time of one side goes, by layer and by function.

    python -m benchmarks.throughput.profiler --side aggregate --events 4000000

py-spy samples the process from the other core, native frames included; samples of a thread that
waits are left out, and so are those of imports. A sample belongs to the innermost frame that is not
of the C library: time in ``memcpy`` under numpy is numpy's. It stops the process for each sample,
and finds the thread at work that goes on first: so each thread's samples together stand for the
CPU time that the kernel says it had.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
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
    "decompression": r"zstandard|cramjam|zstd\.c|decompressor\.c",
    "Coalmine": r"(streams|ingest|contracts|benchmarks)/",
    "Python around the kernels": r"(numpy|pyarrow|pandas)/.*\.py",
    "Faust": r"(faust|mode)/",
    "aiokafka": r"aiokafka/",
    "kafka-python": r"kafka/",
    "event loop": r"uvloop|asyncio/|selectors|concurrent/futures|threading",
}
_KERNELS = ("numpy kernels", "Arrow kernels")
_NOT_WORK = re.compile(
    r"_find_and_load|warm_up|_note_alive|epoll_p?wait|pthread_cond|futex"
    r"|\bpoll \(|select \(selectors"
)
"""Imports, the warm-up, and waiting that py-spy took for work."""
_TOP = 25
_THREAD = re.compile(r"thread \((\d+)\)")


class Profile(NamedTuple):
    """CPU microseconds by layer, by innermost Python function, and by every one on the stack."""

    layers: Counter[str]
    own: Counter[str]
    with_callees: Counter[str]
    samples: int


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
        cpu_us: Counter[int] = Counter()

        def on_mark(mark: str, pid: int) -> None:
            if mark == "ready":
                recorders.append(attach(pid, raw))
            elif mark == "first":
                cpu_us.subtract(cpu_of_threads(pid))
            elif mark == "done":
                cpu_us.update(cpu_of_threads(pid))

        done = run(
            chosen,
            broker,
            core=cores[-1],
            number=0,
            events=events,
            expected=made.expected(columns),
            on_mark=on_mark,
        )
        recorders[0].wait()
        print(as_text(read_profile(raw, cpu_us)))
    print(f"\n{done.per_cpu_second:,.0f} events per second of CPU while sampled {done.difference}")


def attach(pid: int, raw: Path) -> subprocess.Popen[bytes]:
    """Start py-spy, and wait for it: it stops the process while it reads the symbols."""
    recorder = str(PEERS.with_name("py-spy"))
    options = [
        "--native",
        "--threads",
        "--rate",
        str(_RATE_HZ),
        "--format",
        "raw",
        "--output",
        str(raw),
    ]
    started = subprocess.Popen([recorder, "record", *options, "--pid", str(pid)])
    time.sleep(_SYMBOLS_S)
    return started


def cpu_of_threads(pid: int) -> dict[int, int]:
    """CPU microseconds of each thread of a process so far."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            found[int(task.name)] = int((task / "schedstat").read_text().split()[0]) // 1000
    return found


def read_profile(raw: Path, cpu_us: Mapping[int, int]) -> Profile:
    """What py-spy wrote: one stack to a line, outermost frame first, and its number of samples.

    Args:
        raw: its file.
        cpu_us: what each thread's samples stand for together.
    """
    stacks = []
    for line in raw.read_text(encoding="utf-8").splitlines():
        stack, _, number = line.rpartition(" ")
        thread, *frames = stack.split(";")
        if (named := _THREAD.match(thread)) and not _NOT_WORK.search(stack):
            stacks.append((int(named[1]), frames, int(number)))
    samples: Counter[int] = Counter()
    for thread_id, _, count in stacks:
        samples[thread_id] += count
    profile = Profile(Counter(), Counter(), Counter(), samples.total())
    for thread_id, frames, count in stacks:
        us = round(count * cpu_us.get(thread_id, 0) / samples[thread_id])
        functions = [_function(frame) for frame in frames if ".py:" in frame]
        profile.layers[layer_of(frames)] += us
        profile.own[functions[-1] if functions else "no Python"] += us
        profile.with_callees.update(dict.fromkeys(functions, us))
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
    whole = profile.layers.total()
    outside = 1 - sum(profile.layers[name] for name in _KERNELS) / whole
    unpacked = profile.layers["decompression"] / whole
    summary = (
        f"{profile.samples:,} samples; outside Arrow and numpy kernels: {outside:.0%}; "
        f"outside of these and of decompression: {outside - unpacked:.0%}"
    )
    parts = [
        summary,
        _table("layer", profile.layers, whole),
        _table("function, own time and native calls", profile.own, whole),
        _table("function with its callees", profile.with_callees, whole),
    ]
    return "\n\n".join(parts)


def _table(title: str, times: Counter[str], whole: int) -> str:
    rows = [f"| {name} | {us / whole:.1%} |" for name, us in times.most_common(_TOP)]
    return "\n".join([f"| {title} | share |", "|---|---:|", *rows])


if __name__ == "__main__":
    typer.run(main)
