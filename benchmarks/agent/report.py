"""Figures to a table, to ratios against the goals, and to JSON."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import msgspec

from benchmarks.agent.catalogue import Side
from benchmarks.agent.runner import Run
from benchmarks.throughput.report import circumstances, listed, machine, versions_of_peers

_OURS = ("kafka-python", "msgspec", "pyarrow", "zstandard")
_PEERS = ("confluent-kafka", "crc32c", "kafka-python", "msgspec", "zstandard")


class Row(msgspec.Struct, kw_only=True):
    """One side: medians of its runs, and every run."""

    name: str
    title: str
    lines: int
    lines_per_s: float
    megabytes_per_s: float
    lines_per_cpu_s: float
    seconds: list[float]
    cpu_s: list[float]
    messages: int
    bytes_per_line_in_kafka: float
    is_equal: bool


class Goal(msgspec.Struct):
    """One thing that issue 6 asks for, by the clock and by CPU time; None where it was not run."""

    what: str
    wanted: str
    by_clock: float | None
    by_cpu: float | None


class Figures(msgspec.Struct, kw_only=True):
    """Everything that was measured."""

    machine: dict[str, str]
    versions: dict[str, str]
    seed: int
    rows: list[Row]
    parse: dict[str, float]
    """Lines per CPU second of parsing alone, by format."""
    bytes_per_event: dict[str, float]
    goals: list[Goal]


def figures(
    sides: Sequence[Side],
    found: Mapping[str, list[Run]],
    parse: Mapping[str, float],
    wire: Mapping[str, float],
    *,
    seed: int,
) -> Figures:
    """Medians and ratios."""
    rows = {side.name: _row(side, found[side.name]) for side in sides}
    return Figures(
        machine=machine(),
        versions=versions(),
        seed=seed,
        rows=list(rows.values()),
        parse=dict(parse),
        bytes_per_event=dict(wire),
        goals=[*_speed_goals(rows, parse), *_wire_goals(wire)],
    )


def _row(side: Side, runs: list[Run]) -> Row:
    return Row(
        name=side.name,
        title=side.title,
        lines=runs[0].lines,
        lines_per_s=statistics.median(run.per_second for run in runs),
        megabytes_per_s=statistics.median(run.size_bytes / 1e6 / run.seconds for run in runs),
        lines_per_cpu_s=statistics.median(run.per_cpu_second for run in runs),
        seconds=[round(run.seconds, 3) for run in runs],
        cpu_s=[round(run.cpu_s, 3) for run in runs],
        messages=runs[0].messages,
        bytes_per_line_in_kafka=statistics.median(run.sent_bytes / run.lines for run in runs),
        is_equal=not any(run.difference for run in runs),
    )


def _speed_goals(rows: Mapping[str, Row], parse: Mapping[str, float]) -> list[Goal]:
    def ratio(what: str, wanted: str, one: str, other: str) -> Goal:
        if one not in rows or other not in rows:
            return Goal(what, wanted, None, None)
        ours, theirs = rows[one], rows[other]
        by_cpu = ours.lines_per_cpu_s / theirs.lines_per_cpu_s
        return Goal(what, wanted, ours.lines_per_s / theirs.lines_per_s, by_cpu)

    def rate(what: str, wanted: str, name: str) -> Goal:
        if name not in rows:
            return Goal(what, wanted, None, None)
        return Goal(what, wanted, rows[name].lines_per_s, rows[name].lines_per_cpu_s)

    return [
        ratio("agent / kafka-python loop, JSON", "≥ 3", "agent-json", "loop-json"),
        ratio("agent / confluent-kafka loop, JSON", "", "agent-json", "confluent-json"),
        ratio("agent / kafka-python loop, combined", "", "agent-combined", "loop-combined"),
        rate("agent, JSON, lines/s", "≥ 100,000", "agent-json"),
        rate("agent, combined, lines/s", "≥ 100,000", "agent-combined"),
        Goal("combined log, parsing alone, lines/s", "≥ 100,000", None, parse.get("combined")),
    ]


def _wire_goals(wire: Mapping[str, float]) -> list[Goal]:
    ratio = wire["arrow"] / wire["json-zstd"] if wire else None
    return [Goal("bytes per event, Arrow / JSON, zstd both", "≤ 0.6", ratio, None)]


def run_line(side: Side, number: int, run: Run) -> str:
    """One line of progress."""
    verdict = f" RESULTS DIFFER: {run.difference}" if run.difference else ""
    return (
        f"run {number + 1} {side.name}: {run.seconds:.2f} s, CPU {run.cpu_s:.2f} s, "
        f"{run.per_second:,.0f} lines/s, {run.per_cpu_second:,.0f} lines/CPU s{verdict}"
    )


def as_text(measured: Figures) -> str:
    """The figures as Markdown."""
    return "\n\n".join(
        [
            circumstances(measured.machine, measured.versions),
            _table(measured.rows),
            _pairs("parsing alone, lines per CPU s", measured.parse, ",.0f"),
            _pairs("events of make bench: topic, bytes per event", measured.bytes_per_event, ".1f"),
            _goal_table(measured.goals),
        ]
    )


def _table(rows: Sequence[Row]) -> str:
    lines = [
        "| side | lines | lines/s | MB/s | lines/CPU s | seconds | CPU s | B/line sent | equal |",
        "|---|---:|---:|---:|---:|---|---|---:|---|",
    ]
    for row in rows:
        equal = "–" if not row.messages else "equal" if row.is_equal else "DIFFER"
        lines.append(
            f"| {row.title} | {row.lines:,} | {row.lines_per_s:,.0f} | {row.megabytes_per_s:.1f} "
            f"| {row.lines_per_cpu_s:,.0f} | {listed(row.seconds)} | {listed(row.cpu_s)} "
            f"| {row.bytes_per_line_in_kafka:.1f} | {equal} |"
        )
    return "\n".join(lines)


def _pairs(title: str, values: Mapping[str, float], form: str) -> str:
    rows = [f"| {name} | {value:{form}} |" for name, value in values.items()]
    return "\n".join([f"| {title} | |", "|---|---:|", *rows])


def _goal_table(goals: Sequence[Goal]) -> str:
    lines = ["| what | goal | by the clock | by CPU time |", "|---|---|---:|---:|"]
    lines += [
        f"| {g.what} | {g.wanted} | {_figure(g.by_clock)} | {_figure(g.by_cpu)} |" for g in goals
    ]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def versions() -> dict[str, str]:
    """Versions of both sides."""
    ours = {f"{name} (agent)": version(name) for name in _OURS}
    return {"Python": platform.python_version()} | versions_of_peers(_PEERS) | ours
