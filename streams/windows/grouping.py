"""Rows of a batch to groups: those of one service, release, host, agent, arm, route and tick.

Labels come as codes into their values; a row's codes together are one whole number, and rows with
the same one are a group. What is said of the groups is collected column by column, and becomes
cells at the end. Groups that differ in host and agent alone are a family: whatever the comparison
of hosts does not ask for is said of families only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from contracts import arrow
from contracts.policy import Policies
from contracts.results import Cell, SparseHistogram, Sums

TICK_MS = 1000
UNKNOWN = "unknown"
"""Stands for a service or release name that is missing: counted, never dropped."""

Ints = npt.NDArray[np.int64]
Coded = tuple[Ints, list[str]]
"""A column as codes (n,) into its values."""
Rows = slice | Ints
"""Some rows by their numbers, or all of them as a slice, which copies nothing."""
EVERY = slice(None)

_LATEST = np.iinfo(np.int64).max
LABELS = ("service", "release", "host", "arm", "agent", "route")
"""What tells cells apart, besides their ticks; in order of significance."""
_OF_ONE = ("host", "agent")
"""What does not tell families apart."""


@dataclass(slots=True)
class Groups:
    """Groups of a batch and what is said of them so far; each list has an entry for a group."""

    of_row: Ints
    """The group of each row, (n,)."""
    labels: dict[str, list[str]]
    ticks: list[int]
    last: list[int]
    """Latest event time."""
    family: Ints
    """The family of each group, (k,)."""
    firsts: list[int]
    """A group of each family."""
    counts: list[dict[str, int]] = field(init=False)
    family_counts: list[dict[str, int]] = field(init=False)
    """Of each family: what its groups do not count."""
    sums: list[dict[str, Sums]] = field(init=False)
    histograms: list[dict[str, SparseHistogram]] = field(init=False)
    """Of each family."""
    units: list[dict[str, bytes]] = field(init=False)
    """Of each family."""
    outcome_units: list[dict[str, bytes]] = field(init=False)
    outcomes: list[dict[str, int]] = field(init=False)
    titles: list[dict[str, str]] = field(init=False)
    first_bad: list[int | None] = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.ticks)
        self.counts, self.sums = _nothing(size), _nothing(size)
        families = len(self.firsts)
        self.family_counts = _nothing(families)
        self.histograms, self.units = _nothing(families), _nothing(families)
        self.outcomes, self.outcome_units = _nothing(size), _nothing(size)
        self.titles, self.first_bad = _nothing(size), [None] * size

    def __len__(self) -> int:
        return len(self.ticks)

    def mark_first_bad(self, times: Ints, bad: Rows) -> None:
        """Note the earliest of the times (n,) of each group's bad rows."""
        first = np.full(len(self), _LATEST)
        np.minimum.at(first, self.of_row[bad], times[bad])
        for group in np.flatnonzero(first != _LATEST).tolist():
            self.first_bad[group] = int(first[group])

    def cells(self) -> Iterator[tuple[str, Cell]]:
        """The service of each group, and what was said of it; then the same of each family.

        A group without host and agent is what its family's cell would be: it has both.
        """
        nothing = [""] * len(self)
        services, releases, hosts = (self.labels[k] for k in ("service", "release", "host"))
        agents, arms, routes = (self.labels.get(k, nothing) for k in ("agent", "arm", "route"))
        said = [False] * len(self.firsts)
        for group, family in enumerate(self.family.tolist()):
            cell = Cell(
                tick=self.ticks[group],
                release=releases[group] or UNKNOWN,
                host=hosts[group],
                agent=agents[group],
                arm=arms[group],
                stratum=routes[group],
                last=self.last[group],
                first_bad=self.first_bad[group],
                counts=self.counts[group],
                sums=self.sums[group],
                units=self.outcome_units[group],
                groups=self.outcomes[group],
                titles=self.titles[group],
            )
            if not (cell.host or cell.agent):
                said[family] = True
                for name, count in self.family_counts[family].items():
                    cell.counts[name] = cell.counts.get(name, 0) + count
                cell.histograms = self.histograms[family]
                cell.units |= self.units[family]
            yield services[group] or UNKNOWN, cell
        for family, group in enumerate(self.firsts):
            counts, histograms = self.family_counts[family], self.histograms[family]
            if not said[family] and (counts or histograms or self.units[family]):
                cell = Cell(
                    tick=self.ticks[group],
                    release=releases[group] or UNKNOWN,
                    arm=arms[group],
                    stratum=routes[group],
                    last=self.ticks[group],  # what was later, the groups have told
                    is_of_all_hosts=True,
                    counts=counts,
                    histograms=histograms,
                    units=self.units[family],
                )
                yield services[group] or UNKNOWN, cell


def _nothing(size: int) -> list[dict[str, Any]]:
    return [{} for _ in range(size)]


def group_rows(coded: dict[str, Coded], times: Ints, policies: Policies) -> Groups:
    """The groups of rows, at least one, in order of their labels' codes and of ticks.

    Args:
        coded: labels; those of ``LABELS``, as far as there are any, tell groups apart.
        times: event times (n,), epoch milliseconds.
        policies: tell which services are counted route by route.
    """
    coded = {name: coded[name] for name in LABELS if name in coded}
    services, names = coded["service"]
    chosen = np.array([policies.is_stratified(name) for name in names])
    if "route" in coded:
        routes, known = coded["route"]
        coded["route"] = np.where(chosen[services], routes, len(known)), [*known, ""]
    ticks = times // TICK_MS
    rows, of_row = number(_keys(coded, ticks))
    last = np.full(len(rows), -_LATEST)
    np.maximum.at(last, of_row, times)
    coded, ticks = {n: (codes[rows], known) for n, (codes, known) in coded.items()}, ticks[rows]
    shared = {name: column for name, column in coded.items() if name not in _OF_ONE}
    firsts, family = number(_keys(shared, ticks))
    labels = {n: [known[code] for code in codes.tolist()] for n, (codes, known) in coded.items()}
    ticks_ms = (ticks * TICK_MS).tolist()
    return Groups(of_row, labels, ticks_ms, last.tolist(), family, firsts.tolist())


def _keys(coded: dict[str, Coded], ticks: Ints) -> Ints:
    """A number for the labels and the tick of each row, (n,), in their order."""
    first = ticks.min()
    sizes = [(codes, len(values)) for codes, values in coded.values()]
    return _combined([*sizes, (ticks - first, int(ticks.max() - first) + 1)], len(ticks))


def codes_of(column: pa.Array, missing: str = "") -> Coded:
    """Codes (n,) and their values, each once; ``missing`` stands for null and empty ones."""
    values = [value or missing for value in column.dictionary.to_pylist()]
    codes = arrow.numbers(column.indices, null=len(values)).astype(np.int64)
    if column.indices.null_count:
        values.append(missing)
    known = {value: code for code, value in enumerate(dict.fromkeys(values))}
    if len(known) < len(values):
        codes = np.array([known[value] for value in values])[codes]
    return codes, list(known)


def _combined(columns: Iterable[tuple[Ints, int]], rows: int) -> Ints:
    """One number for the codes of each row, (n,), in their order, small where that costs little.

    Args:
        columns: codes (n,) and how many there may be of them.
        rows: how many rows there are.
    """
    key, span = np.zeros(rows, np.int64), 1
    for codes, count in columns:
        if count == 1:
            continue
        if not _is_dense(span * count, rows):
            some_rows, key = number(key)
            span = len(some_rows)
        key = key * count + codes
        span *= count
    return key


@dataclass(frozen=True, slots=True)
class Pairs:
    """Distinct pairs of number and value (m,), ascending, and how often each occurs (m,)."""

    numbers: Ints
    values: Ints
    counts: Ints

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Each number with the slice of its pairs."""
        starts, ends = stretches(self.numbers)
        for one, start, end in zip(self.numbers[starts].tolist(), starts, ends, strict=True):
            yield one, slice(start, end)


def stretches(numbers: npt.NDArray[np.integer]) -> tuple[list[int], list[int]]:
    """Where each of the ascending numbers (n,) starts, and where it ends."""
    is_start = np.ones(len(numbers), np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=is_start[1:])
    starts = np.flatnonzero(is_start).tolist()
    return starts, [*starts, len(numbers)][1:]


def count_pairs(numbers: Ints, values: npt.NDArray[np.integer]) -> Pairs:
    """The distinct pairs of numbers (n,), at least 0, and values (n,)."""
    if not len(numbers):
        return Pairs(numbers, numbers, numbers)
    low = int(values.min())
    span = int(values.max()) - low + 1
    keys, counts = _distinct(numbers * span + (values.astype(np.int64) - low))
    found = keys // span
    return Pairs(found, keys - found * span + low, counts)


def _distinct(keys: Ints) -> tuple[Ints, Ints]:
    """Distinct keys, ascending, and how often each occurs; keys are at least 0."""
    if not _is_dense(int(keys.max()), len(keys)):
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys)
    found = np.flatnonzero(counts > 0)  # of booleans: thrice as fast
    return found, counts[found]


def number(keys: Ints) -> tuple[Ints, Ints]:
    """A row of each distinct key, keys ascending, and the number of each row's key (n,)."""
    if not _is_dense(int(keys.max()), len(keys)):
        _, rows, of_row = np.unique(keys, return_index=True, return_inverse=True)
        return rows, of_row
    row_of = np.full(int(keys.max()) + 1, -1)
    row_of[keys] = np.arange(len(keys))
    found = np.flatnonzero(row_of >= 0)
    numbers = np.empty_like(row_of)
    numbers[found] = np.arange(len(found))
    return row_of[found], numbers.take(keys)


def _is_dense(span: int, rows: int) -> bool:
    """Whether a table with a place for every key is cheaper than sorting the keys of the rows."""
    return span < 8 * rows
