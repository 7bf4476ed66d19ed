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

from contracts import arrow, histogram
from contracts.policy import Policies, Unit
from contracts.records import RecordKind
from contracts.results import Cell, SparseHistogram
from streams.windows import units
from streams.windows.events import Events, Ids, ids_of, of_batch
from streams.windows.grouping import (
    EVERY,
    LABELS,
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
from streams.windows.labels import is_of_events

_OTHER_STATUS = 1
"""Stands for a status that is none of HTTP's."""
_STATUSES = 600
_HOST_VALUES = ("cpu_percent", "memory_percent", "load1", "disk_percent")
_READ = ["time", "service", "release", "host"]
COLUMNS: dict[RecordKind, list[str]] = {
    RecordKind.CRASHES: arrow.schemas[RecordKind.CRASHES].names,
    RecordKind.LOGS: [*_READ, "severity", "message"],
    RecordKind.HOSTS: [*_READ, *_HOST_VALUES],
}
"""What is read of each kind but events."""


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
    """Rows that are counted together: those of one place and one name, such as an event's.

    ``of_row`` (n,) is the series of each row; ``place_of`` (k,), ``code_of`` (k,) and ``rows`` (k,)
    are the place of each series, its name's number in ``names``, and how many rows it has.
    ``counts`` has an entry for each place: a group, or a family of groups.
    """

    of_row: Ints
    place_of: Ints
    code_of: Ints
    rows: Ints
    names: list[str]
    counts: list[dict[str, int]]

    @classmethod
    def of(cls, groups: Groups, codes: Ints, names: list[str]) -> _Series:
        """The series of each group's rows with these names."""
        if len(names) == 1:
            return cls.of_all(groups, names[0])
        key = groups.of_row * len(names) + codes
        rows, of_row = number(key)
        counted, place_of = np.bincount(of_row), groups.of_row[rows]
        return cls(of_row, place_of, codes[rows], counted, names, groups.counts)

    @classmethod
    def of_all(cls, groups: Groups, name: str) -> _Series:
        """The series of rows that all have this name: one for each group."""
        size, rows = len(groups), np.bincount(groups.of_row)
        none = np.zeros(size, np.int64)
        return cls(groups.of_row, np.arange(size), none, rows, [name], groups.counts)

    def of_families(self, groups: Groups) -> _Series:
        """The same of the families that the groups are part of."""
        family = groups.family[self.place_of]
        some, of_series = number(family * len(self.names) + self.code_of)
        rows = np.bincount(of_series, self.rows).astype(np.int64)
        of_row, codes = of_series.take(self.of_row), self.code_of[some]
        return _Series(of_row, family[some], codes, rows, self.names, groups.family_counts)

    def words(self, suffix: str) -> list[str]:
        """What is counted under each name."""
        return [f"{name}{suffix}" for name in self.names]

    def slots(self, suffix: str) -> list[tuple[int, str]]:
        """The place of each series, and the word under which it is told there."""
        words = self.words(suffix)
        codes = self.code_of.tolist()
        return list(zip(self.place_of.tolist(), (words[code] for code in codes), strict=True))

    def add_rows(self, suffix: str, rows: Rows) -> None:
        """Count the chosen rows under the names with this suffix."""
        is_all = isinstance(rows, slice)
        self._add(suffix, self.rows if is_all else np.bincount(self.of_row[rows]))

    def add_sums(self, suffix: str, values: Ints) -> None:
        """Add up the values (n,)."""
        if values.any():
            self._add(suffix, np.bincount(self.of_row, weights=values).astype(np.int64))

    def _add(self, suffix: str, sums: Ints) -> None:
        some = np.flatnonzero(sums)
        self._put(some, self.code_of[some], self.words(suffix), sums[some])

    def _put(self, series: Ints, codes: Ints, words: list[str], sums: Ints) -> None:
        """Add to each of the series (m,) under the word of its code (m,)."""
        found = self.place_of[series].tolist(), codes.tolist(), sums.tolist()
        for place, code, count in zip(*found, strict=True):
            counts, word = self.counts[place], words[code]
            counts[word] = counts.get(word, 0) + count

    def add_status(self, status: npt.NDArray[np.integer]) -> None:
        """Count each status (n,); 0 is none."""
        pairs = count_pairs(self.of_row, status)
        is_some = pairs.values != 0
        series, found, counts = (of[is_some] for of in (pairs.numbers, pairs.values, pairs.counts))
        if not len(series):
            return
        is_usual = (found >= 100) & (found < _STATUSES)
        keys = self.code_of[series] * _STATUSES + np.where(is_usual, found, _OTHER_STATUS)
        rows, codes = number(keys)
        words = [
            f"{self.names[code]}.status.{'other' if slot == _OTHER_STATUS else slot}"
            for code, slot in (divmod(key, _STATUSES) for key in keys[rows].tolist())
        ]
        self._put(series, codes, words, counts)


@dataclass(frozen=True, slots=True)
class _Counting:
    """What a batch is counted by: its groups, and its series there and in their families."""

    groups: Groups
    hosts: _Series
    families: _Series

    @classmethod
    def of(cls, groups: Groups, series: _Series) -> _Counting:
        """The series of groups, and those of their families."""
        return cls(groups, series, series.of_families(groups))

    def add_histogram(self, suffix: str, values: npt.NDArray[np.floating]) -> None:
        """Add the histogram of the values (n,) to each family, and its sums to each host.

        Values that are not finite are none.
        """
        is_finite = np.isfinite(values)
        rows: Rows = EVERY if is_finite.all() else np.flatnonzero(is_finite)
        bins = histogram.bins_of(values[rows])
        slots = self.families.slots(suffix)
        pairs = count_pairs(self.families.of_row[rows], bins)
        for one, part in pairs.parts():
            family, word = slots[one]
            found, counts = pairs.values[part].tolist(), pairs.counts[part].tolist()
            self.groups.histograms[family][word] = SparseHistogram(found, counts)
        self._add_sums(suffix, rows, bins)

    def _add_sums(self, suffix: str, rows: Rows, bins: npt.NDArray[np.int32]) -> None:
        """Add the sums over a histogram, given by the bins (m,) of its rows, to each host."""
        series, words = self.hosts, self.hosts.words(suffix)
        of_row, size = series.of_row[rows], len(series.rows)
        numbers = bins.astype(np.float64)
        values = np.bincount(of_row, minlength=size)
        first, second = (np.bincount(of_row, of, size) for of in (numbers, numbers * numbers))
        has_host = np.array([bool(host) for host in self.groups.labels["host"]])
        some = np.flatnonzero(has_host[series.place_of] & (values > 0))
        groups, codes = series.place_of[some].tolist(), series.code_of[some].tolist()
        found = (of[some].astype(np.int64).tolist() for of in (values, first, second))
        sums = self.groups.sums
        for group, code, one in zip(groups, codes, zip(*found, strict=True), strict=True):
            sums[group][words[code]] = one

    def add_units(self, suffix: str, rows: Rows, ids: Ids, into: _Series) -> None:
        """Count those of the rows that have an id, and sketch the distinct units of families."""
        rows = ids.known(rows)
        into.add_rows(suffix, rows)
        slots = self.families.slots(suffix)
        for one, sketch in units.sketches(self.families.of_row[rows], ids.hashes[rows]):
            family, word = slots[one]
            told = self.groups.units[family]
            told[word] = units.union(told.get(word, units.NOTHING), sketch)


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
    if kind is RecordKind.EVENTS:
        return cells_of_events(of_batch(batch, policies, agents), policies)
    coded = {n: codes_of(batch.column(n)) for n in LABELS if n in batch.schema.names}
    if agents is not None:
        coded["agent"] = agents
    groups = group_rows(coded, arrow.numbers(batch.column("time")), policies)
    _FILL[kind](groups, batch, policies)
    if outcomes is not None:
        _add_outcomes(groups, batch, policies, outcomes)
    return _by_service(groups)


def cells_of_events(events: Events, policies: Policies) -> dict[str, list[Cell]]:
    """The cells of each service, as of ``cells_of_batch``, in at least one event."""
    times = events.numbers["time"]
    groups = group_rows(events.labels, times, policies)
    count = _Counting.of(groups, _Series.of(groups, *events.labels["name"]))
    bad = np.flatnonzero(~events.numbers["ok"])
    count.hosts.add_rows("", EVERY)
    count.hosts.add_rows(".bad", bad)
    groups.mark_first_bad(times, bad)
    series = count.hosts if _are_hosts_asked_for_more(policies) else count.families
    for unit, ids in events.ids.items():
        count.add_units(f"@{unit.value}", EVERY, ids, series)
        count.add_units(f".bad@{unit.value}", bad, ids, series)
    series.add_sums(".bytes", events.numbers["size_bytes"])
    series.add_status(events.numbers["status"])
    count.add_histogram(".duration_ms", events.numbers["duration_ms"])
    return _by_service(groups)


def _are_hosts_asked_for_more(policies: Policies) -> bool:
    """Whether a metric is about other counters than events and bad events."""
    return not all(map(is_of_events, policies.counters))


def _by_service(groups: Groups) -> dict[str, list[Cell]]:
    by_service: dict[str, list[Cell]] = defaultdict(list)
    for service, cell in groups.cells():
        by_service[service].append(cell)
    return dict(by_service)


def _fill_crashes(groups: Groups, batch: pa.RecordBatch, policies: Policies) -> None:
    count = _Counting.of(groups, _Series.of_all(groups, "crash"))
    count.hosts.add_rows("", EVERY)
    for unit, ids in ids_of(batch, policies).items():
        count.add_units(f"@{unit.value}", EVERY, ids, count.hosts)
    groups.mark_first_bad(arrow.numbers(batch.column("time")), EVERY)


def _fill_logs(groups: Groups, batch: pa.RecordBatch, _policies: Policies) -> None:
    _Series.of_all(groups, "log").add_rows("", EVERY)
    codes, severities = codes_of(batch.column("severity"), UNKNOWN)
    _Series.of(groups, codes, [f"log.{one}" for one in severities]).add_rows("", EVERY)


def _fill_hosts(groups: Groups, batch: pa.RecordBatch, _policies: Policies) -> None:
    count = _Counting.of(groups, _Series.of_all(groups, "host"))
    count.hosts.add_rows("", EVERY)
    for name in _HOST_VALUES:
        count.add_histogram(f".{name}", arrow.numbers(batch.column(name), null=math.nan))


_FILL: dict[RecordKind, Callable[[Groups, pa.RecordBatch, Policies], None]] = {
    RecordKind.CRASHES: _fill_crashes,
    RecordKind.LOGS: _fill_logs,
    RecordKind.HOSTS: _fill_hosts,
}


def _add_outcomes(
    groups: Groups, batch: pa.RecordBatch, policies: Policies, outcomes: Outcomes
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
        for unit, ids in ids_of(batch, policies).items():
            _add_outcome_units(groups, unit, ids, outcomes)


def _add_outcome_units(groups: Groups, unit: Unit, ids: Ids, outcomes: Outcomes) -> None:
    """Add to each group how many outcomes of each kind have an id, and their units."""
    has_id = EVERY if ids.is_known is None else ids.is_known[outcomes.rows]
    chosen, codes = outcomes.rows[has_id], outcomes.codes[has_id]
    of_row = groups.of_row[chosen]
    names = [f"{name}@{unit.value}" for name in outcomes.names]
    for group, code, count in _each(of_row, codes):
        groups.outcomes[group][names[code]] = count
    of_both = of_row * len(names) + codes
    for both, sketch in units.sketches(of_both, ids.hashes[chosen]):
        group, code = divmod(both, len(names))
        groups.outcome_units[group][names[code]] = sketch


def _each(numbers: Ints, values: Ints) -> zip[tuple[int, int, int]]:
    """Each distinct pair, and how often it occurs."""
    pairs = count_pairs(numbers, values)
    return zip(pairs.numbers.tolist(), pairs.values.tolist(), pairs.counts.tolist(), strict=True)
