"""Telemetry batches to cells: counts and histograms per service, release, host, arm and tick.

Everything works on columns: rows get the number of their group (``streams.windows.grouping``) and
of their series, and every figure is one ``bincount`` over those numbers. No Python loop touches an
event; the loops below run over groups, series and distinct values.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
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
from streams.windows.grouping import (
    EVERY,
    UNKNOWN,
    Coded,
    Groups,
    Ints,
    Rows,
    codes_of,
    count_pairs,
    group_rows,
    number,
)
from streams.windows.ids import Hashes, hashes_of

_OTHER_STATUS = 1
"""Stands for a status that is none of HTTP's."""
_STATUSES = 600
_HOST_VALUES = ("cpu_percent", "memory_percent", "load1", "disk_percent")
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
class _Series:
    """Rows that are counted together: those of one group and one name, such as an event's.

    ``of_row`` (n,) is the series of each row; ``group_of`` (k,) and ``code_of`` (k,) are the group
    of each series and its name's number in ``names``.
    """

    groups: Groups
    of_row: Ints
    group_of: Ints
    code_of: Ints
    names: list[str]

    @classmethod
    def of(cls, groups: Groups, codes: Ints, names: list[str]) -> _Series:
        """The series of rows with these names."""
        if len(names) == 1:
            return cls.of_all(groups, names[0])
        key = groups.of_row * len(names) + codes
        first_rows, of_row = number(key)
        return cls(groups, of_row, groups.of_row[first_rows], codes[first_rows], names)

    @classmethod
    def of_all(cls, groups: Groups, name: str) -> _Series:
        """The series of rows that all have this name: one for each group."""
        size = len(groups)
        return cls(groups, groups.of_row, np.arange(size), np.zeros(size, np.int64), [name])

    def add_rows(self, suffix: str, rows: Rows) -> None:
        """Count the chosen rows under the names with this suffix."""
        self._add(suffix, np.bincount(self.of_row[rows], minlength=len(self.group_of)))

    def add_sums(self, suffix: str, values: Ints) -> None:
        """Add up the values (n,)."""
        if values.any():
            self._add(suffix, np.bincount(self.of_row, weights=values).astype(np.int64))

    def _add(self, suffix: str, sums: Ints) -> None:
        some = np.flatnonzero(sums)
        words = [f"{name}{suffix}" for name in self.names]
        self._put(some, self.code_of[some], words, sums[some])

    def _put(self, series: Ints, codes: Ints, words: list[str], sums: Ints) -> None:
        """Add to each of the series (m,) under the word of its code (m,)."""
        counts = self.groups.counts
        found = self.group_of[series].tolist(), codes.tolist(), sums.tolist()
        for group, code, count in zip(*found, strict=True):
            of_group, word = counts[group], words[code]
            of_group[word] = of_group.get(word, 0) + count

    def add_status(self, status: npt.NDArray[np.integer]) -> None:
        """Count each status (n,); 0 is none."""
        is_usual = (status >= 100) & (status < _STATUSES)
        slots = np.where(is_usual, status, np.where(status == 0, 0, _OTHER_STATUS))
        pairs = count_pairs(self.of_row, slots.astype(np.int64))
        is_some = pairs.values > 0
        series, counts = pairs.numbers[is_some], pairs.counts[is_some]
        if not len(series):
            return
        keys = self.code_of[series] * _STATUSES + pairs.values[is_some]
        first, codes = number(keys)
        words = [
            f"{self.names[code]}.status.{'other' if slot == _OTHER_STATUS else slot}"
            for code, slot in (divmod(key, _STATUSES) for key in keys[first].tolist())
        ]
        self._put(series, codes, words, counts)

    def add_histogram(self, suffix: str, column: pa.Array) -> None:
        """Add the histogram of a column (n,) to each of the series."""
        values, of_row = arrow.numbers(column, null=math.nan), self.of_row
        is_finite = np.isfinite(values)
        if not is_finite.all():
            values, of_row = values[is_finite], of_row[is_finite]
        pairs = count_pairs(of_row, histogram.bins_of(values))
        bins, counts = pairs.values.tolist(), pairs.counts.tolist()
        words = [f"{name}{suffix}" for name in self.names]
        groups, codes = self.group_of.tolist(), self.code_of.tolist()
        for one, part in pairs.parts():
            into = self.groups.histograms[groups[one]]
            into[words[codes[one]]] = SparseHistogram(bins[part], counts[part])

    def add_units(self, suffix: str, rows: Rows, hashes: Hashes) -> None:
        """Count the chosen rows, and sketch the distinct ones of the hashes (n,) of their ids."""
        self.add_rows(suffix, rows)
        words = [f"{name}{suffix}" for name in self.names]
        groups, codes = self.group_of.tolist(), self.code_of.tolist()
        for one, sketch in units.sketches(self.of_row[rows], hashes[rows]):
            into, word = self.groups.units[groups[one]], words[codes[one]]
            into[word] = units.union(into.get(word, units.NOTHING), sketch)


@dataclass(frozen=True, slots=True)
class _Ids:
    """Ids of one kind of unit: ``hashes`` (n,), and which rows have one (n,) where not all do."""

    kind: str
    hashes: Hashes
    is_known: npt.NDArray[np.bool_] | None

    def add_to(self, series: _Series, suffix: str, rows: Rows) -> None:
        """Add to each series how many of the rows have an id, and a sketch of their units."""
        series.add_units(f"{suffix}@{self.kind}", self.known(rows), self.hashes)

    def known(self, rows: Rows) -> Rows:
        """Those of the rows that have an id."""
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
    groups = group_rows(batch, policies, agents)
    _FILL[kind](groups, batch, policies.units)
    if outcomes is not None:
        _add_outcomes(groups, batch, policies.units, outcomes)
    by_service: dict[str, list[Cell]] = defaultdict(list)
    for service, cell in groups.cells():
        by_service[service].append(cell)
    return dict(by_service)


def _fill_events(groups: Groups, batch: pa.RecordBatch, wanted: frozenset[Unit]) -> None:
    series = _Series.of(groups, *codes_of(batch.column("name"), UNKNOWN))
    bad = np.flatnonzero(~arrow.numbers(batch.column("ok"), null=True))
    series.add_rows("", EVERY)
    series.add_rows(".bad", bad)
    for ids in _ids_of(batch, wanted):
        ids.add_to(series, "", EVERY)
        ids.add_to(series, ".bad", bad)
    series.add_sums(".bytes", arrow.numbers(batch.column("size_bytes"), null=0))
    series.add_status(arrow.numbers(batch.column("status"), null=0))
    series.add_histogram(".duration_ms", batch.column("duration_ms"))
    groups.mark_first_bad(arrow.numbers(batch.column("time")), bad)


def _fill_crashes(groups: Groups, batch: pa.RecordBatch, wanted: frozenset[Unit]) -> None:
    series = _Series.of_all(groups, "crash")
    series.add_rows("", EVERY)
    for ids in _ids_of(batch, wanted):
        ids.add_to(series, "", EVERY)
    groups.mark_first_bad(arrow.numbers(batch.column("time")), EVERY)


def _fill_logs(groups: Groups, batch: pa.RecordBatch, _wanted: frozenset[Unit]) -> None:
    _Series.of_all(groups, "log").add_rows("", EVERY)
    codes, severities = codes_of(batch.column("severity"), UNKNOWN)
    _Series.of(groups, codes, [f"log.{one}" for one in severities]).add_rows("", EVERY)


def _fill_hosts(groups: Groups, batch: pa.RecordBatch, _wanted: frozenset[Unit]) -> None:
    series = _Series.of_all(groups, "host")
    series.add_rows("", EVERY)
    for name in _HOST_VALUES:
        series.add_histogram(f".{name}", batch.column(name))


_FILL: dict[RecordKind, Callable[[Groups, pa.RecordBatch, frozenset[Unit]], None]] = {
    RecordKind.EVENTS: _fill_events,
    RecordKind.CRASHES: _fill_crashes,
    RecordKind.LOGS: _fill_logs,
    RecordKind.HOSTS: _fill_hosts,
}


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
    groups: Groups, batch: pa.RecordBatch, wanted: frozenset[Unit], outcomes: Outcomes
) -> None:
    """Add how often each group has each kind of outcome; each service is told a title once."""
    told = set()
    of_row = groups.of_row[outcomes.rows]
    services = [service or UNKNOWN for service in groups.labels["service"]]
    for group, code, count in _each(of_row, outcomes.codes):
        name = outcomes.names[code]
        groups.outcomes[group][name] = count
        if (services[group], code) not in told:
            told.add((services[group], code))
            groups.titles[group][name] = outcomes.titles[code]
    if "user" in batch.schema.names:
        for ids in _ids_of(batch, wanted):
            _add_outcome_units(groups, ids, outcomes)


def _add_outcome_units(groups: Groups, ids: _Ids, outcomes: Outcomes) -> None:
    """Add to each group how many outcomes of each kind have an id, and their units."""
    has_id = EVERY if ids.is_known is None else ids.is_known[outcomes.rows]
    chosen, codes = outcomes.rows[has_id], outcomes.codes[has_id]
    of_row = groups.of_row[chosen]
    names = [f"{name}@{ids.kind}" for name in outcomes.names]
    for group, code, count in _each(of_row, codes):
        groups.outcomes[group][names[code]] = count
    of_both = of_row * len(names) + codes
    for both, sketch in units.sketches(of_both, ids.hashes[chosen]):
        group, code = divmod(both, len(names))
        groups.units[group][names[code]] = sketch


def _each(numbers: Ints, values: Ints) -> zip[tuple[int, int, int]]:
    """Each distinct pair, and how often it occurs."""
    pairs = count_pairs(numbers, values)
    return zip(pairs.numbers.tolist(), pairs.values.tolist(), pairs.counts.tolist(), strict=True)
