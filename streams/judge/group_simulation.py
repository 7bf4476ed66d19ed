"""Simulated rollouts with many crash groups or log templates: how soon, and how often wrongly.

Idea. Draw the outcomes of every group of many rollouts, window by window, and look after each one
as ``groups.py`` does, with the same grid, weights and evidence.

Assumptions. Outcomes are Poisson given rate and exposures; groups have rates of their own.

Units. As in ``simulation.py``.

>>> rng = np.random.default_rng(1)
>>> crowd = Crowd(rates=np.full(50, 1e-4), known=40, worse={49: 50.0})
>>> found = judge(rng, crowd, runs=20, windows=60, share=0.1, exposures=2_000, tolerance=0.1)
>>> bool((found.crossed(math.log(100)) > 0).all()), set(found.guilty.tolist())
(True, {49})
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.judge import groups, ratio
from streams.judge.ratio import Floats


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """The groups of one service."""

    rates: npt.NDArray[np.float64]
    """Outcomes of each group per exposure of the baseline, shape (g,)."""
    known: int
    """The first so many were known before the rollout."""
    worse: Mapping[int, float] = field(default_factory=dict)
    """Group to its rate in the canary, divided by that in the baseline."""
    only_canary: Mapping[int, float] = field(default_factory=dict)
    """Group to its rate in the canary, where the baseline has none of it."""
    ratio: float = 1.0
    """The same of all other groups."""


class Judged(NamedTuple):
    """Log evidence after each window (windows, runs), and what was behind it at the end."""

    log_evidence: Floats
    guilty: npt.NDArray[np.int64]
    """The group with most evidence at the end, shape (runs,)."""
    outcomes: npt.NDArray[np.float64]
    """Outcomes of the groups that are worse, up to each window, shape (windows, runs)."""

    def crossed(self, level: float) -> npt.NDArray[np.int64]:
        """The window, from 1, at which the evidence first reached a level; 0 if never."""
        reached = self.log_evidence >= level
        return np.where(reached.any(axis=0), reached.argmax(axis=0) + 1, 0)


def judge(
    rng: np.random.Generator,
    crowd: Crowd,
    *,
    runs: int,
    windows: int,
    share: float,
    exposures: float,
    tolerance: float,
) -> Judged:
    """Judge so many rollouts, with a look after each window.

    Args:
        rng: seeded by the caller.
        crowd: the groups, and which of them got worse.
        runs: rollouts.
        windows: looks.
        share: the canary's share of the exposures.
        exposures: expected per window, both arms together.
        tolerance: relative harm that is accepted.
    """
    count = len(crowd.rates)
    grid = groups.grid_of(tolerance)
    likelihoods = np.zeros((runs, count, grid.nulls.start))
    numbers = np.zeros((runs, count), np.int64)
    has_come = np.zeros((runs, count), np.bool_)
    of_canary, of_baseline = _rates(crowd)
    changed = sorted({*crowd.worse, *crowd.only_canary})
    found, outcomes, total = [], [], np.zeros(runs)
    weighted = np.zeros((runs, count))
    for _ in range(windows):
        canary = np.maximum(rng.poisson(share * exposures, (runs, 1)), 1)
        baseline = np.maximum(rng.poisson((1 - share) * exposures, (runs, 1)), 1)
        bad = rng.poisson(canary * of_canary), rng.poisson(baseline * of_baseline)
        likelihoods += ratio.log_likelihoods(
            grid.ratios[: grid.nulls.start],
            canary_bad=bad[0],
            baseline_bad=bad[1],
            canary_exposures=canary,
            baseline_exposures=baseline,
        )
        has_come |= bad[0] + bad[1] > 0
        _number_new(numbers, has_come, crowd.known)
        weights = groups.weights_of(numbers, known=crowd.known)
        weights = np.where(has_come, weights, 1e-300)
        logs = ratio.evidence(likelihoods, grid)[0]
        weighted = logs + np.log(weights)
        total = total + (bad[0] + bad[1])[:, changed].sum(axis=1)
        outcomes.append(total)
        found.append(groups.together(logs, weights))
    return Judged(np.array(found), weighted.argmax(axis=1), np.array(outcomes))


def bound(*, share: float, tolerance: float, alpha: float) -> float:
    """Outcomes of a group that only the canary has, before which no test can tell.

    Each says ``log(1/φ)`` at most, φ being the share of the outcomes that the canary would have at
    the worst accepted ratio.
    """
    null = 1 + tolerance
    expected = null * share / (null * share + 1 - share)
    return math.log(1 / alpha) / math.log(1 / expected)


def _rates(crowd: Crowd) -> tuple[Floats, Floats]:
    canary, baseline = crowd.rates * crowd.ratio, crowd.rates.copy()
    for group, factor in crowd.worse.items():
        canary[group] = crowd.rates[group] * factor
    for group, rate in crowd.only_canary.items():
        canary[group], baseline[group] = rate, 0.0
    return canary, baseline


def _number_new(
    numbers: npt.NDArray[np.int64], has_come: npt.NDArray[np.bool_], known: int
) -> None:
    """Number the new groups that have come, in place, in order of appearance."""
    is_fresh = has_come & (numbers == 0)
    is_fresh[:, :known] = False
    already = numbers.max(axis=1, keepdims=True)
    numbers += np.where(is_fresh, already + np.cumsum(is_fresh, axis=1), 0)
