"""What is still needed: how many more events until a harm would be seen, or health shown.

Idea. No test with error α can on average decide before it has seen log(1/α) divided by the
information per event (Wald). The count test comes within some tens of per cent of that, so the
bound less the evidence already there is a fair forecast, and it is honest: what it says nobody
can beat.

Formula. Per bad outcome, at share π and rate ratios r (true) and s (to be excluded),
``KL = θ log(θ/φ) + (1−θ) log((1−θ)/(1−φ))``, θ = rπ/(rπ+1−π), φ = sπ/(sπ+1−π);
``bad = (log(1/α) − log E) / KL``; ``exposures = bad / (λ(rπ + 1 − π))``, λ the baseline's rate.

Assumptions. Share, baseline rate and traffic go on as they are.

Guarantee. None: a forecast. The Wald bound itself is a theorem about the mean.

Not good at. Ramps ahead: it does not know the next phase's share.

Units. Exposures and bad outcomes are counts of both arms together; time is seconds.

Reference: Wald 1945, Annals of Mathematical Statistics 16.

>>> found = until_seen(
...     Traffic(share=0.05, bad_rate=0.001, per_s=100), tolerance=0.0, harm=1.0, alpha=0.01
... )
>>> round(found.bad), round(found.exposures, -3), round(found.seconds, -1)
(267, 255000.0, 2550.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Traffic(NamedTuple):
    """What the forecast assumes to go on."""

    share: float
    """The canary's share of the exposures, 0 to 1."""
    bad_rate: float
    """The baseline's bad outcomes per exposure."""
    per_s: float
    """Exposures per second of both arms together."""


class Forecast(NamedTuple):
    """Still needed, of both arms together; ``None`` where that cannot be known or reached."""

    bad: float | None
    exposures: float | None
    seconds: float | None


MEDIAN_TO_BOUND = ((1.25, 1.36), (1.5, 1.33), (2.0, 1.12), (3.0, 1.07), (5.0, 1.06), (10.0, 1.14))
"""Rate ratio to the count test's median delay divided by the bound, as ``docs/evidence.md`` has it
measured at a tolerance of 10 %, averaged over shares of 1 % to 50 %."""
MEASURED_ABOVE = 1.1
"""The accepted ratio that it was measured against."""

UNKNOWN = Forecast(bad=None, exposures=None, seconds=None)


def fraction_on_canary(ratio: float, share: float) -> float:
    """θ: probability that a bad outcome falls on the canary, for a rate ratio and a share."""
    return ratio * share / (ratio * share + 1.0 - share)


def information(ratio: float, excluded: float, share: float) -> float:
    """Information per bad outcome against ``excluded`` when ``ratio`` is true, in nats.

    Args:
        ratio: true rate ratio, above 0.
        excluded: rate ratio that is to be excluded, above 0.
        share: the canary's share of the exposures, strictly between 0 and 1.
    """
    true, other = fraction_on_canary(ratio, share), fraction_on_canary(excluded, share)
    return true * math.log(true / other) + (1 - true) * math.log((1 - true) / (1 - other))


def wald_bound(*, ratio: float, excluded: float, share: float, alpha: float) -> float:
    """Bad outcomes that any test with error ``alpha`` needs on average."""
    return -math.log(alpha) / information(ratio, excluded, share)


def median_to_bound(ratio: float) -> float:
    """By how much the count test's median delay exceeds the bound, from what was measured.

    >>> median_to_bound(1.5), round(median_to_bound(4.0), 2), median_to_bound(100.0)
    (1.33, 1.06, 1.14)
    """
    measured, factors = zip(*MEDIAN_TO_BOUND, strict=True)
    return float(np.interp(math.log(ratio), np.log(measured), factors))


def until_seen(
    traffic: Traffic, *, tolerance: float, harm: float, alpha: float, log_evidence: float = 0.0
) -> Forecast:
    """Needed until a harm of this size, if it is there, is expected to roll the release back.

    Evidence below 0 counts as none: it came from a canary without that harm.

    Args:
        traffic: what goes on.
        tolerance: relative harm that is accepted.
        harm: relative harm that should be seen, above ``tolerance``.
        alpha: false-rollback rate.
        log_evidence: evidence already there, natural logarithm.
    """
    missing = -math.log(alpha) - max(log_evidence, 0.0)
    return _forecast(traffic, missing, ratio=1 + harm, excluded=1 + tolerance)


def until_promoted(
    traffic: Traffic, *, harm: float, beta: float, log_promotion: float = 0.0, ratio: float = 1.0
) -> Forecast:
    """Needed until a release whose true rate ratio is ``ratio`` is expected to be promoted.

    Args:
        traffic: what goes on.
        harm: smallest relative harm that must not be promoted.
        beta: false-promotion rate.
        log_promotion: promotion evidence already there, natural logarithm; may be negative.
        ratio: true rate ratio, below 1 + ``harm``.
    """
    return _forecast(traffic, -math.log(beta) - log_promotion, ratio=ratio, excluded=1 + harm)


def _forecast(traffic: Traffic, missing: float, *, ratio: float, excluded: float) -> Forecast:
    """Turn missing nats into counts and seconds."""
    if missing <= 0:
        return Forecast(bad=0.0, exposures=0.0, seconds=0.0)
    if not 0 < traffic.share < 1 or ratio <= 0:
        return UNKNOWN
    nats = information(ratio, excluded, traffic.share)
    if nats <= 0:
        return UNKNOWN
    bad = missing / nats
    per_exposure = traffic.bad_rate * (ratio * traffic.share + 1 - traffic.share)
    if per_exposure <= 0:
        return Forecast(bad=bad, exposures=None, seconds=None)
    exposures = bad / per_exposure
    seconds = exposures / traffic.per_s if traffic.per_s > 0 else None
    return Forecast(bad=bad, exposures=exposures, seconds=seconds)
