"""Is the canary's rate of bad outcomes so low that nothing need be compared?

Idea. Two releases that never fail cannot be told apart by where failures fall. But exposures
without failures show by themselves that the rate is low, and a rate below the policy's
``negligible_rate`` harms nobody, whatever multiple of the baseline's it is.

Formula. With S bad outcomes in n exposures of the canary and the limit p,
``E = mean_u u^S exp((1 − u)·p·n)`` over guesses u of (rate / p). Promotion evidence of the metric:
``(1 − w)·E_ratio + w·E``, w = 0.1.

Assumptions. Bad outcomes are independent given the windows' rates, Bernoulli or Poisson.

Guarantee. If the rate is never below p, ``P(E ever reaches 1/β) ≤ β``: a factor's expectation is
at most ``exp((1 − u)·(p − rate)·n) ≤ 1``. So the average with the ratio's promotion evidence errs
with probability at most β where the canary is worse by the harm *and* its rate is not negligible.

Not good at. Rates near the limit: about 7/p exposures are needed even if nothing ever fails.

Units. Counts of one arm; evidence is a natural logarithm.

>>> bool(log_evidence(0, 70_000, 1e-4) > np.log(1 / (0.05 * WEIGHT)))
True
>>> bool(log_evidence(7, 70_000, 1e-4) < 0)
True
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streams.judge import combine

Floats = npt.NDArray[np.float64]

GUESSES = np.array([0.02, 0.1, 0.25, 0.5])
WEIGHT = 0.1
"""Its part of the promotion evidence: what the ratio's part loses by it is log(1/0.9)."""


def log_evidence(bad: npt.ArrayLike, exposures: npt.ArrayLike, limit: float) -> Floats:
    """Log evidence that the rate is below ``limit``.

    Args:
        bad: bad outcomes so far, shape (...).
        exposures: likewise.
        limit: rate above 0, bad outcomes per exposure.

    Returns:
        Shape (...).
    """
    failed = np.asarray(bad, dtype=np.float64)[..., None]
    expected = np.asarray(exposures, dtype=np.float64)[..., None] * limit
    logs = failed * np.log(GUESSES) + (1 - GUESSES) * expected
    return combine.log_averages(logs, np.ones(len(GUESSES)))


def log_promotion(
    of_ratio: npt.ArrayLike, bad: npt.ArrayLike, exposures: npt.ArrayLike, limit: float
) -> Floats:
    """Promotion evidence of a metric out of the ratio's and this one, all of shape (...)."""
    if not limit:
        return np.asarray(of_ratio, dtype=np.float64)
    both = np.stack(
        np.broadcast_arrays(
            np.asarray(of_ratio, dtype=np.float64), log_evidence(bad, exposures, limit)
        ),
        axis=-1,
    )
    return combine.log_averages(both, [1 - WEIGHT, WEIGHT])
