"""Latency tables of the evidence benchmark."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.stats import norm

from contracts.histogram import bins_of
from contracts.results import SparseHistogram
from streams.judge import distribution

SLOWDOWNS = (
    ("all × 1.05", 1.0, 1.05),
    ("all × 1.2", 1.0, 1.2),
    ("5 % × 3", 0.05, 3.0),
    ("1 % × 10", 0.01, 10.0),
    ("0.2 % × 10", 0.002, 10.0),
)
MEDIAN, SIGMA = 4.0, 0.5


def histogram(values: np.ndarray) -> SparseHistogram:
    """Values in their bins."""
    found, counts = np.unique(bins_of(values), return_counts=True)
    return SparseHistogram(found.tolist(), counts.tolist())


def bound(part: float, factor: float, share: float, alpha: float) -> float:
    """Values of both arms that any test needs on average, log-normal latencies."""
    x = np.linspace(MEDIAN - 8 * SIGMA, MEDIAN + 16 * SIGMA, 40_001)
    baseline = norm.pdf(x, MEDIAN, SIGMA)
    canary = (1 - part) * baseline + part * norm.pdf(x, MEDIAN + np.log(factor), SIGMA)
    mixture = share * canary + (1 - share) * baseline + 1e-300

    def divergence(density: np.ndarray) -> float:
        terms = np.where(density > 1e-200, density * np.log(density / mixture + 1e-300), 0)
        return float(terms.sum() * (x[1] - x[0]))

    information = share * divergence(canary) + (1 - share) * divergence(baseline)
    return float(-np.log(alpha) / information)


def latency_errors(scale: float) -> Iterable[list[str]]:
    """Equal arms, α = 5 %: rollbacks and missed intervals, ever."""
    runs = max(int(500 * scale), 10)
    for seed, (name, share) in enumerate(
        (("share 50 %", 0.5), ("share 10 %", 0.1), ("drift, ramp 5→50 %", None))
    ):
        rng = np.random.default_rng([20, seed])
        rolled_back = np.zeros(runs, bool)
        missed = np.zeros(runs, bool)
        for run in range(runs):
            state = distribution.new(tolerance=0.0, harm=0.5)
            for window in range(40):
                part = share or (0.05 if window < 20 else 0.5)
                drift = 1.0 if share else 1.03**window
                canary, baseline = (
                    histogram(rng.lognormal(MEDIAN, SIGMA, int(200 * p)) * drift)
                    for p in (part, 1 - part)
                )
                state = distribution.add(state, canary, baseline)
                found = distribution.look(state, alpha=0.05)
                rolled_back[run] |= found.log_evidence >= np.log(20)
                missed[run] |= (found.lower or 0) > 1 or (found.upper or 9) < 1
        yield [
            name,
            str(runs),
            f"{100 * rolled_back.mean():.1f} %",
            f"{100 * missed.mean():.1f} %",
        ]


def latency_delays(scale: float) -> Iterable[list[str]]:
    """Median number of values until α = 1 %, divided by the bound."""
    runs = max(int(420 * scale), 5)
    for seed, (name, part, factor) in enumerate(SLOWDOWNS):
        row = [name]
        for share in (0.5, 0.1):
            rng = np.random.default_rng([21, seed, int(100 * share)])
            needed = bound(part, factor, share, 0.01)
            times = [_delay(rng, part, factor, share, needed) for _ in range(runs)]
            row.append(f"{np.median(times) / needed:.2f}")
        yield row


def _delay(
    rng: np.random.Generator, part: float, factor: float, share: float, needed: float
) -> float:
    size = needed / 25
    state = distribution.new(tolerance=0.0, harm=0.5)
    for window in range(1, 150):
        canary = rng.lognormal(MEDIAN, SIGMA, max(int(size * share), 1))
        canary = np.where(rng.random(len(canary)) < part, canary * factor, canary)
        baseline = rng.lognormal(MEDIAN, SIGMA, max(int(size * (1 - share)), 1))
        state = distribution.add(state, histogram(canary), histogram(baseline))
        if distribution.look(state, alpha=0.01).log_evidence >= np.log(100):
            return window * size
    return np.inf
