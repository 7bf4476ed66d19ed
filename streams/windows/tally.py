"""A tally: counters and histograms that add up, whatever the order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from contracts.results import Cell, SparseHistogram

_K = TypeVar("_K")


class Tally(msgspec.Struct, array_like=True):
    """Additive counts; the sum of two tallies does not depend on their order."""

    counts: dict[str, int] = {}
    histograms: dict[str, dict[int, int]] = {}

    def add_cell(self, cell: Cell) -> None:
        """Add the counts of one cell in place."""
        _add(self.counts, cell.counts.items())
        for name, sparse in cell.histograms.items():
            into = self.histograms.setdefault(name, {})
            _add(into, zip(sparse.bins, sparse.counts, strict=True))

    def add(self, other: Tally) -> None:
        """Add another tally in place."""
        _add(self.counts, other.counts.items())
        for name, bins in other.histograms.items():
            _add(self.histograms.setdefault(name, {}), bins.items())

    def histogram(self, name: str) -> SparseHistogram:
        """One histogram in the form that travels, bins ascending; empty where there is none."""
        bins = self.histograms.get(name, {})
        ordered = sorted(bins)
        return SparseHistogram(ordered, [bins[b] for b in ordered])


def _add(into: dict[_K, int], items: Iterable[tuple[_K, int]]) -> None:
    for key, value in items:
        into[key] = into.get(key, 0) + value
