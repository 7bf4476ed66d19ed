"""Placebo: how much do the baseline's own hosts differ, so that no release can be blamed for it?

Idea. Compare baseline hosts with baseline hosts. What they differ by beyond chance, a canary host
differs by as well, whatever runs on it. A tolerance below that blames the release for its host.

Formula. Per host i the events e_i that were expected if all hosts were alike, and those that came,
b_i: ``Q = Σ (b_i − e_i)²/e_i`` has mean k − 1 if they are; the excess gives the variance of the
hosts' log rates, ``τ² = (Q − (k−1)) / (Σe − Σe²/Σe)`` (DerSimonian & Laird). Values instead of
counts: the mean logarithm of each host, with weights n_i/σ². A canary on h hosts beside k then
differs by ``τ·sqrt(1/h + 1/k)``, and the tolerance is the prediction limit of that difference,
``exp(t · τ·sqrt(1/h + 1/k)) − 1``, t the quantile 1 − α/2 of Student's t with k − 1 degrees.

Assumptions. The hosts' log rates scatter normally, the canary's hosts as the baseline's.

Guarantee. With that, the chance that the difference between hosts exceeds the tolerance is at most
α/2 once τ is known well; measured false rollbacks stand in ``docs/evidence.md``.

Not good at. Two hosts tell nothing about their scatter: three are needed. With three or four the
limit is wide: that is what so few hosts know.

Units. Rates per exposure; values as bins of 2 % (``contracts.histogram``); tolerance is relative.

Reference: DerSimonian & Laird, Controlled Clinical Trials 1986.

>>> rng = np.random.default_rng(1)
>>> rates = 0.02 * np.exp(rng.normal(0, 0.1, 9))
>>> hosts = [(float(rng.poisson(100_000 * rate)), 100_000.0) for rate in rates]
>>> found = of_rates(hosts, canary_hosts=1, alpha=0.01)
>>> found.hosts, 0.05 < found.sd < 0.15, 0.2 < found.tolerance < 0.8
(9, True, True)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from contracts import histogram
from contracts.results import Placebo

Floats = npt.NDArray[np.float64]

MIN_HOSTS = 3
SIGNIFICANT = 0.3
"""The hosts' scatter counts when chance alone gives as much in fewer than three of ten cases."""
LOG_MAX = 3.0
"""Logarithm of the largest ratio that hosts may explain."""
_LOG_WIDTH = float(np.log1p(histogram.RELATIVE_WIDTH))


class Scatter(NamedTuple):
    """Of many rollouts, shape (...): sd of the hosts' log rates beyond chance, and tolerance."""

    sd: Floats
    tolerance: Floats


def of_rates(
    hosts: Iterable[tuple[float, float]], *, canary_hosts: int, alpha: float
) -> Placebo | None:
    """Placebo of a ratio metric.

    Args:
        hosts: bad outcomes and exposures of each baseline host.
        canary_hosts: on how many hosts the canary runs.
        alpha: false-rollback rate.

    Returns:
        ``None`` where fewer than three hosts have exposures, or nothing bad happened.
    """
    table = np.array([(bad, seen) for bad, seen in hosts if seen > 0], np.float64).reshape(-1, 2)
    bad, seen = table.T
    if len(table) < MIN_HOSTS or not bad.sum():
        return None
    found = scatter_of_rates(bad, seen, canary_hosts=canary_hosts, alpha=alpha)
    return Placebo(hosts=len(table), sd=float(found.sd), tolerance=float(found.tolerance))


def scatter_of_rates(
    bad: npt.ArrayLike, exposures: npt.ArrayLike, *, canary_hosts: int, alpha: float
) -> Scatter:
    """Scatter of the hosts' rates, for many rollouts at once.

    Args:
        bad: bad outcomes of each baseline host, shape (..., k), k ≥ 3.
        exposures: above 0, shape (..., k).
        canary_hosts: on how many hosts the canary runs.
        alpha: false-rollback rate.
    """
    seen_bad, seen = np.asarray(bad, np.float64), np.asarray(exposures, np.float64)
    rate = seen_bad.sum(axis=-1, keepdims=True) / seen.sum(axis=-1, keepdims=True)
    expected = np.maximum(seen * rate, 1e-12)
    excess = ((seen_bad - expected) ** 2 / expected).sum(axis=-1)
    return _scatter(excess, expected, canary_hosts=canary_hosts, alpha=alpha)


def of_values(
    hosts: Iterable[tuple[float, float, float]], *, canary_hosts: int, alpha: float
) -> Placebo | None:
    """Placebo of a distribution metric.

    Args:
        hosts: number of values, sum of their bins and of the bins' squares, of each baseline host.
        canary_hosts: on how many hosts the canary runs.
        alpha: false-rollback rate.

    Returns:
        ``None`` where fewer than three hosts have two values or more.
    """
    table = np.array([host for host in hosts if host[0] > 1], np.float64).reshape(-1, 3)
    if len(table) < MIN_HOSTS:
        return None
    n, first, second = table.T
    means = first / n * _LOG_WIDTH
    scatter = (second - first**2 / n).sum() / (n.sum() - len(n)) * _LOG_WIDTH**2
    weights = n / max(float(scatter), _LOG_WIDTH**2)
    excess = (weights * (means - np.average(means, weights=weights)) ** 2).sum()
    found = _scatter(excess, weights, canary_hosts=canary_hosts, alpha=alpha)
    return Placebo(hosts=len(table), sd=float(found.sd), tolerance=float(found.tolerance))


def _scatter(excess: Floats, weights: Floats, *, canary_hosts: int, alpha: float) -> Scatter:
    count = weights.shape[-1]
    total = weights.sum(axis=-1)
    variance = (excess - (count - 1)) / (total - (weights**2).sum(axis=-1) / total)
    is_chance = excess < _chance_limit(count - 1)
    sd: Floats = np.where(is_chance, 0.0, np.sqrt(np.maximum(variance, 0.0)))
    spread = sd * np.sqrt(1 / max(canary_hosts, 1) + 1 / count)
    limit = np.expm1(np.minimum(_student_limit(count - 1, alpha) * spread, LOG_MAX))
    return Scatter(sd, limit)


@lru_cache(maxsize=1024)
def _chance_limit(degrees: int) -> float:
    return float(special.chdtri(degrees, SIGNIFICANT))


@lru_cache(maxsize=1024)
def _student_limit(degrees: int, alpha: float) -> float:
    return float(special.stdtrit(degrees, 1 - alpha / 2))
