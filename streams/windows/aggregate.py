"""Telemetry batches to cells: counts and histograms per service, release, host, arm and tick.

Everything works on columns: rows get the number of their group (from dictionary codes), and every
figure is one ``bincount`` over those numbers. No Python loop touches an event; the loops below run
over groups, event names and distinct values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from contracts import histogram
from contracts.policy import Policies, Unit
from contracts.records import RecordKind
from contracts.results import Cell, SparseHistogram
from streams.windows import units
from streams.windows.ids import Hashes, hashes_of

TICK_MS = 1000
UNKNOWN = "unknown"
"""Stands for a service or release name that is missing: counted, never dropped."""

Ints = npt.NDArray[np.int64]
_HOST_VALUES = ("cpu_percent", "memory_percent", "load1", "disk_percent")


Coded = tuple[Ints, list[str]]
"""A column as codes (n,) into its values."""


@dataclass(frozen=True, slots=True)
class _Groups:
    """The groups of a batch: ``of_row`` (n,) is the group of each row; ``cells`` are theirs."""

    of_row: Ints
    services: list[str]
    cells: list[Cell]

    def add_counts(self, name: str, weights: npt.NDArray[np.generic] | None = None) -> None:
        """Add the rows (or the sum of their ``weights``) of each group to its counter."""
        self._add(name, np.bincount(self.of_row, weights=weights, minlength=len(self.cells)))

    def add_rows(self, name: str, rows: npt.NDArray[np.bool_]) -> None:
        """Add how many of the chosen rows (n,) each group has."""
        self._add(name, np.bincount(self.of_row[rows], minlength=len(self.cells)))

    def _add(self, name: str, sums: npt.NDArray[np.generic]) -> None:
        some = np.flatnonzero(sums)
        for group, count in zip(some.tolist(), sums[some].tolist(), strict=True):
            counts = self.cells[group].counts
            counts[name] = counts.get(name, 0) + int(count)

    def add_histogram(self, name: str, rows: npt.NDArray[np.bool_], values: pa.Array) -> None:
        """Add the histogram of ``values`` (n,) of the chosen rows to each group."""
        numbers = values.to_numpy(zero_copy_only=False)
        chosen = rows & np.isfinite(numbers)
        if not chosen.any():
            return
        bins = histogram.bins_of(numbers[chosen])
        pairs = _count_pairs(self.of_row[chosen], bins)
        found, counts = pairs.found.tolist(), pairs.counts.tolist()
        for group, part in pairs.parts():
            self.cells[group].histograms[name] = SparseHistogram(found[part], counts[part])


@dataclass(frozen=True, slots=True)
class _Ids:
    """Ids of one kind of unit: ``hashes`` (n,), and which rows have one (n,)."""

    kind: str
    hashes: Hashes
    is_known: npt.NDArray[np.bool_]

    def add(self, groups: _Groups, counter: str, rows: npt.NDArray[np.bool_]) -> None:
        """Add to each group how many of the rows have an id, and a sketch of their units."""
        chosen = rows & self.is_known
        if not chosen.any():
            return
        name = f"{counter}@{self.kind}"
        groups.add_rows(name, chosen)
        for group, sketch in units.sketches(groups.of_row[chosen], self.hashes[chosen]):
            groups.cells[group].units[name] = sketch


def cells_of_batch(
    kind: RecordKind, batch: pa.RecordBatch, policies: Policies, agents: Coded | None = None
) -> dict[str, list[Cell]]:
    """The cells of each service in one batch.

    Args:
        kind: what the batch holds; its columns are those of ``contracts.arrow.schemas``.
        batch: n records in any order.
        policies: tell which services are counted route by route, and by which units.
        agents: who sent each record, where that matters.

    Returns:
        Service name to its cells, in order of release, host, agent, arm, route and tick.
    """
    if batch.num_rows == 0:
        return {}
    groups = _group_rows(batch, policies, agents)
    _FILL[kind](groups, batch, policies.units)
    by_service: dict[str, list[Cell]] = defaultdict(list)
    for service, cell in zip(groups.services, groups.cells, strict=True):
        by_service[service].append(cell)
    return dict(by_service)


def _group_rows(batch: pa.RecordBatch, policies: Policies, agents: Coded | None) -> _Groups:
    names = [n for n in ("service", "release", "host", "arm") if n in batch.schema.names]
    coded = {name: _codes(batch.column(name)) for name in names}
    if agents is not None:
        coded["agent"] = agents
    services = coded["service"]
    chosen = np.array([policies.is_stratified(name) for name in services[1]])
    if chosen.any() and "route" in batch.schema.names:
        routes, known = _codes(batch.column("route"))
        coded["route"] = np.where(chosen[services[0]], routes, len(known) - 1), known
    times = batch.column("time").cast(pa.int64()).to_numpy(zero_copy_only=False)
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


def _codes(column: pa.Array) -> Coded:
    """Codes (n,) and their values; null becomes the empty string."""
    values = [value or "" for value in column.dictionary.to_pylist()]
    indices = column.indices
    if indices.null_count:
        indices = indices.fill_null(len(values))
    return indices.to_numpy(zero_copy_only=False).astype(np.int64), [*values, ""]


def _fill_events(groups: _Groups, batch: pa.RecordBatch, wanted: frozenset[Unit]) -> None:
    names, values = _codes(batch.column("name"))
    is_bad = ~batch.column("ok").fill_null(True).to_numpy(zero_copy_only=False)
    sizes = batch.column("size_bytes").fill_null(0).to_numpy(zero_copy_only=False)
    status = batch.column("status").fill_null(0).to_numpy(zero_copy_only=False)
    ids = _ids_of(batch, wanted)
    for code in np.flatnonzero(np.bincount(names)).tolist():
        name = values[code] or UNKNOWN
        rows = names == code
        groups.add_rows(name, rows)
        groups.add_rows(f"{name}.bad", rows & is_bad)
        for of_kind in ids:
            of_kind.add(groups, name, rows)
            of_kind.add(groups, f"{name}.bad", rows & is_bad)
        groups.add_counts(f"{name}.bytes", np.where(rows, sizes, 0))
        _add_status(groups, name, _count_pairs(groups.of_row[rows], status[rows]))
        groups.add_histogram(f"{name}.duration_ms", rows, batch.column("duration_ms"))
    _mark_first_bad(groups, batch, is_bad)


def _add_status(groups: _Groups, name: str, pairs: _Pairs) -> None:
    words = {
        status: f"{name}.status.{status if 100 <= status < 600 else 'other'}"
        for status in np.unique(pairs.found).tolist()
    }
    for group, status, count in zip(
        pairs.groups.tolist(), pairs.found.tolist(), pairs.counts.tolist(), strict=True
    ):
        if status:
            counts = groups.cells[group].counts
            counts[words[status]] = counts.get(words[status], 0) + count


def _ids_of(batch: pa.RecordBatch, wanted: frozenset[Unit]) -> list[_Ids]:
    """Sessions (a user stands for a session that is missing) and users, where there are any."""
    users = batch.column("user")
    columns = {
        Unit.SESSION: pc.coalesce(batch.column("session"), users),
        Unit.USER: users,
    }
    found = []
    for kind, column in columns.items():
        if kind not in wanted or column.null_count == len(column):
            continue
        is_known = column.is_valid().to_numpy(zero_copy_only=False)
        found.append(_Ids(kind.value, hashes_of(column), is_known))
    return found


def _fill_crashes(groups: _Groups, batch: pa.RecordBatch, wanted: frozenset[Unit]) -> None:
    every = np.ones(batch.num_rows, dtype=np.bool_)
    groups.add_counts("crash")
    for of_kind in _ids_of(batch, wanted):
        of_kind.add(groups, "crash", every)
    _mark_first_bad(groups, batch, every)


def _fill_logs(groups: _Groups, batch: pa.RecordBatch, _wanted: frozenset[Unit]) -> None:
    groups.add_counts("log")
    severities, values = _codes(batch.column("severity"))
    for code in np.flatnonzero(np.bincount(severities)).tolist():
        groups.add_rows(f"log.{values[code] or UNKNOWN}", severities == code)


def _fill_hosts(groups: _Groups, batch: pa.RecordBatch, _wanted: frozenset[Unit]) -> None:
    groups.add_counts("host")
    rows = np.ones(batch.num_rows, dtype=np.bool_)
    for name in _HOST_VALUES:
        groups.add_histogram(f"host.{name}", rows, batch.column(name).fill_null(float("nan")))


_FILL: dict[RecordKind, Callable[[_Groups, pa.RecordBatch, frozenset[Unit]], None]] = {
    RecordKind.EVENTS: _fill_events,
    RecordKind.CRASHES: _fill_crashes,
    RecordKind.LOGS: _fill_logs,
    RecordKind.HOSTS: _fill_hosts,
}


def _mark_first_bad(groups: _Groups, batch: pa.RecordBatch, is_bad: npt.NDArray[np.bool_]) -> None:
    times = batch.column("time").cast(pa.int64()).to_numpy(zero_copy_only=False)
    first = np.full(len(groups.cells), np.iinfo(np.int64).max)
    np.minimum.at(first, groups.of_row[is_bad], times[is_bad])
    for group in np.flatnonzero(first != np.iinfo(np.int64).max):
        groups.cells[group].first_bad = int(first[group])


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Distinct pairs of group and found value (m,), ascending, and how often each occurs (m,)."""

    groups: Ints
    found: Ints
    counts: Ints

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
