"""Where the agent's CPU time goes, by layer and by function: py-spy on the real process.

python -m benchmarks.agent.profiler --side agent-json --lines 300000
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.agent.__main__ import written
from benchmarks.agent.catalogue import SIDES
from benchmarks.agent.runner import run
from benchmarks.throughput.broker import running_broker
from benchmarks.throughput.command import BUILD, chosen
from benchmarks.throughput.profiler import as_text, attach, cpu_of_threads, read_profile


def main(
    *,
    side: Annotated[str, typer.Option(help="Which one.")] = "agent-json",
    lines: Annotated[int, typer.Option(help="Records in its file.")] = 300_000,
    seed: Annotated[int, typer.Option(help="Of the lines.")] = 6,
) -> None:
    """Run one side under py-spy and print its profile."""
    [side_] = chosen(SIDES, [side])
    log = written([side_], lines, seed)[side_.shape]
    cores = sorted(os.sched_getaffinity(0))
    raw = BUILD / f"{side}.raw"
    raw.parent.mkdir(parents=True, exist_ok=True)
    recorders: list[subprocess.Popen[bytes]] = []
    pids: list[int] = []
    cpu_us: Counter[int] = Counter()

    def begin(pid: int) -> None:
        recorders.append(attach(pid, raw))
        pids.append(pid)
        cpu_us.subtract(cpu_of_threads(pid))

    def stop() -> None:
        cpu_us.update(cpu_of_threads(pids[0]))
        recorders[0].send_signal(signal.SIGINT)  # py-spy writes what it has
        recorders[0].wait()

    with (
        tempfile.TemporaryDirectory(prefix="coalmine-bench-") as folder,
        running_broker(Path(folder), cores[0]) as broker,
    ):
        done = run(
            side_,
            broker,
            log,
            core=cores[-1],
            number=0,
            on_ready=begin,
            on_done=stop,
        )
    print(as_text(read_profile(raw, cpu_us)))
    print(f"\n{done.per_cpu_second:,.0f} lines per second of CPU while sampled {done.difference}")


if __name__ == "__main__":
    typer.run(main)
