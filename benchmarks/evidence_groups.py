"""Many crash groups and log templates: rollbacks for nothing, and the delay of a new crash."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from streams.judge import group_simulation
from streams.judge.group_simulation import Crowd

ALPHA, TOLERANCE = 0.01, 0.1
CHUNK = 50
"""Rollouts at once: those of 2,000 groups take a quarter of a gigabyte."""
KNOWN_SHARE = 0.9
PART = 0.5 / 4
"""Part of the default policy's weights that one of its metrics of groups has."""


def zipf(count: int, total: float) -> np.ndarray:
    """Rates of so many groups, the k-th a k-th as frequent as the first, together ``total``."""
    rates = 1.0 / np.arange(1, count + 1)
    # known and new ones of all frequencies
    return np.random.default_rng(count).permutation(rates / rates.sum() * total)


def many_groups(scale: float) -> Iterable[list[str]]:
    """A/A at the worst accepted ratio: rollouts that any of the groups would have rolled back."""
    runs = max(int(1_000 * scale), CHUNK)
    settings = [("2,000 log templates", 2_000, 0.5), ("200 crash groups", 200, 0.01)]
    for seed, (name, count, total) in enumerate(settings):
        for share in (0.05, 0.5):
            crowd = Crowd(
                rates=zipf(count, total), known=int(KNOWN_SHARE * count), ratio=1 + TOLERANCE
            )
            rng = np.random.default_rng([30, seed, int(100 * share)])
            alone = whole = 0
            for _ in range(runs // CHUNK):
                found = _judge(rng, crowd, runs=CHUNK, windows=100, share=share, exposures=1_000)
                alone += int((found.crossed(math.log(1 / ALPHA)) > 0).sum())
                whole += int((found.crossed(math.log(1 / (ALPHA * PART))) > 0).sum())
            yield [name, f"{share:.0%}", f"{runs:,}", _percent(alone, runs), _percent(whole, runs)]


def one_new_crash(scale: float) -> Iterable[list[str]]:
    """One crash in 0.05 % of the canary's requests, among 50 known ones: named, and how soon."""
    runs = max(int(1_000 * scale), 20)
    for share in (0.01, 0.05, 0.1, 0.5):
        rates = np.append(zipf(50, 0.01), 0.0)
        crowd = Crowd(rates=rates, known=50, only_canary={50: 0.0005})
        exposures = 0.2 / (share * 0.0005)
        rng = np.random.default_rng([31, int(100 * share)])
        found = _judge(rng, crowd, runs=runs, windows=120, share=share, exposures=exposures)
        needed = group_simulation.bound(share=share, tolerance=TOLERANCE, alpha=ALPHA)
        row = [f"{share:.0%}", f"{needed:.1f}"]
        for level in (math.log(1 / ALPHA), math.log(1 / (ALPHA * PART))):
            at = found.crossed(level)
            crashes = found.outcomes[np.maximum(at, 1) - 1, np.arange(runs)]
            median = float(np.median(np.where(at > 0, crashes, np.inf)))
            row += [f"{median:.0f}", f"{median / max(math.ceil(needed), 1):.2f}"]
        yield [*row, f"{100 * float((found.guilty == 50).mean()):.1f} %"]


def _judge(rng: np.random.Generator, crowd: Crowd, **traffic: float) -> group_simulation.Judged:
    return group_simulation.judge(rng, crowd, tolerance=TOLERANCE, **traffic)  # type: ignore[arg-type]


def _percent(hits: int, runs: int) -> str:
    share = hits / runs
    return f"{100 * share:.2f} % ± {100 * (share * (1 - share) / runs) ** 0.5:.2f}"
