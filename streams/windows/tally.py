"""Tallies: counters, histograms and distinct units that add up, whatever the order."""

from __future__ import annotations

from collections.abc import Iterable
from operator import mul
from typing import TypeVar

import msgspec

from contracts.results import Cell, SparseHistogram, Sums
from streams.windows import units

_K = TypeVar("_K")


class Tally(msgspec.Struct, array_like=True):
    """Additive counts; the sum of two tallies does not depend on their order."""

    counts: dict[str, int] = {}
    histograms: dict[str, dict[int, int]] = {}
    units: dict[str, bytes] = {}
    groups: dict[str, int] = {}
    squares: dict[str, int] = {}
    """Group to the sum of the squares of its counts, host by host and tick by tick."""

    def add_counts(self, cell: Cell) -> None:
        """Add counters and histograms of one cell in place, without its units and groups."""
        _add(self.counts, cell.counts.items())
        for name, sparse in cell.histograms.items():
            into = self.histograms.setdefault(name, {})
            _add(into, zip(sparse.bins, sparse.counts, strict=True))

    def add_cell(self, cell: Cell) -> None:
        """Add everything of one cell in place."""
        self.add_counts(cell)
        for name, sketch in cell.units.items():
            self.units[name] = units.union(self.units.get(name, units.NOTHING), sketch)
        _add(self.groups, cell.groups.items())
        _add(self.squares, ((name, count * count) for name, count in cell.groups.items()))

    def add(self, other: Tally) -> None:
        """Add another tally in place."""
        _add(self.counts, other.counts.items())
        for name, bins in other.histograms.items():
            _add(self.histograms.setdefault(name, {}), bins.items())
        for name, sketch in other.units.items():
            self.units[name] = units.union(self.units.get(name, units.NOTHING), sketch)
        _add(self.groups, other.groups.items())
        _add(self.squares, other.squares.items())

    def histogram(self, name: str) -> SparseHistogram:
        """One histogram in the form that travels, bins ascending; empty where there is none."""
        bins = self.histograms.get(name, {})
        ordered = sorted(bins)
        return SparseHistogram(ordered, [bins[b] for b in ordered])


class HostTally(msgspec.Struct, array_like=True):
    """What one host adds to the comparison of hosts: counters, and sums over each histogram."""

    counts: dict[str, int] = {}
    sums: dict[str, tuple[float, float, float]] = {}
    """Histogram to number of values, sum of their bins, sum of the squares of their bins."""

    def add_cell(self, cell: Cell) -> None:
        """Add one cell in place."""
        _add(self.counts, cell.counts.items())
        for name, sums in cell.sums.items():
            self._add_sums(name, sums)
        for name, sparse in cell.histograms.items():  # of an older worker, or of a policy's trial
            self._add_sums(name, _sums_of(sparse))

    def add(self, other: HostTally) -> None:
        """Add another one in place."""
        _add(self.counts, other.counts.items())
        for name, sums in other.sums.items():
            self._add_sums(name, sums)

    def _add_sums(self, name: str, sums: Sums | tuple[float, float, float]) -> None:
        n, first, second = self.sums.get(name, (0.0, 0.0, 0.0))
        self.sums[name] = (n + sums[0], first + sums[1], second + sums[2])


class Arm(msgspec.Struct, array_like=True):
    """One release in one stretch of time: by stratum for the evidence, by host for the placebo."""

    strata: dict[str, Tally] = {}
    hosts: dict[str, HostTally] = {}

    @classmethod
    def of_cells(cls, cells: Iterable[Cell]) -> Arm:
        """The sum of these cells."""
        arm = cls()
        for cell in cells:
            arm.add_cell(cell)
        return arm

    def add_cell(self, cell: Cell) -> None:
        """Add one cell in place."""
        self.strata.setdefault(cell.stratum, Tally()).add_cell(cell)
        if cell.host:
            self.hosts.setdefault(cell.host, HostTally()).add_cell(cell)

    def add(self, other: Arm) -> None:
        """Add another one in place."""
        for name, tally in other.strata.items():
            self.strata.setdefault(name, Tally()).add(tally)
        for name, host in other.hosts.items():
            self.hosts.setdefault(name, HostTally()).add(host)

    def total(self) -> Tally:
        """All strata together; not to be changed."""
        if len(self.strata) == 1:
            return next(iter(self.strata.values()))
        whole = Tally()
        for tally in self.strata.values():
            whole.add(tally)
        return whole

    def count(self, counter: str) -> int:
        """One counter over all strata."""
        return sum(tally.counts.get(counter, 0) for tally in self.strata.values())


def _sums_of(sparse: SparseHistogram) -> tuple[float, float, float]:
    weighted = list(map(mul, sparse.bins, sparse.counts))
    return (
        float(sum(sparse.counts)),
        float(sum(weighted)),
        float(sum(map(mul, sparse.bins, weighted))),
    )


def _add(into: dict[_K, int], items: Iterable[tuple[_K, int]]) -> None:
    for key, value in items:
        into[key] = into.get(key, 0) + value
