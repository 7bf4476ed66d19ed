"""Made-up traffic of a service, as partials: for tests of the judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from contracts import histogram
from contracts.results import Cell, Partial, Source, SparseHistogram
from streams.windows.tally import HostTally, Tally

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
    routes: dict[str, dict[str, float]] = field(default_factory=dict)
    """Release to the share of each route; ``/buy`` fails ten times as often as the others."""
    groups: dict[str, dict[str, float]] = field(default_factory=dict)
    """Release to the rate of each crash group, or log template, per request."""
    burst: int = 1
    """How many outcomes of a group come together on a host."""
    hosts: int = 1
    """How many hosts each release runs on; their error rates differ by ``host_sd``."""
    host_sd: float = 0.0
    flag: str = ""
    """Where given, the names are variants of this flag in the one release ``2.0.0``."""

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.offset = 0
        self._factors: dict[str, float] = {}

    def second(self, number: int, releases: list[str] | None = None) -> list[Partial]:
        """Partials of second ``number`` since the start, in release order."""
        return [
            self._partial(self.start + number * SECOND_MS, release)
            for release in releases or list(self.requests_per_s)
            if self.requests_per_s[release]
        ]

    def _partial(self, tick: int, release: str) -> Partial:
        self.offset += 1
        shares = self.routes.get(release, {"": 1.0})
        return Partial(
            service=self.service,
            source=Source(topic="coalmine.events", partition=0, offset=self.offset),
            sent_at=tick + 1200,
            cells=together(
                self._cell(tick, release, route, share, f"host-{release}-{number}")
                for route, share in shares.items()
                for number in range(self.hosts)
            ),
        )

    def _cell(self, tick: int, release: str, route: str, share: float, host: str) -> Cell:
        count = round(self.requests_per_s[release] * share / self.hosts)
        harder = 10 if route == "/buy" else 1
        error_rate = self.error_rate.get(release, 0.01) * harder * self._factor_of(host)
        bad = int(self.random.binomial(count, error_rate))
        crashes = int(self.random.binomial(count, self.crash_rate.get(release, 0.001)))
        times = self.latency_ms.get(release, 50.0) * self.random.lognormal(0, 0.5, count)
        bins, counts = np.unique(histogram.bins_of(times), return_counts=True)
        return Cell(
            tick=tick,
            release="2.0.0" if self.flag else release,
            arm=f"{self.flag}:{release}" if self.flag else "",
            host=host,
            agent=f"agent-{release}",
            stratum=route,
            last=tick + 999,
            first_bad=tick + 500 if bad or crashes else None,
            counts={
                "request": count,
                "request.bad": bad,
                "request.status.200": count - bad,
                "request.status.500": bad,
                "crash": crashes,
            },
            groups=(found := self._groups(release, count)),
            titles={name: f"title of {name}" for name in found},
            histograms={"request.duration_ms": SparseHistogram(bins.tolist(), counts.tolist())},
        )

    def _groups(self, release: str, count: int) -> dict[str, int]:
        drawn = {
            name: self.burst * int(self.random.binomial(count, rate / self.burst))
            for name, rate in self.groups.get(release, {}).items()
        }
        return {name: number for name, number in drawn.items() if number}

    def _factor_of(self, host: str) -> float:
        if not self.host_sd:
            return 1.0
        if host not in self._factors:
            self._factors[host] = float(np.exp(self.random.normal(0, self.host_sd)))
        return self._factors[host]


def together(cells: Iterable[Cell]) -> list[Cell]:
    """These cells of hosts, with what nobody asks of single ones told of all of them together."""
    told, families = list(cells), dict[tuple[int, str, str, str], Tally]()
    for cell in told:
        family = families.setdefault((cell.tick, cell.release, cell.arm, cell.stratum), Tally())
        host = HostTally()
        host.add_cell(msgspec.structs.replace(cell, counts={}))
        others = {name: count for name, count in cell.counts.items() if ".status." in name}
        family.add_cell(msgspec.structs.replace(cell, counts=others, groups={}))
        cell.counts = {name: count for name, count in cell.counts.items() if name not in others}
        cell.sums = {
            name: (int(n), int(one), int(two)) for name, (n, one, two) in host.sums.items()
        }
        cell.histograms, cell.units = {}, {}
    return told + [
        Cell(
            tick=tick,
            release=release,
            arm=arm,
            stratum=stratum,
            last=tick,
            is_of_all_hosts=True,
            counts=tally.counts,
            histograms={name: tally.histogram(name) for name in tally.histograms},
            units=tally.units,
        )
        for (tick, release, arm, stratum), tally in families.items()
    ]
