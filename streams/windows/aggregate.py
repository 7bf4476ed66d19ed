"""Telemetry batches to cells: counts and histograms per service, release, host, arm and tick.

Everything works on columns: rows get the number of their group (from dictionary codes), and every
figure is one ``bincount`` over those numbers. No Python loop touches an event; the loops below run
over groups, event names and distinct values.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts import arrow, histogram
from contracts.policy import Policies, Unit
from contracts.records import RecordKind
from contracts.results import Cell, SparseHistogram
from streams.windows import units
from streams.windows.ids import Hashes, hashes_of

TICK_MS = 1000
UNKNOWN = "unknown"
"""Stands for a service or release name that is missing: counted, never dropped."""

Ints = npt.NDArray[np.int64]
_OTHER_STATUS = 1
"""Stands for a status that is none of HTTP's."""
_HOST_VALUES = ("cpu_percent", "memory_percent", "load1", "disk_percent")


Coded = tuple[Ints, list[str]]
"""A column as codes (n,) into its values."""
Rows = slice | Ints
"""Some rows by their numbers, or all of them as a slice, which copies nothing."""
_EVERY = slice(None)

_LABELS = ["time", "service", "release", "host"]
COLUMNS: dict[RecordKind, list[str]] = {
    RecordKind.EVENTS: [
        *_LABELS, "arm", "name", "route", "status", "ok", "size_bytes", "duration_ms", "user",
        "session",
    ],
    RecordKind.CRASHES: arrow.schemas[RecordKind.CRASHES].names,
    RecordKind.LOGS: [*_LABELS, "severity", "message"],
    RecordKind.HOSTS: [*_LABELS, *_HOST_VALUES],
}  # fmt: skip
"""What is read of each kind."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Bad outcomes among the rows of a batch, by their kind: crash groups, log templates.

    ``rows`` (m,) ascend; ``codes`` (m,) are their kinds, numbers into ``names``, as they stand in a
    cell's ``groups``, and ``titles``, which are what people call them.
    """

    rows: Ints
    codes: Ints
    names: list[str]
    titles: list[str]


@dataclass(frozen=True, slots=True)
class _Groups:
    """The groups of a batch: ``of_row`` (n,) is the group of each row; ``cells`` are theirs."""

    of_row: Ints
    services: list[str]
    cells: list[Cell]

    def add_rows(self, name: str, rows: Rows) -> None:
        """Add how many of the chosen rows each group has."""
        self._add(name, np.bincount(self.of_row[rows], minlength=len(self.cells)))

    def add_outcomes(self, outcomes: Outcomes) -> None:
        """Add how often each cell has each kind of outcome; each service is told a title once."""
        told = set()
        for group, code, count in _count_pairs(self.of_row[outcomes.rows], outcomes.codes).each():
            cell, name = self.cells[group], outcomes.names[code]
            cell.groups[name] = count
            if (self.services[group], code) not in told:
                told.add((self.services[group], code))
                cell.titles[name] = outcomes.titles[code]

    def add_sums(self, name: str, rows: Rows, values: Ints) -> None:
        """Add the sum of the values (n,) of the chosen rows to each group."""
        chosen = values[rows]
        if chosen.any():
            sums = np.bincount(self.of_row[rows], weights=chosen, minlength=len(self.cells))
            self._add(name, sums)

    def _add(self, name: str, sums: npt.NDArray[np.generic]) -> None:
        some = np.flatnonzero(sums)
        for group, count in zip(some.tolist(), sums[some].tolist(), strict=True):
            counts = self.cells[group].counts
            counts[name] = counts.get(name, 0) + int(count)

    def add_histogram(self, name: str, rows: Rows, column: pa.Array) -> None:
        """Add the histogram of the values (n,) of the chosen rows to each group."""
        values, of_row = arrow.numbers(column, null=math.nan)[rows], self.of_row[rows]
        is_finite = np.isfinite(values)
        if not is_finite.all():
            values, of_row = values[is_finite], of_row[is_finite]
        if not len(values):
            return
        pairs = _count_pairs(of_row, histogram.bins_of(values))
        found, counts = pairs.found.tolist(), pairs.counts.tolist()
        for group, part in pairs.parts():
            self.cells[group].histograms[name] = SparseHistogram(found[part], counts[part])


@dataclass(frozen=True, slots=True)
class _Ids:
    """Ids of one kind of unit: ``hashes`` (n,), and which rows have one (n,) where not all do."""

    kind: str
    hashes: Hashes
    is_known: npt.NDArray[np.bool_] | None

    def add(self, groups: _Groups, counter: str, rows: Rows) -> None:
        """Add to each group how many of the rows have an id, and a sketch of their units."""
        chosen = self._known(rows)
        of_row = groups.of_row[chosen]
        if not len(of_row):
            return
        name = f"{counter}@{self.kind}"
        groups.add_rows(name, chosen)
        for group, sketch in units.sketches(of_row, self.hashes[chosen]):
            groups.cells[group].units[name] = sketch

    def add_outcomes(self, groups: _Groups, outcomes: Outcomes) -> None:
        """Add to each cell how many outcomes of each kind have an id, and their units."""
        has_id = slice(None) if self.is_known is None else self.is_known[outcomes.rows]
        chosen, codes = outcomes.rows[has_id], outcomes.codes[has_id]
        of_row = groups.of_row[chosen]
        if not len(of_row):
            return
        names = [f"{name}@{self.kind}" for name in outcomes.names]
        for group, code, count in _count_pairs(of_row, codes).each():
            groups.cells[group].groups[names[code]] = count
        of_both = of_row * len(names) + codes
        for both, sketch in units.sketches(of_both, self.hashes[chosen]):
            group, code = divmod(both, len(names))
            groups.cells[group].units[names[code]] = sketch

    def _known(self, rows: Rows) -> Rows:
        if self.is_known is None:
            return rows
        if isinstance(rows, slice):
            return np.flatnonzero(self.is_known)
        return rows[self.is_known[rows]]


def cells_of_batch(
    kind: RecordKind,
    batch: pa.RecordBatch,
    policies: Policies,
    agents: Coded | None = None,
    outcomes: Outcomes | None = None,
) -> dict[str, list[Cell]]:
    """The cells of each service in one batch.

    Args:
        kind: what the batch holds; its columns are those of ``contracts.arrow.schemas``.
        batch: n records in any order.
        policies: tell which services are counted route by route, and by which units.
        agents: who sent each record, where that matters.
        outcomes: what kind of bad outcome its crashes or log lines are.

    Returns:
        Service name to its cells, in order of release, host, agent, arm, route and tick.
    """
    if batch.num_rows == 0:
        return {}
    groups = _group_rows(batch, policies, agents)
    _FILL[kind](groups, batch, policies.units)
    if outcomes is not None:
        _add_outcomes(groups, batch, policies.units, outcomes)
    by_service: dict[str, list[Cell]] = defaultdict(list)
    for service, cell in zip(groups.services, groups.cells, strict=True):
        by_service[service].append(cell)
    return dict(by_service)


def _group_rows(batch: pa.RecordBatch, policies: Policies, agents: Coded | None) -> _Groups:
    names = [n for n in ("service", "release", "host", "arm") if n in batch.schema.names]
    coded = {name: codes_of(batch.column(name)) for name in names}
    if agents is not None:
        coded["agent"] = agents
    services = coded["service"]
    chosen = np.array([policies.is_stratified(name) for name in services[1]])
    if chosen.any() and "route" in batch.schema.names:
        routes, known = codes_of(batch.column("route"))
        coded["route"] = np.where(chosen[services[0]], routes, len(known)), [*known, ""]
    times = arrow.numbers(batch.column("time"))
    ticks = times // TICK_MS
    first_tick = ticks.min()
    key = np.zeros(batch.num_rows, dtype=np.int64)
    for codes, values in coded.values():
        key = key * len(values) + codes
    key = key * (ticks.max() - first_tick + 1) + (ticks - first_tick)
    first_rows, of_row = _number(key)
    last = np.full(len(first_rows), np.iinfo(np.int64).min)
    np.maximum.at(last, of_row, times)
    labels = {
        name: [values[c] for c in codes[first_rows]] for name, (codes, values) in coded.items()
    }
    nothing = [""] * len(first_rows)
    cells = [
        Cell(
            tick=int(tick) * TICK_MS,
            release=release or UNKNOWN,
            host=host,
            agent=agent,
            arm=arm,
            stratum=route,
            last=int(end),
            counts={},
            histograms={},
            units={},
            groups={},
            titles={},
        )
        for tick, release, host, agent, arm, route, end in zip(
            ticks[first_rows],
            labels["release"],
            labels["host"],
            labels.get("agent", nothing),
            labels.get("arm", nothing),
            labels.get("route", nothing),
            last,
            strict=True,
        )
    ]
    return _Groups(of_row, [s or UNKNOWN for s in labels["service"]], cells)


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


def _fill_events(groups: _Groups, batch: pa.RecordBatch, wanted: frozenset[Unit]) -> None:
    names, values = codes_of(batch.column("name"), UNKNOWN)
    bad = np.flatnonzero(~arrow.numbers(batch.column("ok"), null=True))
    sizes = arrow.numbers(batch.column("size_bytes"), null=0)
    status = arrow.numbers(batch.column("status"), null=0)
    ids = _ids_of(batch, wanted)
    used = np.flatnonzero(np.bincount(names)).tolist()
    for code in used:
        name = values[code]
        rows = _EVERY if len(used) == 1 else np.flatnonzero(names == code)
        bad_rows = bad[names[bad] == code]
        groups.add_rows(name, rows)
        groups.add_rows(f"{name}.bad", bad_rows)
        for of_kind in ids:
            of_kind.add(groups, name, rows)
            of_kind.add(groups, f"{name}.bad", bad_rows)
        groups.add_sums(f"{name}.bytes", rows, sizes)
        _add_status(groups, name, groups.of_row[rows], status[rows])
        groups.add_histogram(f"{name}.duration_ms", rows, batch.column("duration_ms"))
    _mark_first_bad(groups, batch, bad)


def _add_status(groups: _Groups, name: str, of_row: Ints, status: npt.NDArray[np.integer]) -> None:
    """Count each status (n,) of rows of these groups (n,); 0 is none."""
    is_usual = (status >= 100) & (status < 600)
    slots = np.where(is_usual, status, np.where(status == 0, 0, _OTHER_STATUS)).astype(np.int64)
    used = np.flatnonzero(np.bincount(slots))
    words = [f"{name}.status.{'other' if s == _OTHER_STATUS else s}" for s in used.tolist()]
    numbers = np.zeros(600, np.int64)
    numbers[used] = np.arange(len(used))
    pairs = _count_pairs(of_row, numbers[slots])
    for group, number, count in pairs.each():
        if used[number]:
            counts = groups.cells[group].counts
            counts[words[number]] = counts.get(words[number], 0) + count


def _ids_of(batch: pa.RecordBatch, wanted: frozenset[Unit]) -> list[_Ids]:
    """Sessions (a user stands for a session that is missing) and users, where there are any."""
    users = batch.column("user")
    columns = {
        Unit.SESSION: _or_else(batch.column("session"), users),
        Unit.USER: users,
    }
    found = []
    for kind, column in columns.items():
        if kind not in wanted or column.null_count == len(column):
            continue
        is_known = arrow.numbers(column.is_valid()) if column.null_count else None
        found.append(_Ids(kind.value, hashes_of(column), is_known))
    return found


def _or_else(column: pa.Array, other: pa.Array) -> pa.Array:
    """The values of a column, and of another one where it has none."""
    if not column.null_count:
        return column
    if column.null_count == len(column):
        return other
    return pc.coalesce(column.cast(pa.utf8()), other.cast(pa.utf8()))


def _add_outcomes(
    groups: _Groups, batch: pa.RecordBatch, wanted: frozenset[Unit], outcomes: Outcomes
) -> None:
    groups.add_outcomes(outcomes)
    if "user" in batch.schema.names:
        for of_kind in _ids_of(batch, wanted):
            of_kind.add_outcomes(groups, outcomes)


def _fill_crashes(groups: _Groups, batch: pa.RecordBatch, wanted: frozenset[Unit]) -> None:
    groups.add_rows("crash", _EVERY)
    for of_kind in _ids_of(batch, wanted):
        of_kind.add(groups, "crash", _EVERY)
    _mark_first_bad(groups, batch, _EVERY)


def _fill_logs(groups: _Groups, batch: pa.RecordBatch, _wanted: frozenset[Unit]) -> None:
    groups.add_rows("log", _EVERY)
    severities, values = codes_of(batch.column("severity"), UNKNOWN)
    for code in np.flatnonzero(np.bincount(severities)).tolist():
        groups.add_rows(f"log.{values[code]}", np.flatnonzero(severities == code))


def _fill_hosts(groups: _Groups, batch: pa.RecordBatch, _wanted: frozenset[Unit]) -> None:
    groups.add_rows("host", _EVERY)
    for name in _HOST_VALUES:
        groups.add_histogram(f"host.{name}", _EVERY, batch.column(name))


_FILL: dict[RecordKind, Callable[[_Groups, pa.RecordBatch, frozenset[Unit]], None]] = {
    RecordKind.EVENTS: _fill_events,
    RecordKind.CRASHES: _fill_crashes,
    RecordKind.LOGS: _fill_logs,
    RecordKind.HOSTS: _fill_hosts,
}


def _mark_first_bad(groups: _Groups, batch: pa.RecordBatch, bad: Rows) -> None:
    times = arrow.numbers(batch.column("time"))
    first = np.full(len(groups.cells), np.iinfo(np.int64).max)
    np.minimum.at(first, groups.of_row[bad], times[bad])
    for group in np.flatnonzero(first != np.iinfo(np.int64).max):
        groups.cells[group].first_bad = int(first[group])


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Distinct pairs of group and found value (m,), ascending, and how often each occurs (m,)."""

    groups: Ints
    found: Ints
    counts: Ints

    def each(self) -> Iterator[tuple[int, int, int]]:
        """Each pair with its count."""
        return zip(self.groups.tolist(), self.found.tolist(), self.counts.tolist(), strict=True)

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Each group with the slice of its pairs."""
        starts = np.flatnonzero(np.diff(self.groups, prepend=-1)).tolist()
        ends = [*starts[1:], len(self.groups)]
        for group, start, end in zip(self.groups[starts].tolist(), starts, ends, strict=True):
            yield group, slice(start, end)


def _count_pairs(groups: Ints, values: npt.NDArray[np.integer]) -> _Pairs:
    low = int(values.min())
    span = int(values.max()) - low + 1
    keys, counts = _distinct(groups * span + (values - low))
    return _Pairs(keys // span, keys % span + low, counts)


def _distinct(keys: Ints) -> tuple[Ints, Ints]:
    """Distinct keys, ascending, and how often each occurs; keys are at least 0."""
    if not _are_dense(keys):
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys)
    found = np.flatnonzero(counts)
    return found, counts[found]


def _number(keys: Ints) -> tuple[Ints, Ints]:
    """The first row of each distinct key, keys ascending, and the number of each row's key (n,)."""
    if not _are_dense(keys):
        _, first_rows, of_row = np.unique(keys, return_index=True, return_inverse=True)
        return first_rows, of_row
    first_row = np.full(int(keys.max()) + 1, -1)
    first_row[keys[::-1]] = np.arange(len(keys))[::-1]
    found = np.flatnonzero(first_row >= 0)
    numbers = np.empty_like(first_row)
    numbers[found] = np.arange(len(found))
    return first_row[found], numbers[keys]


def _are_dense(keys: Ints) -> bool:
    """Whether a table with a place for every key is cheaper than sorting the keys."""
    return int(keys.max()) < 8 * len(keys)
