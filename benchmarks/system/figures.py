"""Figures of the whole system: what was measured beside its goal, as a table and as JSON."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from benchmarks.throughput import command
from benchmarks.throughput.command import BUILD, say
from benchmarks.throughput.report import machine


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One figure; ``goal`` is empty where it is only told."""

    what: str
    value: float
    unit: str = ""
    goal: str = ""
    is_met: bool | None = None


class Figures(msgspec.Struct, kw_only=True):
    """What one benchmark measured, with what it was told and where it ran."""

    name: str
    machine: dict[str, str]
    settings: dict[str, str]
    rows: list[Row]


def at_most(what: str, value: float, limit: float, unit: str) -> Row:
    """A figure that must not be above its goal."""
    goal = f"≤ {limit:g} {unit}"
    return Row(what=what, value=value, unit=unit, goal=goal, is_met=value <= limit)


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and largest; zeros of nothing."""
    if not values:
        return 0.0, 0.0, 0.0
    p50, p99 = np.quantile(values, [0.5, 0.99])
    return float(p50), float(p99), max(values)


def spread(what: str, values: Sequence[float], unit: str) -> list[Row]:
    """Median, 99th percentile and largest of one thing, without goals."""
    names = ("p50", "p99", "most")
    found = zip(names, quantiles(values), strict=True)
    return [Row(what=f"{what}, {name}", value=value, unit=unit) for name, value in found]


def publish(name: str, settings: Mapping[str, object], rows: Iterable[Row]) -> bool:
    """Print the table, write the JSON beside it; whether every goal was met."""
    told = {key: str(value) for key, value in settings.items()}
    where = machine() | {"python": platform.python_version()}
    found = Figures(name=name, machine=where, settings=told, rows=list(rows))
    path = BUILD / f"{name}.json"
    command.publish(found, _text(found), path)
    say(f"also in {path}")
    return all(row.is_met is not False for row in found.rows)


def _text(found: Figures) -> str:
    told = [f"- {key}: {value}" for key, value in (found.machine | found.settings).items()]
    head = ["", f"| {found.name} | measured | goal | |", "|---|---:|---:|---|"]
    return "\n".join([*told, *head, *map(_line, found.rows)])


def _line(row: Row) -> str:
    met = {None: "", True: "met", False: "**not met**"}[row.is_met]
    return f"| {row.what} | {_number(row.value)} {row.unit} | {row.goal} | {met} |"


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.3g}"
