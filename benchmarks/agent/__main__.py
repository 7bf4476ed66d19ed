"""``make bench-ingest``: the same log file through Coalmine's agent and through plain loops.

    python -m benchmarks.agent --lines 300000 --runs 3 [--only agent-json --only loop-json]

One broker on one core, one process of one side at a time on another. Runs take turns (every side
once, then every side again), so that a slow minute of the machine does not hit one side alone.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.agent import parts, report, wire
from benchmarks.agent.catalogue import SIDES, Side
from benchmarks.agent.logs import SHAPES, Log, generate
from benchmarks.agent.runner import Run, run
from benchmarks.throughput.broker import running_broker
from benchmarks.throughput.command import BUILD, chosen, publish, say
from contracts.records import RecordKind
from contracts.topics import TELEMETRY


def main(
    *,
    lines: Annotated[int, typer.Option(help="Records in each file.")] = 300_000,
    runs: Annotated[int, typer.Option(help="Of each side; the median counts.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the lines.")] = 6,
    only: Annotated[list[str] | None, typer.Option(help="Sides by name; all if not given.")] = None,
    json: Annotated[Path, typer.Option(help="Where the figures go.")] = BUILD / "ingest.json",
) -> None:
    """Measure and print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is tidied up
    sides = chosen(SIDES, only)
    cores = sorted(os.sched_getaffinity(0))
    logs = written(sides, lines, seed)
    found: dict[str, list[Run]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory(prefix="coalmine-bench-") as folder,
        running_broker(Path(folder), cores[0]) as broker,
    ):
        for kind in (RecordKind.EVENTS, RecordKind.LOGS):
            broker.stamp(TELEMETRY[kind].name)
        for number in range(runs):
            for side in sides:
                done = run(side, broker, logs[side.shape], core=cores[-1], number=number)
                found[side.name].append(done)
                say(report.run_line(side, number, done))
        sizes = wire.measure(broker, min(lines, 300_000), seed) if only is None else {}
    figures = report.figures(sides, found, parts.parse_rates(logs, runs), sizes, seed=seed)
    publish(figures, report.as_text(figures), json)
    sys.exit(any(done.difference for runs_ in found.values() for done in runs_))


def written(sides: list[Side], lines: int, seed: int) -> dict[str, Log]:
    """The file of each shape that is needed."""
    columns = generate(lines, seed)
    return {shape: SHAPES[shape].write(columns, seed) for shape in {s.shape for s in sides}}


if __name__ == "__main__":
    typer.run(main)
