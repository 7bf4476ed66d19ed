"""Made-up traffic of a test, second by second: counts that add up exactly to what was said.

Nothing is drawn at random: failures are spread evenly, values lie at even quantiles of a lognormal
distribution (σ = 0.5) around their median. The same test gives the same evidence for ever.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from coalmine.policies.cases import Given
from coalmine.policies.loads import Arm, Loads, Median, Part, Rate, Told
from contracts import histogram
from contracts.errors import ConfigError
from contracts.policy import Policy
from contracts.results import Cell, SparseHistogram
from streams.windows.grouping import TICK_MS

AGENT = "test"
_GOLDEN = 0.6180339887498949
_SIGMA = 0.5


class Scenario:
    """One test's traffic; it goes on from where the last call left it.

    Raises:
        ConfigError: what is given does not fit the policy.
    """

    def __init__(self, policy: Policy, given: Given, *, source: str, field: str) -> None:
        self._loads = Loads(policy, given, source=source, field=field)
        self._phases = {phase.name: phase for phase in policy.phases}
        self._given = given
        self._where = (source, f"{field}.share")
        self._owed: dict[tuple[Arm, str], float] = defaultdict(lambda: 0.5)
        self._drawn: dict[tuple[Arm, str], int] = defaultdict(int)

    def cells(self, tick: int, elapsed_s: float, phase: str, *, has_canary: bool) -> list[Cell]:
        """What both arms did from ``tick`` on, for as long as a look lasts, in its last second.

        Args:
            tick: epoch milliseconds.
            elapsed_s: the same since the start of the rollout; below 0 before it.
            phase: that the rollout is in.
            has_canary: whether the canary gets traffic at all.
        """
        share = self._share(phase) if has_canary else 0.0
        return [
            self._cell(arm, tick, self._loads.told(arm, phase, elapsed_s), of_it)
            for arm, of_it in ((Arm.BASELINE, 1 - share), (Arm.CANARY, share))
            if has_canary or arm is Arm.BASELINE
        ]

    def _share(self, phase: str) -> float:
        exposure = self._phases[phase].exposure
        share = exposure if self._given.share is None else self._given.share
        if share is None and any(layer.both for layer in self._loads.layers):
            source, field = self._where
            expected = f"expected the canary's share: phase {phase} says no exposure"
            raise ConfigError(source, expected, field=field)
        return share or 0.0

    def _cell(self, arm: Arm, tick: int, told: dict[str, Told], share: float) -> Cell:
        counts: dict[str, int] = {}
        groups: dict[str, int] = {}
        for name, (value, is_shared) in told.items():
            if isinstance(value, Rate):
                rate = value.per_s * (share if is_shared else 1.0)
                _into(name, counts, groups)[name] = self._due(arm, name, rate * self._given.every)
        for name, (value, _) in told.items():
            if isinstance(value, Part):
                due = self._due(arm, name, value.share * counts.get(value.of, 0))
                _into(name, counts, groups)[name] = due
        failed = sum(counts.get(name, 0) for name in self._loads.bad) + sum(groups.values())
        for name, count in groups.items():
            base = name.split("/")[0]
            counts[base] = counts.get(base, 0) + count
        end = tick + round(self._given.every * 1000)
        return Cell(
            tick=end - TICK_MS,
            release=arm.value,
            agent=AGENT,
            last=end - 1,
            first_bad=tick if failed else None,
            counts=counts,
            groups={name: count for name, count in groups.items() if count},
            titles={name: name.split("/", 1)[1] for name in groups},
            histograms={
                name: self._values(arm, name, value, counts.get(value.of, 0))
                for name, (value, _) in told.items()
                if isinstance(value, Median)
            },
        )

    def _due(self, arm: Arm, name: str, amount: float) -> int:
        """Whole ones out of an amount; the fraction is owed to the next time."""
        owed = self._owed[arm, name] + amount
        whole = int(owed)
        self._owed[arm, name] = owed - whole
        return whole

    def _values(self, arm: Arm, name: str, median: Median, count: int) -> SparseHistogram:
        first = self._drawn[arm, name]
        self._drawn[arm, name] += count
        at = (np.arange(first, first + count) * _GOLDEN + 0.5) % 1.0
        values: npt.NDArray[np.float64] = median.value * np.exp(
            _SIGMA * ndtri(np.clip(at, 1e-6, 1 - 1e-6))
        )
        bins, counts = np.unique(histogram.bins_of(values), return_counts=True)
        return SparseHistogram(bins.tolist(), counts.tolist())


def _into(name: str, counts: dict[str, int], groups: dict[str, int]) -> dict[str, int]:
    return groups if "/" in name else counts
