"""Made-up traffic of a service, as partials: for tests of the judge."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from contracts import histogram
from contracts.results import Cell, Partial, Source, SparseHistogram

SECOND_MS = 1000


@dataclass
class Traffic:
    """Two releases of one service, one agent each, one partial per release and second.

    Rates are per request; latency is lognormal around ``latency_ms``.
    """

    service: str = "checkout"
    seed: int = 7
    start: int = 1_700_000_000_000
    requests_per_s: dict[str, int] = field(default_factory=lambda: {"1.4.2": 80, "1.5.0": 20})
    error_rate: dict[str, float] = field(default_factory=dict)
    crash_rate: dict[str, float] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.offset = 0

    def second(self, number: int, releases: list[str] | None = None) -> list[Partial]:
        """Partials of second ``number`` since the start, in release order."""
        return [
            self._partial(self.start + number * SECOND_MS, release)
            for release in releases or list(self.requests_per_s)
            if self.requests_per_s[release]
        ]

    def _partial(self, tick: int, release: str) -> Partial:
        count = self.requests_per_s[release]
        bad = int(self.random.binomial(count, self.error_rate.get(release, 0.01)))
        crashes = int(self.random.binomial(count, self.crash_rate.get(release, 0.001)))
        times = self.latency_ms.get(release, 50.0) * self.random.lognormal(0, 0.5, count)
        bins, counts = np.unique(histogram.bins_of(times), return_counts=True)
        self.offset += 1
        cell = Cell(
            tick=tick,
            release=release,
            host=f"host-{release}",
            last=tick + 999,
            first_bad=tick + 500 if bad or crashes else None,
            counts={"request": count, "request.bad": bad, "crash": crashes},
            histograms={"request.duration_ms": SparseHistogram(bins.tolist(), counts.tolist())},
        )
        return Partial(
            service=self.service,
            agent=f"agent-{release}",
            source=Source(topic="coalmine.events", partition=0, offset=self.offset),
            sent_at=tick + 1200,
            cells=[cell],
        )
