"""``make bench``: the same events through Coalmine's aggregate and its peers, results compared.

    python -m benchmarks.throughput --events 2000000 --runs 3 [--only aggregate --only faust]

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

from benchmarks.throughput import events as made
from benchmarks.throughput import load, report
from benchmarks.throughput.broker import Broker, running_broker
from benchmarks.throughput.catalogue import SIDES, Side
from benchmarks.throughput.command import BUILD, chosen, publish, say
from benchmarks.throughput.events import Columns
from benchmarks.throughput.runner import Run, run


def main(
    *,
    events: Annotated[int, typer.Option(help="In the long topics.")] = 2_000_000,
    short: Annotated[int, typer.Option(help="In the short topics, for slow sides.")] = 200_000,
    runs: Annotated[int, typer.Option(help="Of each side; the median counts.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the events.")] = 6,
    only: Annotated[list[str] | None, typer.Option(help="Sides by name; all if not given.")] = None,
    json: Annotated[Path, typer.Option(help="Where the figures go.")] = BUILD / "throughput.json",
) -> None:
    """Measure and print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is tidied up
    sides = chosen(SIDES, only)
    cores = sorted(os.sched_getaffinity(0))
    long_columns, short_columns = made.generate(events, seed), made.generate(short, seed)
    with (
        tempfile.TemporaryDirectory(prefix="coalmine-bench-") as folder,
        running_broker(Path(folder), cores[0]) as broker,
    ):
        columns_of = fill_topics(broker, sides, long_columns, short_columns)
        expected = {id(c): made.expected(c) for c in (long_columns, short_columns)}
        found: dict[str, list[Run]] = defaultdict(list)
        for number in range(runs):
            for side in sides:
                columns = columns_of[side.topic.name]
                done = run(
                    side,
                    broker,
                    core=cores[-1],
                    number=number,
                    events=len(columns.time),
                    expected=expected[id(columns)],
                )
                found[side.name].append(done)
                say(report.run_line(side, number, done))
        counts = {name: len(columns.time) for name, columns in columns_of.items()}
        wire = {name: broker.bytes_of(name) / count for name, count in counts.items()}
    figures = report.figures(sides, found, wire, counts, seed=seed)
    publish(figures, report.as_text(figures), json)
    sys.exit(any(done.difference for runs_ in found.values() for done in runs_))


def fill_topics(
    broker: Broker, sides: list[Side], long_columns: Columns, short_columns: Columns
) -> dict[str, Columns]:
    """Write every topic that is needed; name of the topic to what it holds."""
    wanted = dict.fromkeys([side.topic for side in sides])
    if len(sides) == len(SIDES):
        wanted[load.JSON_ZSTD] = None
    filled: dict[str, Columns] = {}
    for topic in wanted:
        columns = short_columns if topic.is_short else long_columns
        say(f"writing {len(columns.time):,} events to {topic.name}")
        load.fill(broker, topic, columns)
        filled[topic.name] = columns
    return filled


if __name__ == "__main__":
    typer.run(main)
