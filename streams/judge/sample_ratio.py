"""Sample ratio: do the arms get the share of exposures that the router was told to give them?

Idea. A canary whose sessions are lost (they crash before they report, or a router leaks) looks
healthy because its worst sessions are missing. If the realised share departs from the configured
one, no verdict can be trusted: the judge says so and decides nothing.

Formula. Counts S of d arms, n their sum, configured shares p, a = κp:
``log E = lnΓ(Σa) − lnΓ(Σa+n) + Σ[lnΓ(a_i+S_i) − lnΓ(a_i)] − Σ S_i log p_i``.

Assumptions. Exposures are routed independently with fixed shares: count sessions or users, not
the requests of sticky sessions. A new phase has new shares: start it anew, multiply the phases.

Guarantee. If the shares are as configured, ``P(E ever reaches 1/α) ≤ α``; α = 0.001 is usual.

Not good at. Routers that round robin or drift on purpose: their shares are only approximate.

Units. Counts; evidence is a natural logarithm.

Reference: Lindon & Malek, NeurIPS 2022.

>>> float(log_evidence(np.array([500, 9_500]), np.array([0.05, 0.95]))) < 0
True
>>> bool(is_mismatch(np.array([370, 9_630]), np.array([0.05, 0.95]), alpha=0.001))
True
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Floats = npt.NDArray[np.float64]

CONCENTRATION = 50.0
"""κ: how close to the configured shares the alternatives are; 10 to 100 do."""


def log_evidence(
    counts: npt.ArrayLike, shares: npt.ArrayLike, *, concentration: float = CONCENTRATION
) -> Floats:
    """Evidence that the exposures do not have the configured shares.

    Args:
        counts: exposures of each arm so far, shape (..., d).
        shares: configured shares, above 0, shape (d,); normalised here.
        concentration: κ above.

    Returns:
        Natural logarithm, shape (...); 0 without exposures.
    """
    seen = np.asarray(counts, dtype=np.float64)
    null = np.asarray(shares, dtype=np.float64)
    null = null / null.sum()
    prior = concentration * null
    result: Floats = (
        gammaln(concentration)
        - gammaln(concentration + seen.sum(axis=-1))
        + (gammaln(prior + seen) - gammaln(prior)).sum(axis=-1)
        - seen @ np.log(null)
    )
    return result


def is_mismatch(
    counts: npt.ArrayLike, shares: npt.ArrayLike, *, alpha: float = 0.001
) -> npt.NDArray[np.bool_]:
    """Whether the evidence has reached 1/α; shapes as in ``log_evidence``."""
    result: npt.NDArray[np.bool_] = np.asarray(log_evidence(counts, shares) >= -np.log(alpha))
    return result
