"""Figures to a table, to ratios against the goals, and to JSON."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.throughput import java, load
from benchmarks.throughput.catalogue import Side
from benchmarks.throughput.load import PEERS
from benchmarks.throughput.runner import Run

_OURS = ("faust-streaming", "aiokafka", "pyarrow", "numpy", "msgspec", "uvloop")
_PEERS = ("bytewax", "confluent-kafka", "msgspec", "numpy", "quixstreams")


class Row(msgspec.Struct, kw_only=True):
    """One side: medians of its runs, and every run."""

    name: str
    title: str
    topic: str
    events: int
    events_per_s: float
    events_per_s_second_half: float
    events_per_cpu_s: float
    seconds: list[float]
    cpu_s: list[float]
    result_messages: int
    is_equal: bool


class Goal(msgspec.Struct):
    """One ratio that issue 6 asks for; ``ratio`` is None where a side was not run."""

    what: str
    wanted: str
    ratio: float | None


class Figures(msgspec.Struct, kw_only=True):
    """Everything that was measured."""

    machine: dict[str, str]
    versions: dict[str, str]
    seed: int
    rows: list[Row]
    bytes_per_event: dict[str, float]
    goals: list[Goal]


def figures(
    sides: Sequence[Side],
    found: Mapping[str, list[Run]],
    wire: Mapping[str, float],
    events: Mapping[str, int],
    *,
    seed: int,
) -> Figures:
    """Medians and ratios."""
    rows = [_row(side, found[side.name], events[side.topic.name]) for side in sides]
    return Figures(
        machine=machine(),
        versions=versions(),
        seed=seed,
        rows=rows,
        bytes_per_event=dict(wire),
        goals=_goals({row.name: row for row in rows}, wire),
    )


def _row(side: Side, runs: list[Run], events: int) -> Row:
    return Row(
        name=side.name,
        title=side.title,
        topic=side.topic.name,
        events=events,
        events_per_s=statistics.median(run.per_second for run in runs),
        events_per_s_second_half=statistics.median(run.second_half for run in runs),
        events_per_cpu_s=statistics.median(run.per_cpu_second for run in runs),
        seconds=[round(run.seconds, 3) for run in runs],
        cpu_s=[round(run.cpu_s, 3) for run in runs],
        result_messages=runs[0].result_messages,
        is_equal=not any(run.difference for run in runs),
    )


def _goals(rows: Mapping[str, Row], wire: Mapping[str, float]) -> list[Goal]:
    def ratio(one: str, other: str) -> float | None:
        if one not in rows or other not in rows:
            return None
        return rows[one].events_per_s / rows[other].events_per_s

    arrow, json = wire.get(load.ARROW.name), wire.get(load.JSON_ZSTD.name)
    return [
        *(
            Goal(f"{what} / {peer}", limit, ratio(side, other))
            for what, side in (
                ("aggregate", "aggregate"),
                ("aggregate without distinct users", "aggregate-events"),
            )
            for peer, other, limit in (
                ("Kafka Streams", "kafka-streams", "≥ 15"),
                ("Bytewax, its windows", "bytewax", "≥ 50"),
                ("confluent-kafka loop", "confluent", "≥ 5"),
            )
        ),
        Goal("aggregate on JSON / Kafka Streams", "≥ 1", ratio("aggregate-json", "kafka-streams")),
        Goal("aggregate on JSON / Faust that does nothing", "≥ 10",
             ratio("aggregate-json", "floor-faust")),
        Goal("bytes per event / JSON with zstd", "≤ 0.6", arrow / json if arrow and json else None),
    ]  # fmt: skip


def run_line(side: Side, number: int, run: Run) -> str:
    """One line of progress."""
    verdict = f" RESULTS DIFFER: {run.difference}" if run.difference else ""
    return (
        f"run {number + 1} {side.name}: {run.seconds:.2f} s, CPU {run.cpu_s:.2f} s, "
        f"{run.per_second:,.0f} events/s, "
        f"second half {run.second_half:,.0f}, "
        f"{run.per_cpu_second:,.0f} events/CPU s{verdict}"
    )


def as_text(measured: Figures) -> str:
    """The figures as Markdown."""
    return "\n\n".join(
        [
            circumstances(measured.machine, measured.versions),
            _table(measured.rows),
            _wire_table(measured.bytes_per_event),
            _goal_table(measured.goals),
        ]
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| side | topic | events | events/s | second half | per CPU s | seconds | CPU s | equal |",
        "|---|---|---:|---:|---:|---:|---|---|---|",
    ]
    for row in rows:
        equal = "–" if not row.result_messages else "equal" if row.is_equal else "DIFFER"
        lines.append(
            f"| {row.title} | {row.topic} | {row.events:,} | {row.events_per_s:,.0f} "
            f"| {row.events_per_s_second_half:,.0f} | {row.events_per_cpu_s:,.0f} "
            f"| {listed(row.seconds)} | {listed(row.cpu_s)} | {equal} |"
        )
    return "\n".join(lines)


def circumstances(machine_: Mapping[str, str], versions_: Mapping[str, str]) -> str:
    """Where it was measured, and with what."""
    return "\n\n".join(
        [
            "\n".join(f"- {name}: {value}" for name, value in machine_.items()),
            "\n".join(f"- {name} {value}" for name, value in versions_.items()),
        ]
    )


def listed(values: Sequence[float]) -> str:
    """Every run's figure."""
    return ", ".join(f"{value:.2f}" for value in values)


def _wire_table(wire: Mapping[str, float]) -> str:
    lines = ["| topic | bytes per event |", "|---|---:|"]
    return "\n".join([*lines, *(f"| {name} | {size:.1f} |" for name, size in wire.items())])


def _goal_table(goals: Sequence[Goal]) -> str:
    lines = ["| ratio | goal | measured |", "|---|---|---:|"]
    for goal in goals:
        measured = "not run" if goal.ratio is None else f"{goal.ratio:.2f}"
        lines.append(f"| {goal.what} | {goal.wanted} | {measured} |")
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """Processor, cores, memory, kernel, and how busy it was at the end."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), "")
    return {
        "processor": f"{model or platform.machine()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "load average": " ".join(f"{load_:.1f}" for load_ in os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """Versions of both sides."""
    python = {"Python": platform.python_version(), "Kafka Streams": java.version()}
    return python | versions_of_peers(_PEERS) | {name: version(name) for name in _OURS}


def versions_of_peers(names: Sequence[str]) -> dict[str, str]:
    """Versions of packages in the peers' own environment."""
    code = f"from importlib.metadata import version as v\nfor n in {names}: print(n, v(n))"
    found = subprocess.run([PEERS, "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in found.splitlines())
