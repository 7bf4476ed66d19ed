"""One evidence per rollout out of the evidence of its metrics.

Idea. An average of e-processes with fixed weights is an e-process again, for the hypothesis that
no metric got worse, whatever the dependence between the metrics: crashes, errors and latency of
the same requests may be judged together without a correction. Promotion needs every metric: its
evidence is the smallest one (intersection–union), valid at β without a correction.

Formula. ``log E = log Σ_i w_i E_i`` with ``Σ w_i = 1``; promotion ``min_i log E'_i``. Metric i
alone is found worse, family-wise at α, when ``E_i ≥ 1/(α w_i)``, and then so is the rollout.

Assumptions. The weights are set before the data are seen.

Guarantee. If every metric is within its tolerance, ``P(E ever reaches 1/α) ≤ α``; if at least one
is as bad as its harm, the promotion evidence reaches 1/β with probability at most β.

Not good at. Naming every guilty metric: it names the one with the largest share of the evidence.

Units. Natural logarithms; weights have no unit, only their proportions count.

References: Vovk & Wang, Annals of Statistics 2021 (averages of e-values); Berger 1982.

>>> logs, weights = [9.0, 1.0, -300.0], [1.0, 1.0, 2.0]
>>> round(log_average(logs, weights), 2), guilty(logs, weights), log_minimum(logs)
(7.61, 0, -300.0)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def log_averages(logs: npt.ArrayLike, weights: npt.ArrayLike) -> Floats:
    """Log of the weighted average of e-values, for many rollouts at once; never overflows.

    Args:
        logs: log evidence of each metric, shape (..., m), m ≥ 1.
        weights: above 0, shape (m,); only their proportions count.

    Returns:
        Shape (...).
    """
    parts = np.asarray(weights, dtype=np.float64)
    weighted = np.asarray(logs, dtype=np.float64) + np.log(parts / parts.sum())
    highest = weighted.max(axis=-1)
    result: Floats = highest + np.log(np.exp(weighted - highest[..., None]).sum(axis=-1))
    return result


def log_average(logs: Sequence[float], weights: Sequence[float]) -> float:
    """Log evidence of one rollout; as ``log_averages``, shapes (m,)."""
    return float(log_averages(logs, weights))


def log_minimum(logs: Sequence[float]) -> float:
    """Promotion evidence of one rollout: the least of its metrics', shape (m,), m ≥ 1."""
    return min(logs)


def guilty(logs: Sequence[float], weights: Sequence[float]) -> int | None:
    """Index of the metric with most of the evidence; ``None`` if none speaks for harm."""
    if max(logs) <= 0:
        return None
    return int(np.argmax(np.asarray(logs) + np.log(weights)))


def metric_thresholds(weights: Sequence[float], *, alpha: float) -> list[float]:
    """Log evidence at which each metric alone is found worse, family-wise at alpha; shape (m,)."""
    total = sum(weights)
    return [float(-np.log(alpha * weight / total)) for weight in weights]
